//! A client that fails again and again is closed, whatever it does right beside that.

use std::{
    io,
    sync::{Arc, Mutex},
    time::Duration,
};

use realtime::{
    ClientError, Identity, IdentityKey, Json, Router, auth::StaticToken, config::Rate,
    error::RequestErrorKind, room::RoomRule,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::DEADLINE,
};
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tracing_subscriber::fmt::MakeWriter;

use super::{named, server, support::Server};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'w> MakeWriter<'w> for Log {
    type Writer = Self;

    fn make_writer(&'w self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn five_thousand_unknown_routes_are_a_few_lines_and_the_end() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(log.clone())
        .with_ansi(false)
        .finish();
    let _guard = tracing::subscriber::set_default(lines);
    let server = server(|_| {}).await;
    let mut client = named(&server, "ann").await;
    let frame = |text: &str| Client::<TcpStream>::text_frame(text);
    let wrong = frame(r#"{"route":"nowhere"}"#);
    let right = frame(r#"{"id":"1","route":"echo","data":1}"#);
    let pair = [&wrong[..], &right[..]].concat();
    let _may_be_cut_off = client.send_raw(&pair.repeat(5_000)).await;
    let (code, reason) = client.closed().await.unwrap();
    assert_eq!(code, 1008, "{reason}");
    let stats = server.gateway.stats();
    assert!((100..200).contains(&stats.failed), "{}", stats.failed);
    server.stop().await;
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    let lines = log.lines().filter(|line| line.contains("realtime::"));
    assert!((1..30).contains(&lines.count()), "{log}");
}

#[tokio::test]
async fn ten_malformed_in_a_row_are_the_end_with_limits_and_without() {
    for rate in [None, Some(Rate::per_second(1).with_burst(3))] {
        let server = server(|limits| limits.messages_per_session = rate).await;
        let mut client = named(&server, "ann").await;
        for _ in 0..9 {
            client.send_text("[]").await.unwrap();
            let answer = client.recv_json().await.unwrap();
            assert_eq!(answer["route"], "error");
        }
        client.send_text("[]").await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, 1008);
        server.stop().await;
    }
}

#[tokio::test]
async fn so_is_one_that_answers_what_nobody_waits_for_while_another_answer_is_awaited() {
    let server = server(|_| {}).await;
    let mut client = named(&server, "ann").await;
    let session = server.gateway.local_sessions_of(&IdentityKey::new("ann"));
    let session = session[0].clone();
    let asked = tokio::spawn(async move { session.request("confirm", Json(7), DEADLINE).await });
    assert_eq!(client.recv_json().await.unwrap()["route"], "confirm");
    let made_up = Client::<TcpStream>::text_frame(r#"{"reply":"77","data":1}"#);
    let _may_be_cut_off = client.send_raw(&made_up.repeat(300)).await;
    assert_eq!(client.closed().await.unwrap().0, 1008);
    asked.await.unwrap().unwrap_err();
    server.stop().await;
}

/// It answers all that it is asked, but its way is longer than the server waits.
#[tokio::test]
async fn one_that_answers_late_makes_no_mistake() {
    const ASKED: usize = 180;
    let server = server(|_| {}).await;
    let mut client = named(&server, "ann").await;
    let session = server.gateway.local_sessions_of(&IdentityKey::new("ann"));
    let session = session[0].clone();
    let mut answers = Vec::new();
    while answers.len() < ASKED {
        let asks = (0..60).map(|_| session.request("sure?", Json(7), Duration::from_millis(1)));
        for late in futures::future::join_all(asks).await {
            assert_eq!(late.unwrap_err().kind(), RequestErrorKind::TimedOut);
        }
        for _ in 0..60 {
            let asked = client.recv_json().await.unwrap();
            let answer = json!({"reply": asked["request"], "data": true}).to_string();
            answers.extend(Some(Client::<TcpStream>::text_frame(&answer)));
        }
    }
    client.send_raw(&answers.concat()).await.unwrap();
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    let stats = server.gateway.stats();
    assert_eq!(stats.answers_unmatched as usize, ASKED);
    // What is answered is answered: the same once more is made up.
    let _may_be_cut_off = client.send_raw(&answers.concat()).await;
    assert_eq!(client.closed().await.unwrap().0, 1008);
    server.stop().await;
}

/// One that may ask for rooms, and show tokens.
async fn with_rooms() -> Server {
    let token = StaticToken::new("s3cret", Identity::new("ann")).unwrap();
    let closed = async || Err::<(), _>(ClientError::new("forbidden", "not you"));
    let router = Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .room("said:{n}", RoomRule::open().publish("said"))
        .room("shown:{n}", RoomRule::open().announce("who"))
        .room("closed:{n}", RoomRule::allow(closed));
    let builder = super::support::builder().authenticator(token.from_query("token"));
    Server::start(builder.router(router).build().unwrap()).await
}

async fn ann(server: &Server) -> Client {
    let request = Request::new("/ws?token=s3cret");
    let mut ann = request.connect(server.addr).await.unwrap();
    let joined = ann.request("join", json!({"room": "said:1"})).await;
    assert_eq!(joined.unwrap()["route"], "join");
    ann
}

/// What the gateway itself refuses, since nobody could do it.
#[tokio::test]
async fn so_is_one_that_asks_the_gateway_for_what_cant_be() {
    let long = "x".repeat(300);
    let server = with_rooms().await;
    for (route, data, code) in [
        ("join", json!({"room": "nowhere"}), "unknown_room"),
        ("join", json!({"room": long}), "bad_data"),
        ("leave", json!({"room": long}), "bad_data"),
        (
            "recover",
            json!({"room": "said:1", "epoch": "a b", "offset": 1}),
            "bad_data",
        ),
        (
            "recover",
            json!({"room": "nowhere", "epoch": "a", "offset": 1}),
            "unknown_room",
        ),
        (
            "publish",
            json!({"room": "closed:1", "data": 1}),
            "unknown_room",
        ),
        (
            "publish",
            json!({"room": "said:1", "data": 1, "encoding": "hex"}),
            "bad_data",
        ),
        (
            "publish",
            json!({"room": "said:1", "data": "?", "encoding": "base64"}),
            "bad_data",
        ),
        (
            "publish",
            json!({"room": "said:1", "data": 1, "key": "k"}),
            "bad_data",
        ),
        ("members", json!({"room": "said:1"}), "unknown_room"),
        ("members", json!({"room": long}), "bad_data"),
        ("authenticate", json!({"token": " "}), "bad_data"),
    ] {
        let mut client = ann(&server).await;
        let answer = client.request(route, data.clone()).await.unwrap();
        assert_eq!(answer["data"]["code"], code, "{route} {data}");
        let wrong = json!({"route": route, "data": data}).to_string();
        let wrong = Client::<TcpStream>::text_frame(&wrong).repeat(200);
        let _may_be_cut_off = client.send_raw(&wrong).await;
        let (code, reason) = client.closed().await.unwrap();
        assert_eq!(code, 1008, "{route} {data}: {reason}");
    }
    server.stop().await;
}

/// It may have been a member a moment ago, and the rule may change its mind.
#[tokio::test]
async fn one_that_asks_for_what_it_may_not_makes_no_mistake() {
    let server = with_rooms().await;
    for (route, data, code) in [
        ("join", json!({"room": "closed:1"}), "forbidden"),
        (
            "publish",
            json!({"room": "said:2", "data": 1}),
            "not_a_member",
        ),
        ("members", json!({"room": "shown:1"}), "not_a_member"),
    ] {
        let mut client = ann(&server).await;
        let answer = client.request(route, data.clone()).await.unwrap();
        assert_eq!(answer["data"]["code"], code, "{route} {data}");
        let refused = json!({"route": route, "data": data}).to_string();
        let refused = Client::<TcpStream>::text_frame(&refused).repeat(200);
        client.send_raw(&refused).await.unwrap();
        let answer = client.request("echo", json!(1)).await.unwrap();
        assert_eq!(answer["data"], 1, "{route} {data}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_of_few_mistakes_stays() {
    let server = server(|_| {}).await;
    let mut client = named(&server, "ann").await;
    for _ in 0..90 {
        let answer = client.request("nowhere", json!(1)).await.unwrap();
        assert_eq!(answer["data"]["code"], "unknown_route");
    }
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    server.stop().await;
}
