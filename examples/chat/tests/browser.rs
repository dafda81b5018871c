//! Two real browsers in one room.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

/// The chat on a port, ended when the test ends, however it ends.
struct Chat(Child);

impl Drop for Chat {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

fn start(listen: &str) -> (Chat, String) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_chat"))
        .args(["--listen", listen])
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

/// The script drives the browsers. It asks for a restart of the server with a line, and is told
/// of it with one.
#[test]
fn two_people_chat_one_leaves_and_a_restart_is_survived() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    assert!(
        folder.join("node_modules/playwright-core").exists(),
        "playwright-core is missing: run `just setup`, or `npm ci --prefix {}`",
        folder.display()
    );
    let (mut chat, url) = start("127.0.0.1:0");
    let address = url.strip_prefix("http://").unwrap().to_owned();
    let mut script = Command::new("node")
        .arg(folder.join("chat.mjs"))
        .arg(&url)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        match line.unwrap().as_str() {
            "stop the server" => {
                drop(chat);
                std::io::Write::write_all(&mut answers, b"stopped\n").unwrap();
                // Until the script asks for it again.
                chat = Chat(Command::new("true").spawn().unwrap());
            }
            "start the server" => {
                let (again, same) = start(&address);
                assert_eq!(same, url);
                chat = again;
                std::io::Write::write_all(&mut answers, b"started\n").unwrap();
            }
            other => println!("{other}"),
        }
    }
    assert!(
        script.wait().unwrap().success(),
        "the browser test failed; see above"
    );
    drop(chat);
}
