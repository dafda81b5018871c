//! Sessions of several runtimes: the end of one of them holds up nobody in the others.

use std::{pin::Pin, time::Duration};

use realtime::{Gateway, IdentityKey, Json, error::DeliverError, report::Delivery};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use serde_json::json;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    elsewhere::Elsewhere,
    moody::{Call, Mood, MoodyPresence},
};

/// More than may be on their way at once.
const MANY: u32 = 1_000;

fn quiet() -> realtime::Builder {
    realtime::builder().heartbeat(None).write_timeout(None)
}

type Waiting = Pin<Box<dyn Future<Output = Result<Delivery, DeliverError>> + Send>>;

/// Broadcasts until one has to wait, which is returned, after how many others.
async fn until_one_waits(gateway: &Gateway) -> (u32, Option<Waiting>) {
    for sent in 0..MANY {
        let gateway = gateway.clone();
        let mut broadcast: Waiting =
            Box::pin(async move { gateway.broadcast("n", Json(&sent)).await });
        match timeout(Duration::from_millis(300), broadcast.as_mut()).await {
            Ok(sent) => drop(sent.unwrap()),
            Err(_waits) => return (sent, Some(broadcast)),
        }
    }
    (MANY, None)
}

/// Two that wait, since the first alone might be released by chance.
async fn two_wait(gateway: &Gateway) -> Vec<Waiting> {
    let waiting = until_one_waits(gateway).await.1;
    let second = until_one_waits(gateway).await.1;
    waiting.into_iter().chain(second).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_that_waits_returns_when_the_runtime_of_the_sessions_is_dropped() {
    let gateway = quiet().build().unwrap();
    let mut there = Elsewhere::serve(&gateway);
    let _clients = [there.connect().await, there.connect().await];
    until("they are open", async || gateway.stats().open == 2).await;
    there.freeze();
    let waiting = two_wait(&gateway).await;
    there.end().await;
    assert_eq!(gateway.stats().open, 0);
    for broadcast in waiting {
        within("the broadcast that waits", broadcast).await.unwrap();
    }
    let nobody = within("the next", gateway.broadcast("n", ())).await;
    assert_eq!(nobody.unwrap().local, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_that_waits_returns_when_the_gateway_shuts_down() {
    let gateway = quiet().build().unwrap();
    let mut there = Elsewhere::serve(&gateway);
    let _clients = [there.connect().await, there.connect().await];
    until("they are open", async || gateway.stats().open == 2).await;
    there.freeze();
    let waiting = two_wait(&gateway).await;
    let stopping = gateway.clone();
    let shutdown =
        tokio::spawn(async move { stopping.shutdown_within(Duration::from_millis(100)).await });
    for broadcast in waiting {
        let _delivered_or_not = within("the broadcast that waits", broadcast).await;
    }
    within("the shutdown", shutdown).await.unwrap();
    there.end().await;
}

/// The first runtime carries broadcasts to the sessions of both.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broadcast_that_waits_goes_on_when_only_the_runtime_that_carried_it_is_dropped() {
    let gateway = quiet().build().unwrap();
    let mut there = Elsewhere::serve(&gateway);
    let _client = there.connect().await;
    until("it is open", async || gateway.stats().open == 1).await;
    let here = Elsewhere::serve(&gateway);
    let mut clients = [
        here.connect().await,
        here.connect().await,
        here.connect().await,
    ];
    until("all are open", async || gateway.stats().open == 4).await;
    there.freeze();
    let (before, waiting) = until_one_waits(&gateway).await;
    there.end().await;
    let mut sent = before;
    if let Some(waiting) = waiting {
        within("the broadcast that waits", waiting).await.unwrap();
        sent += 1;
    }
    for n in sent..sent + 300 {
        let delivery = within("a broadcast", gateway.broadcast("n", Json(&n))).await;
        assert_eq!(delivery.unwrap().local, 3);
    }
    for client in &mut clients {
        for n in 0..sent + 300 {
            let message = client.recv_json().await.unwrap();
            assert_eq!(message, json!({"route": "n", "data": n}));
        }
    }
    here.end().await;
}

/// Without anybody who broadcasts: what is on its way arrives.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_broadcast_before_a_runtime_is_dropped_reaches_the_sessions_of_the_others() {
    let gateway = quiet().build().unwrap();
    let mut there = Elsewhere::serve(&gateway);
    let _client = there.connect().await;
    until("it is open", async || gateway.stats().open == 1).await;
    let here = Elsewhere::serve(&gateway);
    let mut clients = [here.connect().await, here.connect().await];
    until("all are open", async || gateway.stats().open == 3).await;
    there.freeze();
    for n in 0..10 {
        let delivery = within("a broadcast", gateway.broadcast("n", Json(&n))).await;
        assert_eq!(delivery.unwrap().local, 3);
    }
    there.end().await;
    for client in &mut clients {
        for n in 0..10 {
            assert_eq!(client.recv_json().await.unwrap()["data"], n);
        }
    }
    here.end().await;
}

/// And without anything to say: time goes on, too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_go_on_in_the_runtimes_that_are_left() {
    let builder = realtime::builder().heartbeat(Some(Duration::from_millis(100)));
    let builder = builder.pong_timeout(Some(Duration::from_millis(500)));
    let gateway = builder.build().unwrap();
    let there = Elsewhere::serve(&gateway);
    let client = there.connect().await;
    until("it is open", async || gateway.stats().open == 1).await;
    let here = Elsewhere::serve(&gateway);
    let mut silent = here.connect().await;
    silent.auto_pong = false;
    until("both are open", async || gateway.stats().open == 2).await;
    there.end().await;
    drop(client);
    assert_eq!(silent.closed().await.unwrap().0, 3012);
    here.end().await;
}

/// Those that were seen and are gone are not remembered in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heartbeats_go_on_in_a_runtime_that_came_after_many_short_ones() {
    let builder = realtime::builder().heartbeat(Some(Duration::from_millis(100)));
    let builder = builder.pong_timeout(Some(Duration::from_millis(500)));
    let gateway = builder.build().unwrap();
    let there = Elsewhere::serve(&gateway);
    let _client = there.connect().await;
    until("it is open", async || gateway.stats().open == 1).await;
    for _ in 0..20 {
        let short = Elsewhere::serve(&gateway);
        let _client = short.connect().await;
        until("both are open", async || gateway.stats().open == 2).await;
        short.end().await;
    }
    let here = Elsewhere::serve(&gateway);
    let mut silent = here.connect().await;
    silent.auto_pong = false;
    until("both are open", async || gateway.stats().open == 2).await;
    there.end().await;
    assert_eq!(silent.closed().await.unwrap().0, 3012);
    here.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_go_on_being_renewed_in_the_runtimes_that_are_left() {
    const LEASE: Duration = Duration::from_millis(1_500);
    let gateway = quiet().presence_ttl(Some(LEASE)).build().unwrap();
    let there = Elsewhere::serve(&gateway);
    let first = there.connect().await;
    until("it is open", async || gateway.stats().open == 1).await;
    let here = Elsewhere::serve(&gateway);
    let mut second: Client = here.connect().await;
    until("both are open", async || gateway.stats().open == 2).await;
    there.end().await;
    drop(first);
    let anonymous = IdentityKey::new("anonymous");
    let dropped = Instant::now();
    while dropped.elapsed() < 3 * LEASE {
        let sessions = gateway.local_sessions();
        assert_eq!(sessions.len(), 1);
        let online = gateway.sessions_of(&anonymous).await.unwrap();
        let known = online
            .iter()
            .any(|info| info.session_id == sessions[0].id());
        assert!(
            known,
            "its lease ended {:?} after the drop",
            dropped.elapsed()
        );
        sleep(LEASE / 10).await;
    }
    // It can leave, too.
    second.close(1000, "").await.unwrap();
    until("nobody is online", async || {
        !gateway.is_online(&anonymous).await.unwrap()
    })
    .await;
    here.end().await;
}

/// No lease ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_leaves_while_the_runtime_of_those_who_tell_presence_is_dropped_is_offline() {
    let presence = MoodyPresence::default();
    let moods = presence.1.clone();
    let gateway = quiet().presence(presence).presence_ttl(None);
    let gateway = gateway.build().unwrap();
    let there = Elsewhere::serve(&gateway);
    let first = there.connect().await;
    until("it is open", async || gateway.stats().open == 1).await;
    let here = Elsewhere::serve(&gateway);
    let mut second: Client = here.connect().await;
    until("both are open", async || gateway.stats().open == 2).await;
    let sessions = gateway.local_sessions();
    let second_id = sessions
        .iter()
        .max_by_key(|s| s.connected_at())
        .unwrap()
        .id();
    moods.set(Call::Unregister, Mood::HangsOnce);
    second.close(1000, "").await.unwrap();
    until("presence is asked", async || {
        moods.calls(Call::Unregister) == 1
    })
    .await;
    there.end().await;
    drop(first);
    until("it is offline", async || {
        let online = gateway.sessions_of(&IdentityKey::new("anonymous")).await;
        online
            .unwrap()
            .iter()
            .all(|info| info.session_id != second_id)
    })
    .await;
    here.end().await;
}
