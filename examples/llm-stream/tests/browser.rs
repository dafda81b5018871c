//! A real browser that is reloaded, and cut off, in the middle of three answers.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, ChildStdout, Command, Stdio},
};

use realtime_testkit::proxy::Proxy;

/// A server on a port of its own, ended when the test ends, however it ends. What it prints must
/// have somewhere to go.
struct Server(
    Child,
    u16,
    #[allow(dead_code, reason = "held open")] BufReader<ChildStdout>,
);

impl Server {
    /// It keeps so many messages of each answer.
    fn start(keep: &str) -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_llm-stream"))
            .args(["--listen", "127.0.0.1:0", "--rate", "50", "--keep", keep])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let port = line.trim().rsplit(':').next().unwrap();
        let port = port.parse().unwrap();
        Self(child, port, stdout)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

/// The script drives the browser. It asks for the connections to be cut with a line, and is told
/// of it with one.
#[test]
fn a_page_that_is_reloaded_and_cut_off_has_whole_answers() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let packages = tests.join("../../../chat/tests/browser");
    assert!(
        packages.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        packages.display()
    );
    let (server, forgetful) = (Server::start("1000"), Server::start("20"));
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let proxy = runtime.block_on(Proxy::start(server.1));
    let url = |port: u16| format!("http://127.0.0.1:{port}/");
    let mut script = Command::new("node")
        .arg(tests.join("stream.mjs"))
        .args([url(proxy.port()), url(forgetful.1)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "cut the connections" => {
                proxy.reset();
                answers.write_all(b"cut\n").unwrap();
            }
            other => println!("{other}"),
        }
    }
    assert!(
        script.wait().unwrap().success(),
        "the browser test failed; see above"
    );
}
