//! A client is asked by the server.

use std::time::{Duration, Instant};

use bytes::BytesMut;
use futures::FutureExt;
use realtime::{
    CloseCode, IdentityKey, Json, Message, Payload, Router, Session,
    codec::{Codec, CodecError, Frame, FrameKind, Notice},
    error::{ControlErrorKind, RequestError, RequestErrorKind},
    message::MessageParts,
};
use realtime_testkit::{client::Client, wait::until};
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;

use super::{
    ByName, builder, named,
    support::{Server, builder_of},
};

const LONG: Duration = Duration::from_secs(50);

fn session_of(server: &Server, name: &str) -> Session {
    let key = IdentityKey::new(name);
    server.gateway.local_sessions_of(&key).remove(0)
}

async fn server() -> Server {
    Server::start(builder().build().unwrap()).await
}

/// The next message, which is to be a request of the server's.
async fn asked(client: &mut Client) -> Value {
    let message = client.recv_json().await.unwrap();
    assert!(message["request"].is_string(), "{message}");
    message
}

async fn say(client: &mut Client, answer: Value) {
    client.send_text(&answer.to_string()).await.unwrap();
}

fn kind<T: std::fmt::Debug>(result: Result<T, RequestError>) -> RequestErrorKind {
    result.unwrap_err().kind()
}

#[tokio::test]
async fn it_answers_or_refuses_and_what_comes_too_late_is_for_nobody() {
    let server = server().await;
    let mut ann = named(&server, "ann").await;
    let session = session_of(&server, "ann");
    let ask = |within| {
        let session = session.clone();
        tokio::spawn(async move { session.request("age", Json("?"), within).await })
    };
    let answer = ask(LONG);
    let question = asked(&mut ann).await;
    assert_eq!(
        (&question["route"], &question["data"]),
        (&json!("age"), &json!("?"))
    );
    assert!(
        question.get("id").is_none(),
        "no answer to anything of the client's"
    );
    // What the client itself asks meanwhile is something else, whatever its id.
    let id = question["request"].clone();
    say(&mut ann, json!({"id": id, "route": "rooms"})).await;
    assert_eq!(
        ann.recv_json().await.unwrap(),
        json!({"id": id, "route": "rooms", "data": []})
    );
    say(
        &mut ann,
        json!({"reply": id, "data": 7, "metadata": {"a": "b"}, "room": "x"}),
    )
    .await;
    let message = answer.await.unwrap().unwrap();
    assert_eq!(
        (message.route(), message.decode::<u8>().unwrap()),
        ("age", 7)
    );
    assert_eq!(message.metadata().unwrap()["a"], "b");
    assert!(message.room().is_none() && message.exchange().is_none());

    let answer = ask(LONG);
    let id = asked(&mut ann).await["request"].clone();
    let error = json!({"code": "rude", "message": "not your business", "temporary": true});
    say(&mut ann, json!({"reply": id, "error": error})).await;
    let error = answer.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Refused);
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code(), refusal.is_temporary()), ("rude", true));

    let within = Duration::from_millis(100);
    let (begun, answer) = (Instant::now(), ask(within));
    let id = asked(&mut ann).await["request"].clone();
    assert_eq!(kind(answer.await.unwrap()), RequestErrorKind::TimedOut);
    assert!((within..within * 20).contains(&begun.elapsed()));
    // Too late, twice, and to what nobody has asked; and what is none at all.
    for late in [
        &id,
        &id,
        &json!("1"),
        &json!("999"),
        &json!("x"),
        &json!(2),
        &json!("+4"),
    ] {
        say(&mut ann, json!({"reply": late, "data": 7})).await;
    }
    for wrong in [
        json!({"reply": [], "data": 7}),
        json!({"reply": "4", "error": "no"}),
        json!({"reply": "4", "request": "4"}),
        json!({"reply": "4", "error": {"code": "x".repeat(257)}}),
    ] {
        say(&mut ann, wrong).await;
        let answer = ann.recv_json().await.unwrap();
        assert_eq!(answer["data"]["code"], "malformed", "{answer}");
    }
    assert_eq!(server.gateway.stats().answers_unmatched, 7);
    // A field that clients have no use for is none of the server's either.
    say(
        &mut ann,
        json!({"id": 1, "route": "rooms", "request": "4", "error": 1}),
    )
    .await;
    assert_eq!(ann.recv_json().await.unwrap()["data"], json!([]));
    server.stop().await;
}

#[tokio::test]
async fn a_handler_asks_its_own_client_though_much_waits_before_the_answer() {
    let confirm = async |session: Session| {
        let answer = session.request("sure?", Json(()), LONG).await?;
        Ok::<_, RequestError>(Json(answer.decode::<bool>().unwrap_or(false)))
    };
    let size = async |Json(data): Json<String>| Json(data.len());
    let router = Router::new().route("delete", confirm).route("size", size);
    let gateway = crate::support::builder().router(router).build().unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.connect().await;
    // Before and after it has asked comes more than is read ahead of a handler otherwise.
    let large = |id| json!({"id": id, "route": "size", "data": "x".repeat(30_000)});
    say(&mut client, json!({"id": 0, "route": "delete"})).await;
    for id in 1..=5 {
        say(&mut client, large(id)).await;
    }
    let question = asked(&mut client).await;
    for id in 6..=10 {
        say(&mut client, large(id)).await;
    }
    say(
        &mut client,
        json!({"reply": question["request"], "data": true}),
    )
    .await;
    let answer = client.recv_json().await.unwrap();
    assert_eq!((&answer["id"], &answer["data"]), (&json!(0), &json!(true)));
    for id in 1..=10 {
        let answer = client.recv_json().await.unwrap();
        assert_eq!(
            (&answer["id"], &answer["data"]),
            (&json!(id), &json!(30_000))
        );
    }
    assert_eq!(server.gateway.stats().assembling_bytes, 0);
    server.stop().await;
}

/// Nothing was read meanwhile, though it was there: the one who asks is the one who would have read.
#[tokio::test]
async fn an_answer_that_came_while_the_server_stood_still_is_one() {
    const WITHIN: Duration = Duration::from_secs(1);
    let confirm = async |session: Session| {
        let answer = session.request("sure?", Json(()), WITHIN).await?;
        Ok::<_, RequestError>(Json(answer.decode::<bool>().unwrap_or(false)))
    };
    let router = Router::new().route("delete", confirm);
    let gateway = crate::support::builder().router(router).build().unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.connect().await;
    for id in 0..2 {
        say(&mut client, json!({"id": id, "route": "delete"})).await;
        let question = asked(&mut client).await;
        say(
            &mut client,
            json!({"reply": question["request"], "data": true}),
        )
        .await;
        // The thread of all that runs here.
        std::thread::sleep(3 * WITHIN / 2);
        let answer = client.recv_json().await.unwrap();
        assert_eq!((&answer["id"], &answer["data"]), (&json!(id), &json!(true)));
    }
    assert_eq!(server.gateway.stats().answers_unmatched, 0);
    server.stop().await;
}

#[tokio::test]
async fn behind_more_than_may_wait_the_answer_comes_too_late_and_all_goes_on() {
    let confirm = async |session: Session| {
        let answer = session
            .request("sure?", Json(()), Duration::from_millis(500))
            .await;
        Json(answer.is_err_and(|error| error.kind() == RequestErrorKind::TimedOut))
    };
    let size = async |Json(data): Json<String>| Json(data.len());
    let router = Router::new().route("delete", confirm).route("size", size);
    let gateway = crate::support::builder().router(router).build().unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.connect().await;
    say(&mut client, json!({"id": 0, "route": "delete"})).await;
    let question = asked(&mut client).await;
    let large = json!({"route": "size", "data": "x".repeat(300_000)}).to_string();
    for _ in 0..6 {
        client.send_text(&large).await.unwrap();
    }
    say(
        &mut client,
        json!({"reply": question["request"], "data": true}),
    )
    .await;
    let answer = client.recv_json().await.unwrap();
    assert_eq!((&answer["id"], &answer["data"]), (&json!(0), &json!(true)));
    until("the answer is dropped", async || {
        server.gateway.stats().answers_unmatched == 1
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn who_leaves_before_it_answers_ends_the_wait() {
    let server = server().await;
    let ask = |session: &Session| {
        let session = session.clone();
        tokio::spawn(async move { session.request("age", Json("?"), LONG).await })
    };
    let mut ann = named(&server, "ann").await;
    let answer = ask(&session_of(&server, "ann"));
    asked(&mut ann).await;
    drop(ann);
    assert_eq!(kind(answer.await.unwrap()), RequestErrorKind::SessionClosed);
    // What is answered right before the end is an answer.
    let mut bob = named(&server, "bob").await;
    let session = session_of(&server, "bob");
    let answer = ask(&session);
    let id = asked(&mut bob).await["request"].clone();
    say(&mut bob, json!({"reply": id, "data": 7})).await;
    bob.close(1000, "").await.unwrap();
    assert_eq!(answer.await.unwrap().unwrap().decode::<u8>().unwrap(), 7);
    until("he has left", async || session.is_closed()).await;
    let late = session.request("age", Json("?"), LONG).await;
    assert_eq!(kind(late), RequestErrorKind::SessionClosed);
    // And one that the server closes.
    let mut cid = named(&server, "cid").await;
    let session = session_of(&server, "cid");
    let answer = ask(&session);
    asked(&mut cid).await;
    session.close(CloseCode::NORMAL, "");
    assert_eq!(kind(answer.await.unwrap()), RequestErrorKind::SessionClosed);
    server.stop().await;
}

#[tokio::test]
async fn so_many_are_open_at_once_and_a_dropped_one_makes_room() {
    let server = server().await;
    let mut ann = named(&server, "ann").await;
    let session = session_of(&server, "ann");
    let ask = || Box::pin(session.request("age", Json("?"), LONG));
    let mut open: Vec<_> = (0..Session::MAX_REQUESTS).map(|_| ask()).collect();
    for request in &mut open {
        assert!(request.as_mut().now_or_never().is_none());
    }
    assert_eq!(kind(ask().await), RequestErrorKind::TooMany);
    open.pop();
    let mut last = ask();
    assert!(last.as_mut().now_or_never().is_none());
    let mut ids = Vec::new();
    for _ in 0..=Session::MAX_REQUESTS {
        ids.push(asked(&mut ann).await["request"].clone());
    }
    // The answer to the dropped one is for nobody, the others find their way in any order.
    for id in ids.iter().rev() {
        say(&mut ann, json!({"reply": id, "data": id})).await;
    }
    ids.remove(Session::MAX_REQUESTS - 1);
    for (request, id) in open.into_iter().chain([last]).zip(ids) {
        let answer = request.await.unwrap();
        assert_eq!(answer.decode::<Value>().unwrap(), id);
    }
    assert_eq!(server.gateway.stats().answers_unmatched, 1);
    server.stop().await;
}

/// The memory of this process, in bytes.
fn resident() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages = pages.split(' ').nth(1).unwrap();
    pages.parse::<usize>().unwrap() * 4_096
}

/// How many requests nobody answers: `UNANSWERED`, a million in `just test-long`.
fn unanswered() -> usize {
    let times = std::env::var("UNANSWERED").ok();
    times.and_then(|t| t.parse().ok()).unwrap_or(200_000)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_without_end_that_nobody_answers_leave_memory_flat() {
    // It answers no pings either.
    let server = Server::start(builder().heartbeat(None).build().unwrap()).await;
    let mut ann = named(&server, "ann").await;
    let session = session_of(&server, "ann");
    // It reads what comes, and answers nothing.
    let read = tokio::spawn(async move {
        let mut bytes = vec![0; 1 << 16];
        while ann.stream.read(&mut bytes).await.is_ok_and(|read| read > 0) {}
    });
    let ask = async |times: usize| {
        for n in 0..times {
            let unheard = session.request("age", Json("?"), LONG).now_or_never();
            assert!(unheard.is_none(), "given up: {unheard:?}");
            if n % 64 > 0 {
                continue;
            }
            // Few of these: each is given up only once what has come is read.
            if n % 6_400 == 0 {
                let short = session.request("age", Json("?"), Duration::ZERO).await;
                assert_eq!(kind(short), RequestErrorKind::TimedOut);
            }
            while server.gateway.stats().queued_bytes > 0 {
                tokio::task::yield_now().await;
            }
        }
    };
    ask(20_000).await;
    let before = resident();
    let (times, start) = (unanswered(), Instant::now());
    ask(times).await;
    let grown = resident().saturating_sub(before);
    println!("{grown} bytes for {times} requests, {:?}", start.elapsed());
    assert!(grown < 8 << 20, "{grown} bytes for {times} requests");
    assert_eq!(server.gateway.stats().slow_consumers, 0);
    server.stop().await;
    read.await.unwrap();
}

/// Every frame is a message, and there is room for nothing else.
#[derive(Debug)]
struct Raw;

impl Codec for Raw {
    fn name(&self) -> &str {
        "raw"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        out.extend_from_slice(message.data().as_bytes());
        Ok(FrameKind::Binary)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let mut parts = MessageParts::default();
        parts.data = Payload::from(frame.into_bytes());
        Ok(Message::from_parts(parts))
    }

    fn encode_notice(
        &self,
        _: &Notice<'_>,
        _: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        Ok(None)
    }
}

#[tokio::test]
async fn a_codec_without_a_form_for_it_says_so() {
    let gateway = builder_of(Raw).authenticator(ByName).build().unwrap();
    let server = Server::start(gateway).await;
    let _ann = server.connect().await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let refused = session.request("age", Payload::from("?"), LONG).await;
    assert_eq!(kind(refused), RequestErrorKind::Unsupported);
    let refused = server
        .gateway
        .everybody()
        .request("age", Payload::from("?"));
    assert_eq!(refused.unwrap_err().kind(), ControlErrorKind::Encode);
    server.stop().await;
}
