//! A real browser does what docs/quickstart.md tells its reader to try.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Command, Stdio},
};

use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::{Process, Signal},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_signs_in_talks_and_comes_back() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let packages = tests.join("../../../chat/tests/browser");
    assert!(
        packages.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        packages.display()
    );
    let start = |address: &str, log: &str| {
        Process::spawn(
            Command::new(env!("CARGO_BIN_EXE_quickstart")).arg(address),
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(log),
        )
        .unwrap()
    };
    let mut server = start("127.0.0.1:0", "quickstart.log");
    let address = server.listening().await.unwrap();
    let proxy = Proxy::start(address.port()).await;
    let url = |port: u16| format!("http://127.0.0.1:{port}/");
    let mut script = Command::new("node")
        .arg(tests.join("quickstart.mjs"))
        .args([url(address.port()), url(proxy.port())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "cut the network" => {
                proxy.set(Fault::Refuse);
                proxy.reset();
                answers.write_all(b"cut\n").unwrap();
            }
            "mend the network" => {
                proxy.set(Fault::None);
                answers.write_all(b"mended\n").unwrap();
            }
            "stop the server, and start it again" => {
                server.signal(Signal::Terminate).unwrap();
                assert!(server.ended().await.unwrap().success());
                server = start(&address.to_string(), "quickstart-again.log");
                assert_eq!(server.listening().await.unwrap(), address);
                answers.write_all(b"started\n").unwrap();
            }
            other => println!("{other}"),
        }
    }
    let ended = script.wait().unwrap();
    assert!(ended.success(), "the browser test failed; see above");
}
