//! The command line, run as it is, against a gateway.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    dead_code,
    reason = "a test fails by a panic, and uses a part of what it shares"
)]

#[path = "../client/server.rs"]
mod server;

use std::process::{Output, Stdio};

use realtime::{ClientError, Json, Router, auth::StaticToken, room::RoomRule};
use realtime_testkit::wait::within;
use serde_json::{Value, json};
use server::{Server, router};
use tokio::{
    io::{AsyncBufReadExt, AsyncWriteExt, BufReader},
    process::{Child, ChildStderr, ChildStdout, Command},
};

fn command(args: &[&str], server: &Server) -> Command {
    let url = format!("ws://{}/ws", server.addr);
    let mut command = Command::new(env!("CARGO_BIN_EXE_realtime"));
    command.args(
        args.iter()
            .map(|arg| if *arg == "URL" { &url } else { *arg }),
    );
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command.kill_on_drop(true);
    command
}

async fn run(args: &[&str], server: &Server, input: &str) -> Output {
    let mut child = command(args, server).spawn().unwrap();
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    within("the end of the command", child.wait_with_output())
        .await
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A line of what it prints.
async fn line(child: &mut BufReader<impl tokio::io::AsyncRead + Unpin>) -> String {
    let mut line = String::new();
    within("a line", child.read_line(&mut line)).await.unwrap();
    line.trim_end().to_owned()
}

fn reading(child: &mut Child) -> (BufReader<ChildStdout>, BufReader<ChildStderr>) {
    (
        BufReader::new(child.stdout.take().unwrap()),
        BufReader::new(child.stderr.take().unwrap()),
    )
}

#[tokio::test]
async fn request_prints_the_answer_or_fails_with_the_error() {
    let server = Server::plain().await;
    let done = run(&["request", "URL", "echo", r#"{"a":[1,2]}"#], &server, "").await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    assert_eq!(text(&done.stdout), "{\"a\":[1,2]}\n");
    let done = run(&["request", "URL", "echo", "-"], &server, "[3]").await;
    assert_eq!(text(&done.stdout), "[3]\n");
    let done = run(&["request", "URL", "nowhere"], &server, "").await;
    assert_eq!((done.status.code(), &*done.stdout), (Some(1), &b""[..]));
    assert!(
        text(&done.stderr).contains("unknown_route"),
        "{}",
        text(&done.stderr)
    );
    let done = run(&["request", "URL", "echo", "{no"], &server, "").await;
    assert_eq!(done.status.code(), Some(1));
}

#[tokio::test]
async fn the_data_of_an_error_is_printed() {
    let refuse = async || {
        let error = ClientError::new("invalid", "the name is too long");
        Err::<(), _>(error.with_data(Json(json!({"field": "name"}))))
    };
    let router = Router::new().route("sign_up", refuse);
    let server = Server::start(realtime::builder().router(router)).await;
    let done = run(&["request", "URL", "sign_up"], &server, "").await;
    assert_eq!(
        text(&done.stderr),
        "realtime: invalid: the name is too long\n{\"field\":\"name\"}\n"
    );
}

#[tokio::test]
async fn listen_says_what_fails_while_it_tries() {
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws?key=s3cret", nobody.local_addr().unwrap());
    drop(nobody);
    for args in [&["listen", &url, "open:a"][..], &["listen", &url]] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_realtime"));
        let command = command
            .args(args)
            .stderr(Stdio::piped())
            .stdout(Stdio::null());
        let mut child = command.kill_on_drop(true).spawn().unwrap();
        let mut err = BufReader::new(child.stderr.take().unwrap());
        for _ in 0..2 {
            let said = line(&mut err).await;
            assert!(said.starts_with("realtime: no connection: "), "{said}");
            assert!(
                said.contains("refused") && !said.contains("s3cret"),
                "{said}"
            );
        }
        child.kill().await.unwrap();
    }
}

#[tokio::test]
async fn a_token_is_taken_from_a_variable_and_a_refusal_is_told() {
    let tokens = StaticToken::new("s3cret", realtime::Identity::new("ann")).unwrap();
    let builder = realtime::builder().authenticator(tokens).router(router());
    let server = Server::start(builder).await;
    let mut asking = command(
        &["request", "URL", "who", "--token-env", "RT_TOKEN"],
        &server,
    );
    let asked = asking.env("RT_TOKEN", "s3cret").output();
    let done = within("the end", asked).await.unwrap();
    assert_eq!(text(&done.stdout), "\"ann\"\n", "{}", text(&done.stderr));
    let done = run(&["request", "URL", "who", "--token", "wr0ng"], &server, "").await;
    assert_eq!(done.status.code(), Some(1));
    let said = text(&done.stderr);
    assert!(said.contains("401") && !said.contains("wr0ng"), "{said}");
}

#[tokio::test]
async fn connect_sends_lines_and_prints_lines() {
    let server = Server::plain().await;
    let input = concat!(
        r#"{"id": "a", "route": "echo", "data": 1}"#,
        "\n\n",
        "no envelope\n",
        r#"{"id": 2, "route": "nowhere"}"#,
        "\n",
        r#"{"route": "echo", "data": 3}"#,
        "\n",
    );
    let done = run(&["connect", "URL"], &server, input).await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    let lines: Vec<Value> = text(&done.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0], json!({"id": "a", "route": "echo", "data": 1}));
    assert_eq!(
        (&lines[1]["id"], &lines[1]["route"]),
        (&json!(2), &json!("error"))
    );
    assert_eq!(lines.len(), 2);
    assert!(text(&done.stderr).contains("is no envelope"));
}

#[tokio::test]
async fn connect_answers_the_server_and_ends_with_the_close_code() {
    let server = Server::plain().await;
    let mut child = command(&["connect", "URL"], &server).spawn().unwrap();
    let (mut out, mut err) = reading(&mut child);
    let mut stdin = child.stdin.take().unwrap();
    // Whoever says something hears what is asked.
    let hello = "{\"id\":1,\"route\":\"nothing\"}\n";
    stdin.write_all(hello.as_bytes()).await.unwrap();
    assert!(line(&mut out).await.contains("nothing"));
    let session = server.gateway.local_sessions().pop().unwrap();
    let asking = session.request("confirm", Json("Sure?"), std::time::Duration::from_secs(5));
    let answering = async {
        let asked: Value = serde_json::from_str(&line(&mut out).await).unwrap();
        let answer = json!({"reply": asked["request"], "data": true});
        let nobodys = json!({"reply": "x", "data": true});
        stdin
            .write_all(format!("{nobodys}\n{answer}\n").as_bytes())
            .await
            .unwrap();
        assert!(
            line(&mut err)
                .await
                .contains("answers nothing that was asked")
        );
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert!(answer.unwrap().decode::<bool>().unwrap());
    server.stop().await;
    let status = within("the end", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(1));
    assert!(line(&mut err).await.contains("closed: 1001"));
}

#[tokio::test]
async fn listen_joins_rooms_and_prints_what_is_said() {
    let rooms = Router::new().room("open:{name}", RoomRule::open());
    let server = Server::start(realtime::builder().router(rooms)).await;
    let mut child = command(&["listen", "URL", "open:a", "open:b"], &server)
        .spawn()
        .unwrap();
    let (mut out, mut err) = reading(&mut child);
    let mut joined = Vec::new();
    while joined.len() < 2 {
        let said = line(&mut err).await;
        if let Some((_, room)) = said.split_once("joined ") {
            joined.push(room.to_owned());
        }
    }
    joined.sort();
    assert_eq!(joined, ["open:a", "open:b"]);
    server
        .gateway
        .room("open:b")
        .send("news", Json("hello"))
        .await
        .unwrap();
    let said: Value = serde_json::from_str(&line(&mut out).await).unwrap();
    assert_eq!(
        said,
        json!({"route": "news", "room": "open:b", "data": "hello"})
    );
    child.kill().await.unwrap();
    let done = run(&["listen", "URL", "closed:a"], &server, "").await;
    assert_eq!(done.status.code(), Some(1));
    assert!(
        text(&done.stderr).contains("closed:a: unknown_room"),
        "{}",
        text(&done.stderr)
    );
}

/// Waits until it says so.
#[cfg(unix)]
async fn is_in_the_room(err: &mut BufReader<ChildStderr>) {
    let mut said = line(err).await;
    while !said.contains("joined ") {
        assert!(!said.is_empty(), "it has ended");
        said = line(err).await;
    }
}

#[cfg(unix)]
async fn send(signal: &str, child: &Child) {
    let pid = child.id().unwrap().to_string();
    let sent = Command::new("kill")
        .args([signal, pid.as_str()])
        .status()
        .await;
    assert!(sent.unwrap().success());
}

/// How it ends when it is sent a signal.
#[cfg(unix)]
async fn ended_by(signal: &str, child: &mut Child) -> Option<i32> {
    send(signal, child).await;
    within("the end", child.wait()).await.unwrap().code()
}

#[cfg(unix)]
#[tokio::test]
async fn both_signals_end_in_good_order_what_goes_on_for_long() {
    let rooms = router().room("open:{name}", RoomRule::open());
    let server = Server::start(realtime::builder().router(rooms)).await;
    for signal in ["-TERM", "-INT"] {
        let mut child = command(&["listen", "URL", "open:a"], &server)
            .spawn()
            .unwrap();
        let (_out, mut err) = reading(&mut child);
        is_in_the_room(&mut err).await;
        assert_eq!(ended_by(signal, &mut child).await, Some(0), "{signal}");

        let mut child = command(&["connect", "URL"], &server).spawn().unwrap();
        let (mut out, _err) = reading(&mut child);
        let mut input = child.stdin.take().unwrap();
        input
            .write_all(b"{\"id\": 1, \"route\": \"echo\", \"data\": 1}\n")
            .await
            .unwrap();
        assert!(line(&mut out).await.contains("echo"));
        assert_eq!(ended_by(signal, &mut child).await, Some(0), "{signal}");

        let args = [
            "bench",
            "URL",
            "--connections",
            "1",
            "--seconds",
            "600",
            "--route",
            "nothing",
        ];
        let mut child = command(&args, &server).spawn().unwrap();
        let (mut out, mut err) = reading(&mut child);
        assert!(line(&mut err).await.contains(" s of 600 s"));
        assert_eq!(ended_by(signal, &mut child).await, Some(0), "{signal}");
        let result: Value = serde_json::from_str(&line(&mut out).await).unwrap();
        assert!(result["answers"].as_u64().unwrap() > 0, "{result}");
    }
}

/// It waits for somebody to read on, in the midst of a line that is longer than a pipe.
#[cfg(unix)]
async fn unread(server: &Server) -> (Child, BufReader<ChildStdout>) {
    let mut child = command(&["listen", "URL", "open:a"], server)
        .spawn()
        .unwrap();
    let (mut out, mut err) = reading(&mut child);
    is_in_the_room(&mut err).await;
    let long = Json("long ".repeat(50_000));
    server
        .gateway
        .room("open:a")
        .send("news", long)
        .await
        .unwrap();
    // More than this isn't read, but for what a buffer holds.
    let begun = within("the beginning of a line", out.fill_buf());
    assert!(!begun.await.unwrap().is_empty());
    (child, out)
}

#[cfg(unix)]
#[tokio::test]
async fn who_does_not_read_keeps_it_from_no_end() {
    let rooms = Router::new().room("open:{name}", RoomRule::open());
    let server = Server::start(realtime::builder().router(rooms)).await;
    let (mut child, _out) = unread(&server).await;
    assert_eq!(ended_by("-TERM", &mut child).await, Some(143), "in time");
    let (mut child, _out) = unread(&server).await;
    send("-TERM", &child).await;
    assert_eq!(ended_by("-INT", &mut child).await, Some(130), "at once");
}

#[cfg(unix)]
#[tokio::test]
async fn a_signal_ends_connect_while_it_connects() {
    let server = Server::plain().await;
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("ws://{}/ws", silent.local_addr().unwrap());
    for signal in ["-TERM", "-INT"] {
        let mut child = command(&["connect", &url], &server).spawn().unwrap();
        let _connection = within("a connection", silent.accept()).await.unwrap();
        assert_eq!(ended_by(signal, &mut child).await, Some(0), "{signal}");
    }
}

#[tokio::test]
async fn bench_asks_and_counts() {
    let server = Server::plain().await;
    let args = [
        "bench",
        "URL",
        "--connections",
        "3",
        "--seconds",
        "0.3",
        "--route",
        "nothing",
    ];
    let done = run(&args, &server, "").await;
    assert!(done.status.success(), "{}", text(&done.stderr));
    let result: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(
        (&result["connections"], &result["failed"]),
        (&json!(3), &json!(0))
    );
    assert!(result["answers"].as_u64().unwrap() >= 3, "{result}");
    assert!(
        result["latency_ms"]["p99"].as_f64().unwrap() > 0.0,
        "{result}"
    );
    let args = [
        "bench",
        "URL",
        "--connections",
        "2",
        "--seconds",
        "5",
        "--route",
        "nowhere",
    ];
    let done = run(&args, &server, "").await;
    assert_eq!(done.status.code(), Some(1));
    assert!(
        text(&done.stderr).contains("unknown_route"),
        "{}",
        text(&done.stderr)
    );
}
