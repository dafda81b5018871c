//! A real browser whose page keeps one connection for five lifetimes of its tokens, and that is
//! signed out by another of its tabs.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{path::Path, process::Command};

use support::{Node, PASSWORD};

#[test]
fn a_page_outlives_its_tokens_and_is_signed_out_everywhere() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let packages = tests.join("../../../chat/tests/browser");
    assert!(
        packages.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        packages.display()
    );
    let life = 2;
    let node = Node::start(life, 50);
    let status = Command::new("node")
        .arg(tests.join("auth.mjs"))
        .args([&format!("http://{}/", node.1), PASSWORD, &life.to_string()])
        .status()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    assert!(status.success(), "the browser test failed; see above");
}
