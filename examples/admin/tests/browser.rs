//! An operator in real browsers, with the keyboard alone.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use tokio::{runtime::Runtime, sync::mpsc, time::sleep};

/// The server, ended when the test ends, however it ends.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.0.kill();
        let _reaped = self.0.wait();
    }
}

const PASSWORD: &str = "correct horse";

fn start() -> (Server, SocketAddr) {
    let mut child = Command::new(env!("CARGO_BIN_EXE_admin"))
        .args(["--listen", "127.0.0.1:0"])
        .env("ADMIN_PASSWORD", PASSWORD)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let stdout = child.stdout.take().unwrap();
    let server = Server(child);
    let mut line = String::new();
    BufReader::new(stdout).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("listening on http://").unwrap();
    (server, address.parse().unwrap())
}

/// A client that reads all the while, and so answers pings. Returns why it was closed.
async fn attend(mut client: Client, mut says: mpsc::Receiver<Value>) -> String {
    loop {
        tokio::select! {
            closed = client.closed() => return closed.unwrap().1,
            Some(said) = says.recv() => client.send("say", said).await.unwrap(),
            // Less than the client waits for something to come.
            () = sleep(Duration::from_secs(5)) => {}
        }
    }
}

/// Runs a script with a browser. It says what is to happen, and is told that it has.
fn run(browser: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/browser");
    let modules = folder.join("../../../../crates/realtime-client-js/node_modules/playwright-core");
    assert!(
        modules.exists(),
        "playwright-core is missing: run `just setup`"
    );
    let (server, address) = start();
    let runtime = Runtime::new().unwrap();
    let connect = |name: &str| {
        let request = Request::new(format!("/ws?{name}"));
        let client = runtime.block_on(request.connect(address)).unwrap();
        let (says, said) = mpsc::channel(1);
        (says, runtime.spawn(attend(client, said)))
    };
    let ann = [connect("acme/ann"), connect("acme/ann")];
    let others: Vec<_> = (0..70)
        .map(|n| connect(&format!("acme/guest-{n:02}")))
        .collect();
    let (says, mut ann) = (ann[0].0.clone(), ann.map(|(_, attends)| attends));
    let mut script = Command::new("node")
        .arg(folder.join("admin.mjs"))
        .args([browser, &format!("http://{address}"), PASSWORD])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let mut answers = script.stdin.take().unwrap();
    for line in BufReader::new(script.stdout.take().unwrap()).lines() {
        let done = match line.unwrap().as_str() {
            "ann speaks" => {
                let said = json!("good morning <b>all</b>");
                says.blocking_send(said).unwrap();
                "she has".to_owned()
            }
            "why is ann gone" => {
                let reasons = ann.each_mut().map(|ann| runtime.block_on(ann).unwrap());
                reasons.join(", ")
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
    drop((others, server));
}

#[test]
fn an_operator_finds_watches_and_disconnects_somebody_in_chromium() {
    run("chromium");
}

#[test]
fn an_operator_finds_watches_and_disconnects_somebody_in_firefox() {
    run("firefox");
}
