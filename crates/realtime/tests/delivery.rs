//! Broadcasts, targeted messages, order, backpressure, two nodes, shutdown.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::time::Duration;

use proptest::prelude::{Just, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof};
use realtime::{
    Backpressure, Gateway, IdentityKey, Initiator, Json, Router, Session,
    auth::{AuthError, Authenticator},
    broker::LocalBroker,
    error::{DeliverErrorKind, SendErrorKind, StartErrorKind},
    node::NodeId,
    presence::MemoryPresence,
    report::Remote,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use realtime_websocket::Event;
use serde_json::{Value, json};
use support::{Ends, Server};

/// The name in the query is who it is.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<realtime::Identity, AuthError> {
        Ok(realtime::Identity::new(request.uri.query().unwrap_or_default()).with_tenant("t"))
    }
}

fn key(name: &str) -> IdentityKey {
    IdentityKey::new(name).with_tenant("t")
}

async fn named(server: &Server, name: &str) -> Client {
    Request::new(format!("/ws?{name}"))
        .connect(server.addr)
        .await
        .unwrap()
}

/// Two gateways in one process over one broker and one presence.
async fn two_nodes() -> (Server, Server) {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let node = |id: &str| {
        let id: NodeId = id.parse().unwrap();
        let builder = support::builder().authenticator(ByName).node_id(id);
        builder
            .broker(broker.clone())
            .presence(presence.clone())
            .build()
            .unwrap()
    };
    let (a, b) = (node("a"), node("b"));
    a.start().await.unwrap();
    b.start().await.unwrap();
    (Server::start(a).await, Server::start(b).await)
}

#[tokio::test]
async fn a_broadcast_reaches_every_session_of_every_node_exactly_once() {
    let (a, b) = two_nodes().await;
    let mut clients = vec![named(&a, "x").await, named(&a, "y").await];
    clients.extend([named(&b, "x").await, named(&b, "z").await]);
    a.until_open(2).await;
    b.until_open(2).await;
    for n in 0..100 {
        let delivery = a.gateway.broadcast("n", Json(&n)).await.unwrap();
        assert_eq!((delivery.local, delivery.remote), (2, Remote::Published));
    }
    for client in &mut clients {
        for n in 0..100 {
            assert_eq!(
                client.recv_json().await.unwrap(),
                json!({"route": "n", "data": n})
            );
        }
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn a_targeted_message_reaches_all_sessions_of_its_identity_and_no_other() {
    let (a, b) = two_nodes().await;
    let (mut here, mut there) = (named(&a, "x").await, named(&b, "x").await);
    let mut other = named(&b, "y").await;
    a.until_open(1).await;
    b.until_open(2).await;
    assert!(a.gateway.is_online(&key("y")).await.unwrap());
    assert_eq!(a.gateway.sessions_of(&key("x")).await.unwrap().len(), 2);
    let delivery = a
        .gateway
        .send_to_identity(&key("x"), "for-x", Json(&1))
        .await
        .unwrap();
    assert_eq!((delivery.local, delivery.remote), (1, Remote::Nodes(1)));
    a.gateway.broadcast("all", Json(&2)).await.unwrap();
    for client in [&mut here, &mut there] {
        assert_eq!(client.recv_json().await.unwrap()["route"], "for-x");
        assert_eq!(
            client.recv_json().await.unwrap()["route"],
            "all",
            "their order is kept"
        );
    }
    assert_eq!(other.recv_json().await.unwrap()["route"], "all");
    let error = a
        .gateway
        .send_to_identity(&key("nobody"), "r", ())
        .await
        .unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::NotOnline);
}

#[tokio::test]
async fn a_gateway_starts_once_and_sends_locally_without() {
    let server = Server::start(support::builder().build().unwrap()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let delivery = server.gateway.broadcast("n", Json(&1)).await.unwrap();
    assert_eq!((delivery.local, delivery.remote), (1, Remote::NotStarted));
    assert_eq!(client.recv_json().await.unwrap()["route"], "n");
    server.gateway.start().await.unwrap();
    let error = server.gateway.start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::AlreadyStarted);
}

#[tokio::test]
async fn a_second_node_with_the_same_id_cannot_start() {
    let broker = LocalBroker::new();
    let node = || {
        support::builder()
            .node_id("same".parse().unwrap())
            .broker(broker.clone())
            .build()
            .unwrap()
    };
    let (first, second): (Gateway, Gateway) = (node(), node());
    first.start().await.unwrap();
    let error = second.start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Broker);
    first.shutdown().await;
    second.start().await.unwrap();
}

/// What one caller sends to one session arrives in its order, whichever way it is sent, while the
/// client reads slowly and other tasks send too.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_order_of_each_caller_is_kept_under_backpressure() {
    const CALLERS: usize = 4;
    const MESSAGES: usize = 400;
    let server = Server::start(
        support::builder()
            .queue_messages(1 << 20)
            .queue_bytes(256 << 20)
            .build()
            .unwrap(),
    )
    .await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let session = server
        .gateway
        .local_sessions_of(&IdentityKey::new("anonymous"))
        .remove(0);
    let filler = "x".repeat(4000);
    let callers: Vec<_> = (0..CALLERS)
        .map(|caller| {
            let (gateway, session) = (server.gateway.clone(), session.clone());
            let filler = filler.clone();
            tokio::spawn(async move {
                for n in 0..MESSAGES {
                    let data = json!([caller, n, filler]);
                    match (n * 7 + caller) % 3 {
                        0 => session.send("m", Json(&data)).unwrap(),
                        1 => session.send_wait("m", Json(&data)).await.unwrap(),
                        _ => drop(gateway.broadcast("m", Json(&data)).await.unwrap()),
                    }
                }
            })
        })
        .collect();
    let mut next = [0; CALLERS];
    for _ in 0..CALLERS * MESSAGES {
        let data = client.recv_json().await.unwrap()["data"].take();
        let caller = data[0].as_u64().unwrap() as usize;
        assert_eq!(data[1], next[caller], "of caller {caller}");
        next[caller] += 1;
    }
    for caller in callers {
        caller.await.unwrap();
    }
}

/// Fills the queue of a client that doesn't read, then lets it read everything.
async fn flood(policy: Backpressure) -> (Vec<u64>, u64, u64, u64) {
    const SENT: u64 = 3000;
    let gateway = support::builder()
        .backpressure(policy)
        .queue_messages(8)
        .build()
        .unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let session = gateway
        .local_sessions_of(&IdentityKey::new("anonymous"))
        .remove(0);
    let filler = "x".repeat(8000);
    let mut refused = 0;
    for n in 0..SENT {
        match session.send("m", Json(&json!([n, filler]))) {
            Ok(()) => {}
            Err(error) if error.kind() == SendErrorKind::Backpressure => refused += 1,
            Err(error) => panic!("{error}"),
        }
    }
    let dropped = gateway.stats().dropped;
    let (mut received, mut told) = (Vec::new(), 0);
    while (received.len() as u64) + dropped < SENT || told < dropped {
        let message = client.recv_json().await.unwrap();
        match message["route"].as_str() {
            Some("gap") => told += message["data"]["missed"].as_u64().unwrap(),
            _ => received.push(message["data"][0].as_u64().unwrap()),
        }
    }
    assert_eq!(
        received.len() as u64 + dropped,
        SENT,
        "sent = received + dropped"
    );
    assert!(received.is_sorted_by(|a, b| a < b), "order is kept");
    (received, dropped, told, refused)
}

#[tokio::test]
async fn drop_newest_keeps_the_session_counts_and_tells() {
    let (received, dropped, told, refused) = flood(Backpressure::DropNewest).await;
    assert!(dropped > 0 && told == dropped && refused == dropped);
    // What the queue alone has room for.
    assert_eq!(received[..8], (0..8).collect::<Vec<_>>());
}

#[tokio::test]
async fn drop_oldest_keeps_the_session_counts_and_tells() {
    let (received, dropped, told, refused) = flood(Backpressure::DropOldest).await;
    assert!(dropped > 0 && told == dropped && refused == 0);
    assert_eq!(received.last(), Some(&2999));
}

/// Whoever is closed with a gap that it hasn't been told of is told before its close frame, and of
/// all that it has missed before it gets what comes after it.
#[tokio::test]
async fn a_gap_is_reported_before_what_comes_after_it_and_before_the_close() {
    // The session's task has looked at the first gap before there is the second, and not at that
    // before the close.
    let flood = async |gateway: Gateway, session: Session| {
        let filler = "x".repeat(8000);
        let mut sent = 0;
        for _ in 0..2 {
            tokio::task::yield_now().await;
            let before = gateway.stats().dropped;
            while gateway.stats().dropped < before + 20 {
                let _dropped = session.send("m", Json(&json!([sent, filler])));
                sent += 1;
            }
        }
        session.close(realtime::CloseCode::new(4000).unwrap(), sent.to_string());
    };
    for policy in [Backpressure::DropNewest, Backpressure::DropOldest] {
        let builder = support::builder().backpressure(policy).queue_messages(8);
        let builder = builder.router(Router::new().route("flood", flood));
        let server = Server::start(builder.build().unwrap()).await;
        let mut client = server.connect().await;
        client.send("flood", json!(null)).await.unwrap();
        let (mut next, mut missed, mut told) = (0, 0, 0);
        let closed = loop {
            match client.recv().await.unwrap() {
                Event::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    if message["route"] == "gap" {
                        told += message["data"]["missed"].as_u64().unwrap();
                        continue;
                    }
                    let number = message["data"][0].as_u64().unwrap();
                    missed += number - next;
                    next = number + 1;
                    assert!(missed <= told, "{missed} missed, {told} told: {policy:?}");
                }
                Event::Close(close) => break close.unwrap(),
                other => panic!("unexpected {other:?}"),
            }
        };
        assert_eq!(closed.code, 4000);
        let sent: u64 = closed.reason.parse().unwrap();
        assert_eq!(missed + sent - next, told, "{policy:?}");
        assert_eq!(told, server.gateway.stats().dropped);
        drop(client);
        server.stop().await;
    }
}

/// Many, so that who carries the broadcast lets others have a turn before it comes to the last.
#[tokio::test]
async fn what_was_broadcast_before_a_close_arrives_before_it() {
    let server = Server::start(support::builder().build().unwrap()).await;
    let mut clients = Vec::new();
    for n in 1..=600 {
        clients.push(server.connect().await);
        server.until_open(n).await;
    }
    let broadcast = server.gateway.broadcast("before", ()).await;
    assert_eq!(broadcast.unwrap().local, 600);
    for session in server.gateway.local_sessions() {
        session.close(realtime::CloseCode::NORMAL, "bye");
    }
    for client in &mut clients {
        assert_eq!(client.recv_json().await.unwrap()["route"], "before");
        assert_eq!(client.closed().await, Some((1000, "bye".to_owned())));
    }
    server.stop().await;
}

#[tokio::test]
async fn a_peer_that_accepts_no_byte_is_closed_under_every_policy() {
    let ends = Ends::default();
    let builder = support::builder()
        .backpressure(Backpressure::DropOldest)
        .write_timeout(Some(Duration::from_millis(200)));
    let server = Server::start(ends.hear(builder).build().unwrap()).await;
    let _stuck = server.connect().await;
    server.until_open(1).await;
    let filler = "x".repeat(1 << 20);
    for _ in 0..16 {
        server.gateway.broadcast("m", Json(&filler)).await.unwrap();
    }
    let info = ends.one().await;
    assert_eq!(
        (info.initiator, &*info.reason),
        (Initiator::Error, "write timeout")
    );
    server.until_open(0).await;
}

#[tokio::test]
async fn replies_are_outside_the_policy_and_a_flood_is_pushed_back() {
    const REQUESTS: usize = 20_000;
    let router = Router::new().route("echo", async |Json(data): Json<Value>| Json(data));
    let gateway = support::builder()
        .router(router)
        .queue_messages(1)
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let client = server.connect().await;
    let mut other = server.connect().await;
    let (mut read, mut write) = client.stream.into_split();
    let writer = tokio::spawn(async move {
        for n in 0..REQUESTS {
            let text =
                json!({"id": "1", "route": "echo", "data": [n, "x".repeat(100)]}).to_string();
            let frame = Client::<tokio::net::TcpStream>::text_frame(&text);
            tokio::io::AsyncWriteExt::write_all(&mut write, &frame)
                .await
                .unwrap();
        }
        write
    });
    // Others are answered while the flood's answers are not read.
    assert_eq!(
        other.request("echo", json!("me")).await.unwrap()["data"],
        "me"
    );
    let mut decoder = realtime_websocket::Decoder::new(
        realtime_websocket::Role::Client,
        realtime_websocket::Limits::default(),
    );
    let (mut next, mut buffer) = (0, vec![0; 1 << 16]);
    while next < REQUESTS {
        let read = tokio::io::AsyncReadExt::read(&mut read, &mut buffer)
            .await
            .unwrap();
        let mut input = &buffer[..read];
        assert!(read > 0, "the client is not closed for being replied to");
        while let Some(event) = decoder.decode(&mut input).unwrap() {
            let realtime_websocket::Event::Text(text) = event else {
                continue;
            };
            let message: Value = serde_json::from_str(&text).unwrap();
            assert_eq!(message["data"][0], next);
            next += 1;
        }
    }
    drop(writer.await.unwrap());
}

#[tokio::test]
async fn shutdown_ends_everything_within_its_deadline_and_says_what_it_cut_off() {
    let router = Router::new().route("stuck", async || std::future::pending::<()>().await);
    let ends = Ends::default();
    let gateway = ends
        .hear(support::builder().router(router))
        .build()
        .unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut clients = Vec::new();
    for _ in 0..50 {
        clients.push(server.connect().await);
    }
    clients[0].send("stuck", Value::Null).await.unwrap();
    server.until_open(50).await;
    until("the handler is stuck", async || {
        gateway.stats().received == 1
    })
    .await;
    let report = gateway.shutdown_within(Duration::from_secs(2)).await;
    assert_eq!(report.aborted, 1, "{report:?}");
    assert_eq!(gateway.shutdown().await, report, "idempotent");
    assert_eq!((gateway.stats().open, ends.len()), (0, 49));
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    let error = gateway.broadcast("late", ()).await.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Closed);
    let error = gateway.start().await.unwrap_err();
    assert_eq!(error.kind(), StartErrorKind::Closed);
    assert!(
        gateway
            .is_online(&IdentityKey::new("anonymous"))
            .await
            .is_err(),
        "closed"
    );
}

#[tokio::test]
async fn a_handler_may_begin_the_shutdown() {
    let router = Router::new().route("stop", async |gateway: Gateway, session: Session| {
        gateway.begin_shutdown();
        session.closed().await;
    });
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut client = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1001);
    let report = server.gateway.shutdown().await;
    assert_eq!((report.sessions, report.aborted), (1, 0));
}

#[tokio::test]
async fn leases_are_renewed_and_what_the_store_has_lost_is_registered_again() {
    let presence = MemoryPresence::new();
    let lease = Duration::from_millis(300);
    let builder = support::builder()
        .presence(presence.clone())
        .presence_ttl(Some(lease));
    let server = Server::start(builder.build().unwrap()).await;
    let _client = server.connect().await;
    server.until_open(1).await;
    let identity = IdentityKey::new("anonymous");
    let info = server
        .gateway
        .sessions_of(&identity)
        .await
        .unwrap()
        .remove(0);
    let renewed = async || {
        let now = server.gateway.sessions_of(&identity).await.unwrap();
        now.first()
            .is_some_and(|now| now.expires_at > info.expires_at)
    };
    until("the lease is renewed", renewed).await;
    use realtime::presence::Presence;
    let _gone = presence.unregister(&[info.key()]).await.unwrap();
    let back = async || server.gateway.is_online(&identity).await.unwrap();
    until("the session is registered again", back).await;
}

/// What callers do, and how much the session's queue takes.
#[derive(Debug, Clone)]
struct Plan {
    policy: Backpressure,
    queue: usize,
    /// The client reads only when everything is sent.
    reads_late: bool,
    /// For each caller: by `broadcast` or by `send`, and the size.
    callers: Vec<Vec<(bool, usize)>>,
}

fn plans() -> impl Strategy<Value = Plan> {
    let limits = prop_oneof![
        Just((Backpressure::Close, 1 << 20)),
        (1..40_usize).prop_map(|queue| (Backpressure::DropNewest, queue)),
        (1..40_usize).prop_map(|queue| (Backpressure::DropOldest, queue)),
    ];
    let message = (any::<bool>(), 1..20_000_usize);
    let caller = prop::collection::vec(message, 1..120);
    let callers = prop::collection::vec(caller, 1..5);
    (limits, any::<bool>(), callers).prop_map(|((policy, queue), reads_late, callers)| Plan {
        policy,
        queue,
        reads_late,
        callers,
    })
}

/// Carries a plan out, and returns what the client got from each caller, and what it was told to
/// have missed.
async fn carry_out(plan: &Plan) -> (Vec<Vec<u64>>, u64) {
    let builder = support::builder()
        .backpressure(plan.policy)
        .queue_messages(plan.queue)
        .queue_bytes(64 << 20);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions().remove(0);
    let callers = plan
        .callers
        .iter()
        .cloned()
        .enumerate()
        .map(|(caller, messages)| {
            let (gateway, session) = (server.gateway.clone(), session.clone());
            tokio::spawn(async move {
                for (n, (broadcast, size)) in messages.into_iter().enumerate() {
                    let data = Json((caller, n, "x".repeat(size)));
                    if broadcast {
                        gateway.broadcast("n", data).await.unwrap();
                    } else if let Err(error) = session.send("n", data) {
                        assert_eq!(error.kind(), SendErrorKind::Backpressure);
                    }
                }
            })
        });
    let callers: Vec<_> = callers.collect();
    let sent = async {
        for caller in callers {
            caller.await.unwrap();
        }
    };
    let (count, reads_late) = (plan.callers.len(), plan.reads_late);
    let read = async |client: &mut Client| {
        let (mut got, mut told) = (vec![Vec::new(); count], 0);
        loop {
            let message = client.recv_json().await.unwrap();
            match message["route"].as_str().unwrap() {
                "end" => return (got, told),
                "gap" => told += message["data"]["missed"].as_u64().unwrap(),
                _ => {
                    let caller = message["data"][0].as_u64().unwrap() as usize;
                    got[caller].push(message["data"][1].as_u64().unwrap());
                }
            }
        }
    };
    let end = async {
        sent.await;
        let _read_meanwhile = session.send_wait("end", ()).await;
    };
    tokio::pin!(end);
    if reads_late {
        // Until everything is sent, or waits for the reader.
        let all_sent = tokio::time::timeout(Duration::from_millis(200), &mut end).await;
        if all_sent.is_ok() {
            let books = read(&mut client).await;
            server.stop().await;
            return books;
        }
    }
    let (books, ()) = tokio::join!(read(&mut client), end);
    server.stop().await;
    books
}

#[test]
fn whatever_the_schedule_the_order_of_each_caller_is_kept_and_every_loss_is_reported() {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(3)
        .enable_all()
        .build()
        .unwrap();
    let mut config = proptest::test_runner::Config::with_cases(24);
    config.failure_persistence = None;
    let mut runner = proptest::test_runner::TestRunner::new(config);
    let result = runner.run(&plans(), |plan| {
        let (got, told) = runtime.block_on(carry_out(&plan));
        let sent: usize = plan.callers.iter().map(Vec::len).sum();
        let received: usize = got.iter().map(Vec::len).sum();
        for numbers in &got {
            prop_assert!(
                numbers.windows(2).all(|pair| pair[0] < pair[1]),
                "{numbers:?}"
            );
        }
        prop_assert_eq!(received as u64 + told, sent as u64);
        Ok(())
    });
    result.unwrap();
}
