//! The budgets for all sessions together hold, whatever panics, and cost no more sessions than
//! they must.

use realtime::{Gateway, Json, Payload, Router, Session};
use realtime_testkit::wait::{until, within};
use realtime_websocket::{Kind as FrameKind, frame};
use serde_json::{Value, json};

use crate::{
    broken::{At, How},
    host::{ALL, AnyClient, ByName, FOREIGN, Host, Kind, key},
};

const BUDGET: usize = 25_000;

fn narrow(router: Router) -> Gateway {
    let builder = realtime::builder().router(router).authenticator(ByName);
    builder
        .queue_budget(BUDGET)
        .queue_messages(1 << 20)
        .queue_bytes(BUDGET)
        .write_timeout(None)
        .heartbeat(None)
        .build()
        .unwrap()
}

/// A client that reads nothing, with something in its queue.
async fn deaf(host: &Host, name: &str) -> (AnyClient, Session) {
    let (client, _) = host.connect(name).await;
    let session = host.session(name).await;
    let (data, before) = ("x".repeat(1_000), host.gateway.stats().queued_bytes);
    while host.gateway.stats().queued_bytes == before {
        session.send("fill", Json(&data)).unwrap();
    }
    (client, session)
}

/// One that reads nothing is closed before it costs more than the budget.
async fn holds(host: &Host) {
    let (client, session) = deaf(host, "late").await;
    let slow = host.gateway.stats().slow_consumers;
    let data = "x".repeat(1_000);
    for _ in 0..1_000 {
        if session.is_closed() {
            break;
        }
        let _taken_or_not = session.send("n", Json(&data));
        let queued = host.gateway.stats().queued_bytes;
        assert!(queued <= BUDGET as u64 + 2_000, "{queued} bytes wait");
    }
    assert!(session.is_closed(), "it is closed");
    assert_eq!(host.gateway.stats().slow_consumers, slow + 1);
    drop(client);
    until("its queue is gone", async || {
        host.gateway.local_sessions_of(&key("late")).is_empty()
    })
    .await;
}

#[tokio::test]
async fn the_budget_for_queues_holds() {
    for kind in ALL {
        let host = Host::start(kind, narrow(Router::new())).await;
        holds(&host).await;
        assert_eq!(host.gateway.stats().queued_bytes, 0);
    }
}

/// The one who is to go has something in the log, which it gets first, and panics.
#[tokio::test]
async fn a_stream_that_panics_during_an_eviction_does_not_end_all_evictions() {
    for (kind, how) in FOREIGN
        .into_iter()
        .flat_map(|k| [(k, How::Fails), (k, How::Panics)])
    {
        let router = Router::new().route("fill", async |gateway: Gateway, session: Session| {
            // Held back until the handler has had its turn.
            session.send("n", Json(&"x".repeat(20_000))).unwrap();
            gateway.broadcast("n", ()).await.unwrap();
            let deaf = gateway.local_sessions_of(&key("deaf")).remove(0);
            let _taken_or_not = deaf.send("n", Json(&"x".repeat(10_000)));
        });
        let host = Host::start(kind, narrow(router)).await;
        let (deaf_client, _) = deaf(&host, "deaf").await;
        let (mut victim, trap) = host.connect("victim").await;
        host.until_open(2).await;
        trap.arm(At::Write, how);
        victim.send("fill", Value::Null).await.unwrap();
        within("the victim's end", victim.eof()).await;
        drop(victim);
        drop(deaf_client);
        host.until_open(0).await;
        let stats = host.gateway.stats();
        assert_eq!(
            (stats.queued_bytes, stats.assembling_bytes),
            (0, 0),
            "{kind:?} {how:?}"
        );
        holds(&host).await;
    }
}

/// What has begun to be written can't be given up without the stream.
#[tokio::test]
async fn neither_does_one_that_panics_when_it_is_dropped() {
    for kind in FOREIGN {
        let host = Host::start(kind, narrow(Router::new())).await;
        for at in [At::Drop, At::Write, At::Shutdown] {
            let (client, trap) = host.connect("victim").await;
            let session = host.session("victim").await;
            let large = Payload::from(format!("\"{}\"", "x".repeat(8 << 20)));
            trap.arm(At::Drop, How::Panics);
            let sender = tokio::spawn(async move {
                let _taken = session.send("n", &large);
                trap.arm(at, How::Panics);
                let _refused = session.send("n", &large);
            });
            within("the sender", sender)
                .await
                .expect("it notices nothing");
            let gone = async || host.gateway.local_sessions_of(&key("victim")).is_empty();
            drop(client);
            until("the victim is gone", gone).await;
            until("its queue is gone", async || {
                host.gateway.stats().queued_bytes == 0
            })
            .await;
            holds(&host).await;
        }
    }
}

/// All of a message but its last byte.
fn begun() -> (Vec<u8>, u8) {
    let text = json!({"id": "1", "route": "echo", "data": "x".repeat(20_000)}).to_string();
    let mut bytes = frame::client_frame(true, FrameKind::Text, text.as_bytes(), [1; 4]).to_vec();
    let last = bytes.pop().unwrap();
    (bytes, last)
}

fn with_budget(bytes: usize) -> Gateway {
    let router = Router::new().route("echo", async |Json(data): Json<Value>| Json(data));
    let builder = realtime::builder().router(router).authenticator(ByName);
    builder
        .assembly_budget(bytes)
        .read_limit(bytes.min(1 << 20))
        .heartbeat(None)
        .build()
        .unwrap()
}

/// What one unfinished message costs.
async fn cost() -> u64 {
    let host = Host::start(Kind::Hyper, with_budget(1 << 20)).await;
    let (mut client, _) = host.connect("one").await;
    client.send_raw(&begun().0).await.unwrap();
    let held = async || host.gateway.stats().assembling_bytes > 20_000;
    until("it is held", held).await;
    host.gateway.stats().assembling_bytes
}

/// How many of eight unfinished messages that came at once are finished, where there is room for
/// so many.
async fn finished(kind: Kind, room: u64) -> usize {
    let budget = cost().await * room + 10_000;
    let host = Host::start(kind, with_budget(budget as usize)).await;
    let mut clients = Vec::new();
    for _ in 0..8 {
        clients.push(host.connect("one").await.0);
    }
    host.until_open(8).await;
    let (bytes, last) = begun();
    for client in &mut clients {
        client.send_raw(&bytes).await.unwrap();
    }
    until("all are read and the budget holds", async || {
        let stats = host.gateway.stats();
        let all = stats.violations >= 8 - room && (room < 8 || stats.assembling_bytes > 160_000);
        all && stats.assembling_bytes <= budget
    })
    .await;
    let mut answered = 0;
    for client in &mut clients {
        // One that was closed may be gone already.
        let _sent = client.send_raw(&[last]).await;
        answered += usize::from(is_answered(client).await);
    }
    answered
}

async fn is_answered(client: &mut AnyClient) -> bool {
    matches!(client.recv_json().await, Ok(message) if message["route"] == "echo")
}

#[tokio::test]
async fn past_the_budget_for_messages_no_more_are_closed_than_must_be() {
    for kind in [Kind::Hyper, Kind::Secured, Kind::Plain] {
        for room in [8, 4, 1] {
            let finished = finished(kind, room).await;
            assert_eq!(finished as u64, room, "{kind:?}");
        }
    }
}

/// There is room for eight, a ninth comes, and all the others stir before anybody has left.
#[tokio::test]
async fn nor_where_all_go_on_reading_meanwhile() {
    let budget = cost().await * 8 + 10_000;
    let host = Host::start(Kind::Hyper, with_budget(budget as usize)).await;
    let mut clients = Vec::new();
    for _ in 0..9 {
        clients.push(host.connect("one").await.0);
    }
    host.until_open(9).await;
    let (bytes, last) = begun();
    let (most, rest) = bytes.split_at(bytes.len() - 10);
    for client in &mut clients[..8] {
        client.send_raw(most).await.unwrap();
    }
    until("eight are held", async || {
        host.gateway.stats().assembling_bytes > 8 * 20_000 - 8 * 100
    })
    .await;
    // No session has a turn before all of it is there.
    clients[8].send_raw(most).await.unwrap();
    for piece in rest.chunks(1) {
        for client in &mut clients {
            client.send_raw(piece).await.unwrap();
        }
    }
    let gone = async || host.gateway.stats().violations > 0 && host.gateway.stats().open <= 8;
    until("one is closed", gone).await;
    let mut answered = 0;
    for client in &mut clients {
        let _sent = client.send_raw(&[last]).await;
        answered += usize::from(is_answered(client).await);
    }
    assert_eq!((answered, host.gateway.stats().violations), (8, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn nor_where_they_come_on_several_threads() {
    for kind in [Kind::Plain, Kind::Secured] {
        for _ in 0..5 {
            assert_eq!(finished(kind, 4).await, 4, "{kind:?}");
        }
    }
}

/// The same for queues: of eight who don't read, four may stay.
#[tokio::test]
async fn past_the_budget_for_queues_no_more_are_closed_than_must_be() {
    let host = Host::start(Kind::Hyper, narrow(Router::new())).await;
    let mut sessions = Vec::new();
    for n in 0..8 {
        sessions.push(deaf(&host, &format!("deaf-{n}")).await);
    }
    let data = "x".repeat(5_000);
    for (_, session) in &sessions {
        let _taken_or_not = session.send("n", Json(&data));
    }
    let open = sessions.iter().filter(|(_, session)| !session.is_closed());
    // What waits for each is this message and the rest of the one before.
    let open = open.count();
    assert!((4..=5).contains(&open), "{open} of 8 are left");
}

/// What a socket has begun with stays when the rest is given up, and may be more than the budget.
#[tokio::test]
async fn past_the_budget_for_queues_one_that_reads_is_not_closed_for_those_that_do_not() {
    let router = Router::new().route("greet", async |session: Session| {
        // Held back until the handler has had its turn: it has something in its queue, too.
        session.send("hello", ()).unwrap();
    });
    let host = Host::start(Kind::Hyper, narrow(router)).await;
    let (mut reads, _) = host.connect("reads").await;
    let (large, mut deaf) = ("x".repeat(60_000), Vec::new());
    for n in 0..8 {
        let name = format!("deaf-{n}");
        let (client, _) = host.connect(&name).await;
        let session = host.session(&name).await;
        // More than fits in.
        for _ in 0..2 {
            let _taken_or_not = session.send("n", Json(&large));
        }
        deaf.push((client, session));
        reads.send("greet", Value::Null).await.unwrap();
        let greeting = within("the greeting", reads.recv_json()).await.unwrap();
        assert_eq!(greeting["route"], "hello");
        let queued = host.gateway.stats().queued_bytes;
        assert!(queued <= BUDGET as u64, "{queued} bytes wait");
    }
    assert_eq!(host.gateway.stats().slow_consumers, 8);
}

/// One whose next bytes are always there already.
#[tokio::test]
async fn past_the_budget_for_messages_one_that_never_waits_goes_as_well() {
    const PART: usize = 256 << 10;
    let router = Router::new().route("take", async || ());
    let builder = realtime::builder().router(router).authenticator(ByName);
    let builder = builder.heartbeat(None).read_limit(32 * PART);
    let gateway = builder.assembly_budget(32 * PART).build().unwrap();
    let host = Host::start(Kind::Hyper, gateway).await;
    let (mut slow, _) = host.connect("slow").await;
    let text = |size| json!({"route": "take", "data": "x".repeat(size)}).to_string();
    let message =
        |size| frame::client_frame(true, FrameKind::Text, text(size).as_bytes(), [1; 4]).to_vec();
    let mut part = message(10 * PART);
    let last = part.pop().unwrap();
    slow.send_raw(&part).await.unwrap();
    let held = async || host.gateway.stats().assembling_bytes > 10 * PART as u64;
    until("its part is held", held).await;

    let mut fast = host.connect_wide("fast", 64 * PART).await;
    fast.send_raw(&message(30 * PART)).await.unwrap();
    assert_eq!(fast.closed().await.unwrap().0, 1009);
    slow.send_raw(&[last]).await.unwrap();
    let handled = async || host.gateway.stats().received == 1;
    until("the other's message is handled", handled).await;
}

/// Who has left holds what it sent before, until that is handled.
#[tokio::test]
async fn past_the_budget_for_messages_one_that_has_left_goes_first() {
    let router = Router::new()
        .route("stuck", async || std::future::pending::<()>().await)
        .route("echo", async |Json(data): Json<Value>| Json(data));
    let builder = realtime::builder().router(router).authenticator(ByName);
    let builder = builder
        .assembly_budget(30_000)
        .read_limit(30_000)
        .heartbeat(None);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let (mut leaves, _) = host.connect("leaves").await;
    leaves.send("stuck", Value::Null).await.unwrap();
    let large = json!("x".repeat(25_000));
    leaves.send("stuck", large).await.unwrap();
    let session = host.session("leaves").await;
    leaves.close(1000, "").await.unwrap();
    within("its close frame", session.closed()).await;
    let (mut stays, _) = host.connect("stays").await;
    let (bytes, last) = begun();
    stays.send_raw(&bytes).await.unwrap();
    until("there is room", async || {
        let stats = host.gateway.stats();
        stats.unhandled + stats.violations > 0
    })
    .await;
    stays.send_raw(&[last]).await.unwrap();
    assert!(is_answered(&mut stays).await);
    let stats = host.gateway.stats();
    assert_eq!((stats.unhandled, stats.violations), (1, 0));
}

/// Who is closed holds what waits for it, until that is written.
#[tokio::test]
async fn past_the_budget_for_queues_one_that_is_closed_goes_first() {
    let host = Host::start(Kind::Hyper, narrow(Router::new())).await;
    let (_closed_client, closed) = deaf(&host, "closed").await;
    let (_client, session) = deaf(&host, "open").await;
    closed.send("n", Json(&"x".repeat(20_000))).unwrap();
    closed.close(realtime::CloseCode::new(4000).unwrap(), "");
    for _ in 0..4 {
        session.send("n", Json(&"x".repeat(4_000))).unwrap();
    }
    assert!(!session.is_closed());
    assert!(host.gateway.stats().queued_bytes <= BUDGET as u64);
}
