//! What is logged: what happens to the connection, and nothing that is a secret.

use std::{
    io,
    sync::{Arc, Mutex},
};

use futures::StreamExt;
use realtime_client::{Json, RoomEvent, State, TokenIn};
use realtime_testkit::wait::within;
use serde_json::json;

use super::{Client, MS, quick, scripted::Scripted};

/// What this test's thread logs. The runtime of each test is its own thread's.
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

impl Log {
    fn begin() -> (Self, tracing::subscriber::DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

#[tokio::test]
async fn connections_and_their_ends_are_logged_and_nothing_secret() {
    let (log, _guard) = Log::begin();
    let server = Scripted::start().await;
    let client = Client::builder(format!("ws://127.0.0.1:{}/ws?key=s3cret", server.port()))
        .backoff(20 * MS, 100 * MS)
        .header("x-key", "s3cret")
        .token(async |_| Ok(Some("s3cret".to_owned())))
        .connect()
        .unwrap();
    server.next().await.refuse(503, "").await;
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome", "data": "s3cret"}))
        .await;
    within("a connection", client.online()).await.unwrap();
    client.send("said", Json("s3cret")).await.unwrap();
    peer.close(1012, "a new\nversion").await;
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    client.close().await;
    let text = log.text();
    for words in [
        "realtime::client",
        "connecting attempt=1",
        "status=Some(503)",
        "the connection is open",
        "online",
        "code=Some(1012)",
        "a new\\nversion",
        "ended code=Some(1000)",
    ] {
        assert!(text.contains(words), "{words} in:\n{text}");
    }
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn the_words_of_what_gets_the_token_are_not_logged() {
    let (log, _guard) = Log::begin();
    let client = quick(1)
        .token(async |_| Err("no session for s3cret".into()))
        .max_attempts(1)
        .connect()
        .unwrap();
    let end = within("the end", client.ended()).await;
    assert!(end.reason.contains("s3cret"), "for its user: {end}");
    let text = log.text();
    assert!(text.contains("there is no token now"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn the_words_with_which_a_token_is_refused_are_not_logged() {
    let (log, _guard) = Log::begin();
    let server = Scripted::start().await;
    let client = quick(server.port())
        .token(async |_| Ok(Some("t".to_owned())))
        .token_in(TokenIn::Message)
        .connect()
        .unwrap();
    let mut peer = server.accept().await;
    let asked = peer.message().await;
    let error = json!({"code": "no_seat", "message": "said s3cret", "data": {"why": "s3cret"}});
    peer.send(json!({"id": asked["id"], "route": "error", "data": error}))
        .await;
    let mut state = client.state();
    let away = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    let why = format!("{:?}", *within("the end", away).await.unwrap());
    assert!(
        why.contains("refused the token: no_seat") && !why.contains("s3cret"),
        "{why}"
    );
    let text = log.text();
    assert!(text.contains("no_seat"), "{text}");
    assert!(!text.contains("s3cret"), "{text}");
}

#[tokio::test]
async fn who_logs_a_refusal_does_not_log_its_data() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    let refusing = async {
        let asked = peer.message().await;
        let error = json!({"code": "invalid", "message": "a field", "data": {"field": "s3cret"}});
        peer.send(json!({"id": asked["id"], "route": "error", "data": error}))
            .await;
    };
    let (refused, ()) = tokio::join!(client.request("sign_up", ()), refusing);
    let error = refused.unwrap_err();
    let shown = format!("{error} {error:?}");
    assert!(
        shown.contains("invalid") && shown.contains("a field"),
        "{shown}"
    );
    assert!(!shown.contains("s3cret"), "{shown}");
    let data = error.refusal().unwrap().data().unwrap();
    assert!(data.as_bytes().ends_with(br#""s3cret"}"#), "{data:?}");
}

/// A server that says one thing that can't be read says it to all, and again and again.
#[tokio::test]
async fn what_cannot_be_read_is_counted_in_few_lines() {
    let (log, _guard) = Log::begin();
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    let joining = client.room("a").join();
    let answering = async {
        let asked = peer.message().await;
        let data = json!({"position": {"epoch": "e", "offset": 3}});
        peer.send(json!({"id": asked["id"], "route": "join", "data": data}))
            .await;
    };
    let (room, ()) = tokio::join!(joining, answering);
    let mut room = room.unwrap();
    for _ in 0..1_000 {
        peer.send(json!({"route": 7, "data": "s3cret"})).await;
    }
    peer.send(
        json!({"route": "gap", "data": {"missed": 1, "rooms": {"a": {"epoch": "e", "offset": 9}}}}),
    )
    .await;
    let asked = peer.message().await;
    // One has no place in the history, and one no route.
    let unplaced = json!({"route": "n", "room": "a", "offset": "4", "data": "s3cret"});
    let unrouted = json!({"route": 7, "room": "a", "offset": 4});
    let good = json!({"route": "n", "room": "a", "offset": 9, "data": 9});
    let mut missed = vec![];
    for _ in 0..50 {
        missed.extend([unplaced.clone(), unrouted.clone()]);
    }
    missed.push(good);
    let position = json!({"epoch": "e", "offset": 9});
    let data = json!({"recovered": true, "position": position, "missed": missed});
    peer.send(json!({"id": asked["id"], "route": "recover", "data": data}))
        .await;
    let RoomEvent::Message(first) = within("the good one", room.next()).await.unwrap() else {
        panic!("expected a message");
    };
    assert_eq!(first.decode::<u8>().unwrap(), 9);
    // Not all of it has come.
    let told = within("the word of it", room.next()).await.unwrap();
    assert!(matches!(told, RoomEvent::Lost), "{told:?}");
    let text = log.text();
    let lines = text.lines().filter(|line| line.contains("can't be read"));
    // Up to 512 of 1,000, and up to 64 of 100.
    assert_eq!(lines.count(), 10 + 7, "{text}");
    assert!(text.contains("count=512") && !text.contains("s3cret"));
    client.close().await;
}
