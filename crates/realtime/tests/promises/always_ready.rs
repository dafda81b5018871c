//! A handler that is always ready: its client lives, is heard and is served.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{Builder, Json, Router, Session};
use realtime_testkit::wait::{until, within};
use realtime_websocket::Event;
use serde_json::{Value, json};
use tokio::{
    sync::mpsc,
    task::{coop::consume_budget, yield_now},
};

use crate::{
    host::{ALL, AnyClient, ByName, Host, Kind},
    support::Ends,
};

const HEARTBEAT: Duration = Duration::from_millis(200);
const PONG_TIMEOUT: Duration = Duration::from_secs(1);
/// As many as come in twice the time after which a peer counts as dead.
const PINGS: usize = 10;

/// How a handler is always ready.
#[derive(Debug, Clone, Copy)]
enum Ready {
    /// By what uses up a task's turn.
    Budget,
    /// By a channel that is never empty.
    Channel,
    /// By yielding, after which it goes on at once.
    Yields,
}

const WAYS: [Ready; 3] = [Ready::Yields, Ready::Budget, Ready::Channel];

impl Ready {
    async fn until(self, mut done: impl FnMut() -> bool) {
        let (sender, mut items) = mpsc::channel(1_000);
        while !done() {
            match self {
                Self::Budget => consume_budget().await,
                Self::Yields => yield_now().await,
                Self::Channel => {
                    while sender.try_send(()).is_ok() {}
                    items.recv().await.unwrap();
                }
            }
        }
    }
}

fn cases() -> impl Iterator<Item = (Kind, Ready)> {
    WAYS.into_iter().flat_map(|way| ALL.map(|kind| (kind, way)))
}

/// A gateway with a handler that is ready until the test says.
fn busy(ready: Ready, done: &Arc<AtomicBool>) -> Builder {
    let done = Arc::clone(done);
    let router = Router::new()
        .route("busy", move || {
            let done = Arc::clone(&done);
            async move {
                ready.until(|| done.load(SeqCst)).await;
                Json("done")
            }
        })
        .route("while-open", move |session: Session| async move {
            ready.until(|| session.is_closed()).await;
        });
    let builder = realtime::builder().router(router).authenticator(ByName);
    builder
        .heartbeat(Some(HEARTBEAT))
        .pong_timeout(Some(PONG_TIMEOUT))
}

async fn start(client: &mut AnyClient) {
    let request = json!({"id": "1", "route": "busy"}).to_string();
    client.send_text(&request).await.unwrap();
}

/// Answers every ping, and returns what else comes first.
async fn pings(client: &mut AnyClient, pings: usize) -> Option<Event> {
    client.auto_pong = false;
    for _ in 0..pings {
        match client.recv().await.unwrap() {
            Event::Ping(payload) => client.send_frame(10, true, &payload).await.unwrap(),
            other => return Some(other),
        }
    }
    None
}

async fn lives(ready: Ready) {
    let hosts = ALL.map(|kind| async move {
        let done = Arc::new(AtomicBool::new(false));
        let gateway = busy(ready, &done).build().unwrap();
        let host = Host::start(kind, gateway).await;
        let (mut client, _) = host.connect("client").await;
        start(&mut client).await;
        let ended = pings(&mut client, PINGS).await;
        done.store(true, SeqCst);
        assert_eq!(ended, None, "{kind:?} {ready:?}");
        client.auto_pong = true;
        assert_eq!(client.recv_json().await.unwrap()["data"], "done");
        host.gateway.shutdown().await;
    });
    for host in hosts.map(tokio::spawn) {
        host.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_answers_pings_lives_while_its_handler_uses_up_every_turn() {
    lives(Ready::Budget).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_answers_pings_lives_while_its_handler_empties_a_full_channel() {
    lives(Ready::Channel).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_client_that_answers_pings_lives_while_its_handler_yields_and_yields() {
    lives(Ready::Yields).await;
}

/// It is heard: a goodbye ends the session, though the handler goes on.
#[tokio::test]
async fn a_handler_that_is_always_ready_learns_that_its_client_has_left() {
    for (kind, ready) in cases() {
        for says_goodbye in [true, false] {
            let (ends, done) = (Ends::default(), Arc::default());
            let builder = ends.hear(busy(ready, &done));
            let host = Host::start(kind, builder.build().unwrap()).await;
            let (mut client, _) = host.connect("client").await;
            client.send("while-open", Value::Null).await.unwrap();
            let begun = async || host.gateway.stats().received == 1;
            until("the handler runs", begun).await;
            if says_goodbye {
                client.close(4000, "").await.unwrap();
            }
            drop(client);
            let what = format!("{kind:?} {ready:?} {says_goodbye}: the handler's end");
            let code = within(&what, ends.one()).await.code;
            assert_eq!(code.map(u16::from), says_goodbye.then_some(4000));
            host.until_open(0).await;
        }
    }
}

/// It is served: what others send it arrives while the handler runs.
#[tokio::test]
async fn messages_of_others_arrive_while_a_handler_is_always_ready() {
    for (kind, ready) in cases() {
        let done = Arc::new(AtomicBool::new(false));
        let unpinged = busy(ready, &done).heartbeat(None).pong_timeout(None);
        let gateway = unpinged.build().unwrap();
        let host = Host::start(kind, gateway.clone()).await;
        let (mut client, _) = host.connect("client").await;
        let session = host.session("client").await;
        start(&mut client).await;
        let begun = async || gateway.stats().received == 1;
        until("the handler runs", begun).await;
        for n in 0..300 {
            let sent = within("a broadcast", gateway.broadcast("all", Json(&n))).await;
            assert_eq!(sent.unwrap().local, 1);
            session.send("one", Json(&n)).unwrap();
            for route in ["all", "one"] {
                let message = client.recv_json().await.unwrap();
                let expected = json!({"route": route, "data": n});
                assert_eq!(message, expected, "{kind:?} {ready:?}");
            }
        }
        // A pong is one of them.
        client.send_frame(9, true, b"?").await.unwrap();
        let pong = client.recv().await.unwrap();
        assert_eq!(pong, Event::Pong("?".into()), "{kind:?} {ready:?}");
        done.store(true, SeqCst);
        assert_eq!(client.recv_json().await.unwrap()["data"], "done");
        gateway.shutdown().await;
    }
}
