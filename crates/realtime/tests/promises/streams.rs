//! A host's own stream that panics ends its session and nothing else, as one does that fails.

use std::{sync::Arc, time::Duration};

use futures::future::join_all;
use realtime::{
    Gateway, Initiator, Json, Router, Session, broker::LocalBroker, presence::MemoryPresence,
};
use realtime_testkit::wait::{until, within};
use serde_json::{Value, json};

use crate::{
    broken::{At, How, Trap},
    host::{AnyClient, ByName, FOREIGN, Host, Kind, key},
    support::Ends,
};

/// More than may be on their way at once.
const MANY: u32 = 300;

fn router() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("flood", async |session: Session| {
            // Much more than is held back while a handler runs.
            let kilobyte = "x".repeat(1_000);
            for _ in 0..200 {
                if session.send("flood", Json(&kilobyte)).is_err() {
                    break;
                }
            }
        })
}

/// A session whose stream will panic, among others.
struct Case {
    host: Host,
    ends: Ends,
    victim: AnyClient,
    session: Session,
    trap: Arc<Trap>,
    bystanders: Vec<AnyClient>,
}

impl Case {
    async fn start(kind: Kind) -> Self {
        let ends = Ends::default();
        let builder = realtime::builder().router(router()).authenticator(ByName);
        let builder = builder
            .queue_messages(1 << 20)
            .queue_bytes(256 << 20)
            .heartbeat(None);
        let host = Host::start(kind, ends.hear(builder).build().unwrap()).await;
        // Enough for some beside the victim in its shard, before it and after.
        let others = 2 * std::thread::available_parallelism()
            .map_or(1, usize::from)
            .min(16);
        let mut bystanders = Vec::new();
        for _ in 0..others {
            bystanders.push(host.connect("bystander").await.0);
        }
        let (victim, trap) = host.connect("victim").await;
        let session = host.session("victim").await;
        for _ in 0..others {
            bystanders.push(host.connect("bystander").await.0);
        }
        host.until_open(bystanders.len() as u64 + 1).await;
        Self {
            host,
            ends,
            victim,
            session,
            trap,
            bystanders,
        }
    }

    fn gateway(&self) -> &Gateway {
        &self.host.gateway
    }

    /// The victim is gone without a trace, and everybody else is served as before.
    async fn check(mut self, at: &str) {
        let gateway = self.gateway().clone();
        let kind = self.host.kind();
        until(&format!("{at} {kind:?}: on_disconnect runs"), async || {
            self.ends.len() > 0
        })
        .await;
        let others = self.bystanders.len();
        self.host.until_open(others as u64).await;
        assert!(!gateway.is_online(&key("victim")).await.unwrap());
        within("the end of the victim's connection", self.victim.eof()).await;
        for n in 0..MANY {
            let broadcast = gateway.broadcast("after", Json(&n));
            let delivery = within("a broadcast", broadcast).await.unwrap();
            assert_eq!(delivery.local, others, "{at} {kind:?}");
        }
        for client in &mut self.bystanders {
            for n in 0..MANY {
                assert_eq!(next(client, "after").await, n);
            }
            let answer = client.request("echo", json!("still here")).await.unwrap();
            assert_eq!(answer["data"], "still here");
        }
        until("the books are balanced", async || {
            let stats = gateway.stats();
            (stats.queued_bytes, stats.assembling_bytes) == (0, 0)
        })
        .await;
        assert_eq!(gateway.stats().slow_consumers, 0);
        assert_eq!(self.ends.len(), 1, "on_disconnect runs once");
        let report = within("the shutdown", gateway.shutdown()).await;
        let (sessions, aborted, left) = (report.sessions, report.aborted, report.tasks_left);
        assert_eq!((sessions, aborted, left), (others, 0, 0));
        assert_eq!(self.ends.len(), others + 1);
    }
}

/// The data of the next message on a route.
async fn next(client: &mut AnyClient, route: &str) -> Value {
    loop {
        let mut message = client.recv_json().await.unwrap();
        if message["route"] == route {
            return message["data"].take();
        }
    }
}

/// Each host, and what is no worse than the other.
fn ways() -> impl Iterator<Item = (Kind, How)> {
    let each = |how| FOREIGN.map(|kind| (kind, how));
    [How::Fails, How::Panics].into_iter().flat_map(each)
}

/// Breaks a stream while `act` uses it.
async fn survives(at: At, act: impl AsyncFn(&mut Case)) {
    let each = ways().map(async |(kind, how)| {
        let mut case = Case::start(kind).await;
        case.trap.arm(at, how);
        act(&mut case).await;
        case.check(&format!("{at:?} {how:?}")).await;
    });
    join_all(each).await;
}

async fn broadcast(case: &mut Case) {
    let sent = case.gateway().broadcast("m", Json(&1));
    within("the broadcast", sent).await.unwrap();
}

async fn send(case: &mut Case) {
    let session = case.session.clone();
    let sender = tokio::spawn(async move {
        let _closed_or_not = session.send("m", Json(&1));
    });
    sender.await.expect("a sender notices nothing");
}

async fn send_wait(case: &mut Case) {
    let session = case.session.clone();
    let sender = tokio::spawn(async move {
        let _closed_or_not = session.send_wait("m", Json(&1)).await;
    });
    within("the sender", sender)
        .await
        .expect("it notices nothing");
}

async fn send_to_identity(case: &mut Case) {
    let gateway = case.gateway().clone();
    let sender = tokio::spawn(async move {
        let _online_or_not = gateway
            .send_to_identity(&key("victim"), "m", Json(&1))
            .await;
    });
    within("the sender", sender)
        .await
        .expect("it notices nothing");
}

async fn ask(case: &mut Case) {
    let request = json!({"id": "1", "route": "echo", "data": 1}).to_string();
    case.victim.send_text(&request).await.unwrap();
}

async fn flood(case: &mut Case) {
    case.victim.send("flood", Value::Null).await.unwrap();
}

#[tokio::test]
async fn a_write_that_panics_under_a_broadcast() {
    survives(At::Write, broadcast).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_write_that_panics_under_several_broadcasts_at_once() {
    survives(At::Write, async |case: &mut Case| {
        let broadcasts = (0..MANY).map(|n| {
            let gateway = case.gateway().clone();
            tokio::spawn(async move {
                gateway.broadcast("m", Json(&n)).await.unwrap();
            })
        });
        for sent in broadcasts.collect::<Vec<_>>() {
            within("a broadcast", sent).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_write_that_panics_under_a_sender() {
    survives(At::Write, send).await;
    survives(At::Write, send_wait).await;
    survives(At::Write, send_to_identity).await;
}

#[tokio::test]
async fn a_write_that_panics_under_a_reply() {
    survives(At::Write, ask).await;
}

#[tokio::test]
async fn a_write_that_panics_under_a_handler_that_sends_much() {
    survives(At::Write, flood).await;
}

/// A pipe that is full, and panics when it has room again.
#[tokio::test]
async fn a_write_that_panics_while_messages_wait() {
    for (kind, how) in ways() {
        let mut case = Case::start(kind).await;
        let large = "x".repeat(100_000);
        while case.gateway().stats().queued_bytes < 300_000 {
            case.session.send("m", Json(&large)).unwrap();
        }
        case.trap.arm(At::Write, how);
        // It reads until it has room, and to the end.
        within("the victim's end", case.victim.eof()).await;
        case.check(&format!("full {how:?}")).await;
    }
}

#[tokio::test]
async fn a_flush_that_panics() {
    survives(At::Flush, broadcast).await;
    survives(At::Flush, send).await;
    survives(At::Flush, ask).await;
}

#[tokio::test]
async fn a_read_that_panics() {
    survives(At::Read, ask).await;
}

#[tokio::test]
async fn a_read_that_panics_in_the_middle_of_a_message() {
    for (kind, how) in ways() {
        let mut case = Case::start(kind).await;
        let half = realtime_websocket::frame::fragment(1, false, &[b' '; 5_000], Some([1; 4]));
        case.victim.send_raw(&half).await.unwrap();
        let gateway = case.gateway().clone();
        until("a half is held", async || {
            gateway.stats().assembling_bytes > 0
        })
        .await;
        case.trap.arm(At::Read, how);
        case.victim.send_frame(0, true, b" ").await.unwrap();
        case.check(&format!("half {how:?}")).await;
    }
}

#[tokio::test]
async fn an_end_that_panics() {
    survives(At::Shutdown, async |case: &mut Case| {
        case.session
            .close(realtime::CloseCode::new(4000).unwrap(), "");
    })
    .await;
    survives(At::Shutdown, async |case: &mut Case| {
        case.victim.close(1000, "").await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_close_frame_that_panics() {
    survives(At::Write, async |case: &mut Case| {
        case.session
            .close(realtime::CloseCode::new(4000).unwrap(), "");
    })
    .await;
}

#[tokio::test]
async fn a_drop_that_panics() {
    survives(At::Drop, async |case: &mut Case| {
        case.session
            .close(realtime::CloseCode::new(4000).unwrap(), "");
    })
    .await;
    survives(At::Drop, async |case: &mut Case| {
        case.victim.close(1000, "").await.unwrap();
    })
    .await;
}

/// The connect hook has run, so the session has a disconnect hook, too.
#[tokio::test]
async fn a_write_that_panics_under_a_connect_hook() {
    for (kind, how) in ways() {
        let ends = Ends::default();
        let builder = realtime::builder().authenticator(ByName);
        let builder = builder.on_connect(async |session: Session| {
            let _closed_or_not = session.send("hello", ());
            tokio::time::sleep(Duration::from_millis(5)).await;
        });
        let host = Host::start(kind, ends.hear(builder).build().unwrap()).await;
        let (mut bystander, _) = host.connect("bystander").await;
        assert_eq!(bystander.recv_json().await.unwrap()["route"], "hello");
        host.next(At::FirstFrame, how);
        let (mut victim, _) = host.connect("victim").await;
        let info = ends.one().await;
        assert!(!info.expected && info.initiator == Initiator::Error);
        host.until_open(1).await;
        assert!(!host.gateway.is_online(&key("victim")).await.unwrap());
        within("the victim's end", victim.eof()).await;
        let sent = within("a broadcast", host.gateway.broadcast("n", ())).await;
        assert_eq!(sent.unwrap().local, 1);
        assert_eq!(bystander.recv_json().await.unwrap()["route"], "n");
        assert_eq!(host.gateway.stats().queued_bytes, 0);
    }
}

/// The relay, which brings what other nodes send, goes on.
#[tokio::test]
async fn a_write_that_panics_under_a_message_of_another_node() {
    for (kind, how) in ways() {
        let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
        let node = || {
            let builder = realtime::builder().router(router()).authenticator(ByName);
            builder.broker(broker.clone()).presence(presence.clone())
        };
        let ends = Ends::default();
        let (here, there) = (ends.hear(node()).build().unwrap(), node().build().unwrap());
        here.start().await.unwrap();
        there.start().await.unwrap();
        let host = Host::start(kind, here.clone()).await;
        let (mut bystander, _) = host.connect("bystander").await;
        let (mut victim, trap) = host.connect("victim").await;
        host.until_open(2).await;
        until("both are online", async || {
            let online = async |name| there.is_online(&key(name)).await.unwrap();
            online("victim").await && online("bystander").await
        })
        .await;
        trap.arm(At::Write, how);
        let sent = there.send_to_identity(&key("victim"), "m", ()).await;
        sent.unwrap();
        until(
            &format!("{kind:?} {how:?}: on_disconnect runs"),
            async || ends.len() > 0,
        )
        .await;
        within("the victim's end", victim.eof()).await;
        host.until_open(1).await;
        there.broadcast("all", ()).await.unwrap();
        let sent = there.send_to_identity(&key("bystander"), "one", ()).await;
        sent.unwrap();
        for route in ["all", "one"] {
            assert_eq!(bystander.recv_json().await.unwrap()["route"], route);
        }
        let report = within("the shutdown", here.shutdown()).await;
        assert_eq!((report.aborted, report.tasks_left), (0, 0));
    }
}

#[tokio::test]
async fn a_write_that_panics_under_a_shutdown() {
    for (kind, how) in ways() {
        let mut case = Case::start(kind).await;
        case.trap.arm(At::Write, how);
        let report = within("the shutdown", case.gateway().shutdown()).await;
        let others = case.bystanders.len();
        let (sessions, aborted, left) = (report.sessions, report.aborted, report.tasks_left);
        assert_eq!(
            (sessions, aborted, left),
            (others + 1, 0, 0),
            "{kind:?} {how:?}"
        );
        for client in &mut case.bystanders {
            assert_eq!(client.closed().await.unwrap().0, 1001);
        }
        assert_eq!(case.ends.len(), others + 1);
        assert_eq!(case.gateway().stats().open, 0);
    }
}

/// A runtime that is dropped drops its sessions: all of them, and their books are balanced.
#[test]
fn a_drop_that_panics_at_the_end_of_its_runtime() {
    for kind in FOREIGN {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let (case, gateway) = runtime.block_on(async {
            let case = Case::start(kind).await;
            // Something waits for it.
            let large = "x".repeat(100_000);
            while case.gateway().stats().queued_bytes == 0 {
                case.session.send("m", Json(&large)).unwrap();
            }
            case.trap.arm(At::Drop, How::Panics);
            let gateway = case.gateway().clone();
            (case, gateway)
        });
        drop(runtime);
        let (stats, open) = (gateway.stats(), case.bystanders.len() as u64 + 1);
        assert_eq!((stats.open, stats.aborted), (0, open), "{kind:?}");
        assert_eq!((stats.queued_bytes, stats.assembling_bytes), (0, 0));
        assert!(case.session.is_closed());
    }
}

/// A slot is taken until the session has ended, and free from then on.
#[tokio::test]
async fn the_place_of_a_session_whose_stream_panics_is_free_again() {
    for (kind, at) in [
        (Kind::Hyper, At::Write),
        (Kind::Secured, At::Read),
        (Kind::Secured, At::Shutdown),
        (Kind::Hyper, At::Drop),
    ] {
        let builder = realtime::builder().router(router()).authenticator(ByName);
        let gateway = builder.max_connections(Some(1)).build().unwrap();
        let host = Host::start(kind, gateway.clone()).await;
        for round in 0..3 {
            let (mut victim, trap) = host.connect("victim").await;
            let session = host.session("victim").await;
            trap.arm(at, How::Panics);
            let request = json!({"id": "1", "route": "echo"}).to_string();
            victim.send_text(&request).await.unwrap();
            session.close(realtime::CloseCode::new(4000).unwrap(), "");
            within("the victim's end", victim.eof()).await;
            let ended = async || gateway.stats().closed == round + 1;
            until("the session has ended", ended).await;
            host.until_open(0).await;
        }
    }
}
