//! Real browsers on three nodes, one of which is killed by its page's button.
#![cfg(target_os = "linux")]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{path::Path, process::Command};

use support::Cluster;

/// Drives one through the whole scenario.
async fn drive(browser: &str) {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let packages = tests.join("../../../../crates/realtime-client-js");
    assert!(
        packages.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        packages.display()
    );
    let cluster = Cluster::start(browser).await;
    let status = Command::new("node")
        .arg(tests.join("cluster.mjs"))
        .args([browser, &format!("http://{}/", cluster.address)])
        .status()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    assert!(status.success(), "the browser test failed; see above");
}

#[tokio::test]
async fn a_tab_comes_back_on_another_node_and_has_all_that_was_said_in_chromium() {
    drive("chromium").await;
}

#[tokio::test]
async fn a_tab_comes_back_on_another_node_and_has_all_that_was_said_in_firefox() {
    drive("firefox").await;
}
