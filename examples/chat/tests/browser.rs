//! Real browsers in one room.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Stdio},
};

use realtime_testkit::proxy::{Fault, Proxy};

/// The chat on a port, ended when the test ends, however it ends.
struct Chat(Child);

impl Drop for Chat {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

const PASSWORD: &str = "correct horse";

fn start(listen: &str) -> (Chat, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chat"))
        .args(["--listen", listen])
        .env("CHAT_MODERATOR", PASSWORD)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    let url = line
        .trim()
        .strip_prefix("listening on ")
        .unwrap_or_default()
        .to_owned();
    (Chat(child), url)
}

/// A script that drives browsers.
fn script(name: &str) -> Command {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        folder.display()
    );
    let mut script = Command::new("node");
    script.arg(folder.join(name));
    script
}

/// Runs one that asks for nothing.
fn run(name: &str) {
    let (chat, url) = start("127.0.0.1:0");
    let status = script(name).args([&url, PASSWORD]).status();
    let status = status.expect("node is missing: run `just setup`, or install Node.js 20 or later");
    assert!(status.success(), "the browser test failed; see above");
    drop(chat);
}

#[test]
fn a_moderator_removes_somebody_who_sees_why_and_stays_out() {
    run("moderator.mjs");
}

#[test]
fn who_is_there_is_right_though_things_are_told_twice_or_late_or_never() {
    run("presence.mjs");
}

/// The script asks for what happens to the server and the network with a
/// line, and is told of it with one.
#[test]
fn two_people_chat_in_rooms_and_a_cut_and_a_restart_are_survived() {
    let (mut chat, url) = start("127.0.0.1:0");
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let port = address.rsplit(':').next().unwrap().parse().unwrap();
    let network = runtime.block_on(Proxy::start(port));
    let mut script = script("chat.mjs")
        .args([&url, &format!("http://127.0.0.1:{}", network.port())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let done = match line.unwrap().as_str() {
            "cut the phone off" => {
                network.set(Fault::Refuse);
                network.reset();
                "cut off"
            }
            "let the phone back" => {
                network.set(Fault::None);
                "let back"
            }
            "stop the server" => {
                drop(chat);
                // Until the script asks for it again.
                chat = Chat(Command::new("true").spawn().unwrap());
                "stopped"
            }
            "start the server" => {
                let (again, same) = start(&address);
                assert_eq!(same, url);
                chat = again;
                "started"
            }
            other => {
                println!("{other}");
                continue;
            }
        };
        writeln!(answers, "{done}").unwrap();
    }
    assert!(
        script.wait().unwrap().success(),
        "the browser test failed; see above"
    );
    drop(chat);
}
