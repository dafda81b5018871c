//! Real browsers: two people, one of them with two tabs.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{path::Path, process::Command};

use realtime_testkit::servers::Process;

async fn run(browser: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let modules = folder.join("../../../../crates/realtime-client-js/node_modules/playwright-core");
    assert!(
        modules.exists(),
        "playwright-core is missing: run `just setup`"
    );
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("presence-board-{browser}.log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_presence-board"));
    command
        .args(["--listen", "127.0.0.1:0"])
        .env_remove("BROKER_URL")
        .env_remove("PRESENCE_URL");
    let mut server = Process::spawn(&mut command, log).unwrap();
    let address = server.listening().await.unwrap();
    let status = Command::new("node")
        .arg(folder.join("board.mjs"))
        .args([browser, &format!("http://{address}/")])
        .status()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    assert!(status.success(), "the browser test failed; see above");
}

#[tokio::test]
async fn people_with_several_tabs_are_one_and_a_reload_is_not_seen_in_chromium() {
    run("chromium").await;
}

#[tokio::test]
async fn people_with_several_tabs_are_one_and_a_reload_is_not_seen_in_firefox() {
    run("firefox").await;
}
