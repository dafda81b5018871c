//! Requests that are answered later: one answer each, whatever becomes of handler, task, client and
//! server.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::BytesMut;
use realtime::{
    BoxError, Builder, ClientError, CloseCode, Gateway, Identity, Json, Message, Payload, Router,
    Session,
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, Notice},
    error::{HandlerError, HandlerErrorKind, SendError, SendErrorKind},
    extract::{Replier, Reply},
    hooks::ErrorContext,
    middleware::{Inbound, Next, RecoveryLayer, TimeoutLayer, from_fn},
};
use realtime_testkit::{
    memory::{TestClient, connect},
    wait::{until, within},
};
use realtime_websocket::Event;
use serde_json::{Value, json};
use support::Server;
use tokio::sync::mpsc;

/// What handlers have taken along, for the test to use.
#[derive(Clone)]
struct Taken(mpsc::UnboundedSender<Replier>);

fn taken() -> (Taken, mpsc::UnboundedReceiver<Replier>) {
    let (sender, receiver) = mpsc::unbounded_channel();
    (Taken(sender), receiver)
}

/// The route `later` is answered by the test, `now` at once.
fn router(taken: &Taken) -> Router {
    let Taken(sender) = taken.clone();
    let later = move |replier: Replier| {
        let sender = sender.clone();
        async move { sender.send(replier).unwrap() }
    };
    Router::new()
        .route("later", later)
        .route("now", async |data: Payload| data)
}

fn builder(taken: &Taken) -> Builder {
    support::builder().router(router(taken))
}

/// What the error hooks hear.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn on<L>(&self, builder: Builder<(), L>) -> Builder<(), L> {
        let heard = self.clone();
        builder.on_error(move |context: ErrorContext| {
            heard.0.lock().unwrap().push(context.error().to_string());
            async {}
        })
    }

    async fn one_that_says(&self, text: &str) {
        until(text, async || {
            self.0
                .lock()
                .unwrap()
                .iter()
                .any(|said| said.contains(text))
        })
        .await;
    }
}

async fn ann(gateway: &Gateway) -> TestClient {
    connect(gateway, Identity::new("ann")).await.unwrap()
}

async fn ask(client: &mut TestClient, route: &'static str, id: u64) {
    let message = Message::new(route, Json(id)).unwrap().with_id(id);
    client.send_message(&message).await.unwrap();
}

fn code(answer: &Message) -> String {
    assert_eq!(answer.route(), "error");
    answer.decode::<Value>().unwrap()["code"]
        .as_str()
        .unwrap()
        .to_owned()
}

#[tokio::test]
async fn a_slow_request_holds_up_nobody_and_its_id_goes_back_as_it_came() {
    let (taken, mut repliers) = taken();
    let server = Server::start(builder(&taken).build().unwrap()).await;
    let mut client = server.connect().await;
    for (id, text) in [
        ("7", r#"{"id":7,"route":"later","data":["late"]}"#),
        ("\"7\"", ""),
    ] {
        client
            .send_text(&format!(r#"{{"id":{id},"route":"later"}}"#))
            .await
            .unwrap();
        let replier = within("the handler", repliers.recv()).await.unwrap();
        assert!(replier.is_wanted());
        let now = r#"{"id":"8","route":"now","data":1}"#;
        client.send_text(now).await.unwrap();
        let answered = |event| match event {
            Event::Text(text) => text.to_string(),
            other => panic!("expected a message; got {other:?}"),
        };
        // What the handler has returned is no answer.
        assert_eq!(answered(client.recv().await.unwrap()), now);
        if text.is_empty() {
            replier.reply(()).unwrap();
            let text = r#"{"id":"7","route":"later"}"#;
            assert_eq!(answered(client.recv().await.unwrap()), text);
        } else {
            replier.reply(Json(["late"])).unwrap();
            assert_eq!(answered(client.recv().await.unwrap()), text);
        }
    }
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn answers_come_in_the_order_in_which_they_are_given() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).build().unwrap();
    let mut ann = ann(&gateway).await;
    for id in 1..=3 {
        ask(&mut ann, "later", id).await;
    }
    let (one, two, three) = (
        repliers.recv().await.unwrap(),
        repliers.recv().await.unwrap(),
        repliers.recv().await.unwrap(),
    );
    let session = one.session().clone();
    session.send("before", ()).unwrap();
    three.reply(Json(3)).unwrap();
    session.send("between", ()).unwrap();
    one.refuse(ClientError::new("no", "not today")).unwrap();
    two.reply(Json(2)).unwrap();
    for expected in ["before", "3", "between", "1", "2"] {
        let message = ann.receive().await.unwrap();
        assert_eq!(message.id().unwrap_or(message.route()), expected);
    }
    assert_eq!(gateway.stats().failed, 1, "the refusal");
}

#[tokio::test(start_paused = true)]
async fn a_message_without_an_id_wants_no_answer_and_takes_no_place() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).max_repliers_per_session(1).build().unwrap();
    let mut ann = ann(&gateway).await;
    for _ in 0..3 {
        ann.send("later", ()).await.unwrap();
    }
    let first = repliers.recv().await.unwrap();
    assert!(!first.is_wanted());
    first.reply(Json(1)).unwrap();
    let second = repliers.recv().await.unwrap();
    second.refuse(ClientError::new("no", "no")).unwrap();
    drop(repliers.recv().await.unwrap());
    ask(&mut ann, "later", 1).await;
    repliers.recv().await.unwrap().reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("1"));
    ann.expect_nothing().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn how_many_are_open_is_bounded() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).max_repliers_per_session(2).build().unwrap();
    let (mut ann, mut other) = (ann(&gateway).await, ann(&gateway).await);
    for id in 1..=3 {
        ask(&mut ann, "later", id).await;
    }
    let refused = ann.receive().await.unwrap();
    assert_eq!(
        (refused.id(), &*code(&refused)),
        (Some("3"), "too_many_requests")
    );
    assert_eq!(refused.decode::<Value>().unwrap()["temporary"], true);
    // Other routes, and other sessions, have nothing to do with it.
    ann.request("now", ()).await.unwrap();
    ask(&mut other, "later", 9).await;
    let open = (
        repliers.recv().await.unwrap(),
        repliers.recv().await.unwrap(),
    );
    open.1.reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("2"));
    ask(&mut ann, "later", 4).await;
    let other_replier = repliers.recv().await.unwrap();
    other_replier.reply(()).unwrap();
    assert_eq!(other.receive().await.unwrap().id(), Some("9"));
    repliers.recv().await.unwrap().reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("4"));
    open.0.reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("1"));
    ann.expect_nothing().await.unwrap();
}

#[tokio::test]
async fn who_forgets_to_answer_answers_with_an_error_which_the_hooks_hear() {
    let (taken, mut repliers) = taken();
    let router = router(&taken)
        .route("forgets", async |replier: Replier| drop(replier))
        .route("fails", async |replier: Replier| {
            tokio::spawn(async move {
                let _taken = replier;
                if true {
                    std::panic::panic_any("on purpose");
                }
            });
        });
    let heard = Heard::default();
    let gateway = heard.on(support::builder().router(router)).build().unwrap();
    let mut ann = ann(&gateway).await;
    for (n, route) in ["forgets", "fails"].into_iter().enumerate() {
        let error = ann.request(route, ()).await.unwrap_err();
        assert_eq!(error.code(), Some("unanswered"), "{route}");
        until("both are reported", async || {
            heard.0.lock().unwrap().len() == n + 1
        })
        .await;
    }
    heard.one_that_says("it was dropped").await;
    ask(&mut ann, "later", 1).await;
    let replier = within("the handler", repliers.recv()).await.unwrap();
    // From where there is no runtime.
    std::thread::spawn(move || drop(replier)).join().unwrap();
    assert_eq!(code(&ann.receive().await.unwrap()), "unanswered");
    assert_eq!(gateway.stats().failed, 3);
    // Nothing stays open.
    let full = ann.request("forgets", ()).await.unwrap_err();
    assert_eq!(full.code(), Some("unanswered"));
}

#[tokio::test(start_paused = true)]
async fn there_is_one_answer_and_the_first_counts() {
    let (sender, mut repliers) = mpsc::unbounded_channel();
    let sent = sender.clone();
    let fails = move |replier: Replier| {
        sent.send(replier).unwrap();
        async { Err::<(), _>(ClientError::new("first", "the handler was faster")) }
    };
    let sent = sender.clone();
    let hangs = move |replier: Replier| {
        sent.send(replier).unwrap();
        std::future::pending::<()>()
    };
    let router = Router::new()
        .route("fails", fails)
        .route("hangs", hangs)
        .route("question mark", async |_replier: Replier| {
            Err::<(), BoxError>(ClientError::new("early", "before there was an answer").into())
        })
        .route("answers and fails", async |replier: Replier| {
            replier.reply(Json("answered")).unwrap();
            Err::<(), _>("something else went wrong")
        })
        .route("answers and panics", async |replier: Replier| {
            replier.reply(Json("answered")).unwrap();
            if true {
                std::panic::panic_any("on purpose");
            }
        })
        .route("answers and hangs", async |replier: Replier| {
            replier.reply(Json("answered")).unwrap();
            std::future::pending::<()>().await
        })
        .route("panics", async |_replier: Replier| {
            if true {
                std::panic::panic_any("on purpose");
            }
        });
    let heard = Heard::default();
    let builder = heard.on(support::builder().router(router));
    let gateway = builder
        .layer(TimeoutLayer::new(Duration::from_secs(1)))
        .layer(RecoveryLayer::new())
        .build()
        .unwrap();
    let mut ann = ann(&gateway).await;
    for (route, expected) in [("fails", "first"), ("hangs", "timeout")] {
        assert_eq!(
            ann.request(route, ()).await.unwrap_err().code(),
            Some(expected)
        );
        let replier: Replier = repliers.recv().await.unwrap();
        assert!(!replier.is_wanted());
        let late = replier.reply(Json(1)).unwrap_err();
        assert_eq!(late.kind(), SendErrorKind::Answered, "{route}");
    }
    for (route, expected) in [("question mark", "early"), ("panics", "internal")] {
        assert_eq!(
            ann.request(route, ()).await.unwrap_err().code(),
            Some(expected)
        );
    }
    for route in [
        "answers and fails",
        "answers and panics",
        "answers and hangs",
    ] {
        let answer = ann.request(route, ()).await.unwrap();
        assert_eq!(answer.decode::<String>().unwrap(), "answered", "{route}");
        ann.expect_nothing_for(Duration::from_secs(2))
            .await
            .unwrap();
    }
    for reported in ["something else", "panicked", "longer than"] {
        heard.one_that_says(reported).await;
    }
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_encoded_is_an_error_here_and_there() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).build().unwrap();
    let mut ann = ann(&gateway).await;
    for data in [Payload::from("}{"), Payload::from("\"\n\"")] {
        ask(&mut ann, "later", 1).await;
        let error = repliers.recv().await.unwrap().reply(data).unwrap_err();
        assert_eq!(error.kind(), SendErrorKind::Encode);
        assert_eq!(code(&ann.receive().await.unwrap()), "internal");
    }
    ann.expect_nothing().await.unwrap();
}

/// However long a task takes, its client isn't left without a word.
#[tokio::test(start_paused = true)]
async fn a_replier_has_its_time_and_then_its_client_is_told() {
    let (taken, mut repliers) = taken();
    let heard = Heard::default();
    let short = builder(&taken)
        .max_repliers_per_session(2)
        .replier_timeout(Some(Duration::from_secs(2)));
    let gateway = heard.on(short).build().unwrap();
    let mut ann = ann(&gateway).await;
    ask(&mut ann, "later", 1).await;
    let slow = repliers.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    ask(&mut ann, "later", 2).await;
    let quick = repliers.recv().await.unwrap();
    assert!(slow.is_wanted() && quick.is_wanted());
    let late = ann.receive().await.unwrap();
    assert_eq!((late.id(), &*code(&late)), (Some("1"), "timeout"));
    heard.one_that_says("replier_timeout").await;
    assert!(!slow.is_wanted());
    // The other one has its own time, and its answer is an answer.
    quick.reply(Json("in time")).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("2"));
    // What goes on takes its place, and its answer comes too late.
    ask(&mut ann, "later", 3).await;
    let third = repliers.recv().await.unwrap();
    ask(&mut ann, "later", 4).await;
    let refused = ann.receive().await.unwrap();
    assert_eq!(code(&refused), "too_many_requests");
    let error = slow.reply(Json("late")).unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::Answered);
    ask(&mut ann, "later", 5).await;
    repliers.recv().await.unwrap().reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("5"));
    third.reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("3"));
    ann.expect_nothing().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn without_a_bound_a_replier_has_all_the_time_there_is() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).replier_timeout(None).build().unwrap();
    let mut ann = ann(&gateway).await;
    ask(&mut ann, "later", 1).await;
    let replier = repliers.recv().await.unwrap();
    tokio::time::sleep(Duration::from_secs(3600)).await;
    replier.reply(()).unwrap();
    assert_eq!(ann.receive().await.unwrap().id(), Some("1"));
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_rejected_takes_no_place() {
    let router = Router::new().route("n", async |replier: Replier, Json(n): Json<u8>| {
        replier.reply(Json(n + 1)).unwrap();
    });
    let builder = support::builder().router(router);
    let gateway = builder.max_repliers_per_session(1).build().unwrap();
    let mut ann = ann(&gateway).await;
    for _ in 0..3 {
        let error = ann.request("n", Json("not a number")).await.unwrap_err();
        assert_eq!(error.code(), Some("bad_data"));
    }
    assert_eq!(
        ann.request("n", Json(1))
            .await
            .unwrap()
            .decode::<u8>()
            .unwrap(),
        2
    );
}

#[tokio::test(start_paused = true)]
async fn layers_see_that_there_is_no_answer_yet() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let see = {
        let seen = Arc::clone(&seen);
        move |inbound: Inbound, next: Next| {
            let seen = Arc::clone(&seen);
            async move {
                let result = next.run(inbound).await;
                let kind = |error: &BoxError| error.downcast_ref().map(HandlerError::kind);
                seen.lock()
                    .unwrap()
                    .push(result.as_ref().map(Clone::clone).map_err(kind));
                result
            }
        }
    };
    let router = Router::new()
        .route("later", async |replier: Replier| {
            tokio::spawn(async move { replier.reply(Json(1)).unwrap() });
        })
        .route("forgets", async |replier: Replier| drop(replier));
    let builder = support::builder().router(router).layer(from_fn(see));
    let gateway = builder.build().unwrap();
    let mut ann = ann(&gateway).await;
    ann.request("later", ()).await.unwrap();
    ann.request("forgets", ()).await.unwrap_err();
    let unanswered = Err(Some(HandlerErrorKind::Unanswered));
    assert_eq!(*seen.lock().unwrap(), [Ok(Reply::none()), unanswered]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_client_that_leaves_learns_it() {
    let (taken, mut repliers) = taken();
    let heard = Heard::default();
    let gateway = heard.on(builder(&taken)).build().unwrap();
    let mut ann = ann(&gateway).await;
    ask(&mut ann, "later", 1).await;
    ask(&mut ann, "later", 2).await;
    let (one, two) = (
        repliers.recv().await.unwrap(),
        repliers.recv().await.unwrap(),
    );
    drop(ann);
    one.closed().await;
    assert!(!one.is_wanted());
    drop(one);
    // It is waited for no longer than a handler is.
    until("the session is gone", async || gateway.stats().open == 0).await;
    let error = two.reply(Json(1)).unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::SessionClosed);
    assert_eq!(gateway.stats().failed, 0);
    let said = heard.0.lock().unwrap().clone();
    assert!(
        !said.iter().any(|said| said.contains("Replier")),
        "{said:?}"
    );
}

#[tokio::test]
async fn a_client_that_says_good_bye_still_gets_the_answer() {
    let (taken, mut repliers) = taken();
    let server = Server::start(builder(&taken).build().unwrap()).await;
    for forgets in [false, true] {
        let mut client = server.connect().await;
        client
            .send_text(r#"{"id":1,"route":"later"}"#)
            .await
            .unwrap();
        let replier = within("the handler", repliers.recv()).await.unwrap();
        client.close(1000, "").await.unwrap();
        within("the close frame", replier.closed()).await;
        match forgets {
            false => replier.reply(Json("in time")).unwrap(),
            true => drop(replier),
        }
        if !forgets {
            let answer = client.recv_json().await.unwrap();
            assert_eq!(answer["data"], "in time");
        }
        assert!(matches!(client.recv().await.unwrap(), Event::Close(_)));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_shutdown_waits_for_no_replier() {
    let (taken, mut repliers) = taken();
    let server = Server::start(builder(&taken).build().unwrap()).await;
    let mut client = server.connect().await;
    client
        .send_text(r#"{"id":1,"route":"later"}"#)
        .await
        .unwrap();
    let replier = within("the handler", repliers.recv()).await.unwrap();
    let gateway = server.gateway.clone();
    let stopping = tokio::spawn(server.stop());
    within("the end", replier.closed()).await;
    match client.recv().await.unwrap() {
        Event::Close(Some(close)) => assert_eq!(close.code, CloseCode::GOING_AWAY.as_u16()),
        other => panic!("expected a close frame; got {other:?}"),
    }
    drop(client);
    within("the shutdown", stopping).await.unwrap();
    let error = replier.reply(Json(1)).unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::SessionClosed);
    assert_eq!(gateway.stats().aborted, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_keeps_nobody() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).build().unwrap();
    let mut ann = ann(&gateway).await;
    ask(&mut ann, "later", 1).await;
    let replier = repliers.recv().await.unwrap();
    replier.session().close(CloseCode::NORMAL, "");
    ann.closed().await.unwrap();
    until("the session is gone", async || gateway.stats().open == 0).await;
    drop(replier);
    assert_eq!(gateway.stats().closed, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_tasks_answer_at_once() {
    let router = Router::new().route("square", async |replier: Replier, Json(n): Json<u64>| {
        tokio::spawn(async move {
            tokio::task::yield_now().await;
            replier.reply(Json(n * n))
        });
    });
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut client = server.connect().await;
    for round in 0..50 {
        for n in 0..64 {
            let text = json!({"id": n, "route": "square", "data": n + round}).to_string();
            client.send_text(&text).await.unwrap();
        }
        let mut answered = [false; 64];
        for _ in 0..64 {
            let answer = client.recv_json().await.unwrap();
            let id = answer["id"].as_u64().unwrap();
            let n = id + round;
            assert_eq!(answer["data"], n * n);
            assert!(!std::mem::replace(&mut answered[id as usize], true));
        }
    }
    server.stop().await;
}

/// What is sent from the handler's own turn, too.
#[tokio::test(start_paused = true)]
async fn a_handler_may_answer_at_once_and_go_on() {
    let router = Router::new().route(
        "start",
        async |replier: Replier, session: Session| -> Result<(), SendError> {
            session.send("first", ())?;
            replier.reply(Json("begun"))?;
            tokio::time::sleep(Duration::from_secs(1)).await;
            session.send("done", ())
        },
    );
    let gateway = support::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    ask(&mut ann, "start", 1).await;
    for route in ["first", "start", "done"] {
        assert_eq!(ann.receive().await.unwrap().route(), route);
    }
}

/// Ids may be used again: what fails under one is told, whoever has answered under it before.
#[tokio::test]
async fn an_id_that_was_answered_for_by_a_replier_may_fail_later() {
    let (taken, mut repliers) = taken();
    let gateway = builder(&taken).max_repliers_per_session(1).build().unwrap();
    let mut client = ann(&gateway).await;
    ask(&mut client, "later", 1).await;
    let replier = within("the handler", repliers.recv()).await.unwrap();
    replier.reply(Json("late")).unwrap();
    assert_eq!(client.receive().await.unwrap().route(), "later");
    ask(&mut client, "nowhere", 1).await;
    assert_eq!(code(&client.receive().await.unwrap()), "unknown_route");
    // Nor is the limit silent.
    ask(&mut client, "later", 2).await;
    let held = within("the handler", repliers.recv()).await.unwrap();
    ask(&mut client, "later", 2).await;
    assert_eq!(code(&client.receive().await.unwrap()), "too_many_requests");
    held.reply(Json("late")).unwrap();
    assert_eq!(client.receive().await.unwrap().route(), "later");
}

/// JSON, which lets go of a replier while an error is written.
#[derive(Debug, Clone, Default)]
struct LetsGo(Arc<Mutex<Option<Replier>>>);

impl Codec for LetsGo {
    fn name(&self) -> &str {
        "lets-go"
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        JsonCodec.decode(frame)
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        JsonCodec.encode(message, out)
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let kept = self.0.lock().unwrap().take();
        drop(kept);
        JsonCodec.encode_notice(notice, out)
    }
}

#[tokio::test]
async fn one_that_is_dropped_while_another_one_is_answered_for_is_answered_for_at_once() {
    let (taken, mut repliers) = taken();
    let codec = LetsGo::default();
    let builder = Gateway::builder(codec.clone()).router(router(&taken));
    let gateway = builder.build().unwrap();
    let mut client = ann(&gateway).await;
    for id in [1, 2] {
        ask(&mut client, "later", id).await;
    }
    let first = within("the handler", repliers.recv()).await.unwrap();
    let second = within("the handler", repliers.recv()).await.unwrap();
    *codec.0.lock().unwrap() = Some(second);
    drop(first);
    client.set_deadline(Duration::from_secs(10));
    for id in ["1", "2"] {
        let answer = client.receive().await.unwrap();
        assert_eq!((answer.id(), &*code(&answer)), (Some(id), "unanswered"));
    }
}
