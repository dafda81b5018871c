//! Real browsers: a customer's page follows what the staff does on another one.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use realtime_testkit::proxy::{Fault, Proxy};
use support::{PASSWORD, Shop};

/// Runs the script with a browser. It says what is to happen to the customer's network, and is told
/// that it has.
async fn run(browser: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let modules = folder.join("../../../../crates/realtime-client-js/node_modules/playwright-core");
    assert!(
        modules.exists(),
        "playwright-core is missing: run `just setup`"
    );
    let shop = Shop::start(browser, 3600).await;
    let network = Proxy::start(shop.1.port()).await;
    let customer = format!("http://127.0.0.1:{}", network.port());
    let mut script = Command::new("node")
        .arg(folder.join("shop.mjs"))
        .args([browser, &format!("http://{}", shop.1), &customer, PASSWORD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "into the tunnel" => {
                network.set(Fault::Refuse);
                network.reset();
            }
            "out of the tunnel" => network.set(Fault::None),
            other => {
                println!("{other}");
                continue;
            }
        }
        writeln!(answers, "done").unwrap();
    }
    let ended = script.wait().unwrap();
    assert!(ended.success(), "the browser test failed; see above");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_its_order_through_a_tunnel_and_a_reload_in_chromium() {
    run("chromium").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_follows_its_order_through_a_tunnel_and_a_reload_in_firefox() {
    run("firefox").await;
}
