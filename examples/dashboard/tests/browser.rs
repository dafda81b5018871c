//! Real browsers that look at the dashboard, one of them over a slow link.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{fs, path::Path, process::Command};

use realtime_testkit::{servers::Process, wait::until};

/// Drives one through the whole scenario.
async fn drive(browser: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let packages = tests.join("../../../../crates/realtime-client-js");
    assert!(
        packages.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        packages.display()
    );
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dashboard-{browser}.log"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_dashboard"));
    command.args(["--listen", "127.0.0.1:0", "--slow-listen", "127.0.0.1:0"]);
    let mut server = Process::spawn(&mut command, &log).unwrap();
    let fast = format!("http://{}/", server.listening().await.unwrap());
    let mut slow = String::new();
    until("the slow link listens", async || {
        let said = fs::read_to_string(&log).unwrap();
        let mut lines = said.lines();
        let url = lines.find_map(|line| line.strip_prefix("behind a slow link on "));
        slow = url.unwrap_or_default().to_owned();
        url.is_some()
    })
    .await;
    let status = Command::new("node")
        .arg(tests.join("dashboard.mjs"))
        .args([browser, &fast, &slow])
        .status()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    assert!(status.success(), "the browser test failed; see above");
}

#[tokio::test]
async fn a_slow_page_has_fewer_points_and_a_hidden_one_none_in_chromium() {
    drive("chromium").await;
}

#[tokio::test]
async fn a_slow_page_has_fewer_points_and_a_hidden_one_none_in_firefox() {
    drive("firefox").await;
}
