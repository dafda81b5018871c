//! A backend that hangs or panics: every call to it has a bound, and nobody is held up for longer.
//!
//! The clock is the test's, and moves only when nobody has anything left to do.

use std::time::Duration;

use realtime::{Builder, Gateway, Json, Router, error::DeliverErrorKind};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    host::{AnyClient, ByName, Host, Kind, key},
    moody::{Call, Mood, Moods, MoodyBroker, MoodyPresence},
    support::Ends,
};

/// No call may take longer, whatever a backend does.
const BOUND: Duration = Duration::from_secs(15);

/// But that a broker is joined.
const JOIN: Duration = Duration::from_secs(70);

/// A shutdown makes several calls, after the time that it gives its sessions.
const SHUTDOWN: Duration = Duration::from_secs(30);

async fn bounded<T>(what: &str, future: impl Future<Output = T>) -> T {
    within(BOUND, what, future).await
}

async fn within<T>(limit: Duration, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(limit, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what} took longer than {limit:?}"),
    }
}

async fn shut_down(gateway: &Gateway) {
    within(SHUTDOWN, "the shutdown", gateway.shutdown()).await;
}

async fn soon(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = async {
        while !holds().await {
            sleep(Duration::from_millis(100)).await;
        }
    };
    bounded(what, waited).await;
}

/// With one place in all.
fn narrow(presence: &MoodyPresence) -> Builder {
    let router = Router::new().route("echo", async |Json(data): Json<Value>| Json(data));
    let builder = realtime::builder().router(router).authenticator(ByName);
    builder
        .presence(presence.clone())
        .max_connections(Some(1))
        .heartbeat(None)
}

fn moody() -> (MoodyPresence, Moods) {
    let presence = MoodyPresence::default();
    let moods = presence.1.clone();
    (presence, moods)
}

async fn is_served(client: &mut AnyClient) {
    let answer = client.request("echo", Value::Bool(true));
    assert_eq!(bounded("an answer", answer).await.unwrap()["data"], true);
}

/// Says goodbye, and waits until the only place is free again.
async fn leaves(host: &Host, mut client: AnyClient) {
    client.close(1000, "").await.unwrap();
    drop(client);
    its_place_is_free(host).await;
}

async fn its_place_is_free(host: &Host) {
    let gateway = &host.gateway;
    soon("the end of a session", async || {
        let stats = gateway.stats();
        stats.open == 0 && stats.closed == stats.opened
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn where_registering_hangs_sessions_are_served() {
    let (presence, moods) = moody();
    moods.set(Call::Register, Mood::Hangs);
    let host = Host::start(Kind::Hyper, narrow(&presence).build().unwrap()).await;
    for _ in 0..2 {
        let mut client = host.connect("ann").await.0;
        is_served(&mut client).await;
        leaves(&host, client).await;
    }
    shut_down(&host.gateway).await;
}

#[tokio::test(start_paused = true)]
async fn where_registering_hangs_and_must_not_sessions_are_refused() {
    let (presence, moods) = moody();
    moods.set(Call::Register, Mood::Hangs);
    let builder = narrow(&presence).require_presence(true);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    for _ in 0..2 {
        let mut client = host.connect("ann").await.0;
        let closed = bounded("the refusal", client.closed()).await;
        assert_eq!(closed.unwrap().0, 1013);
        drop(client);
        its_place_is_free(&host).await;
    }
    assert_eq!(host.gateway.stats().connects_refused, 2);
}

/// A registration that was given up is made up for, soon after it is possible again.
#[tokio::test(start_paused = true)]
async fn who_could_not_be_registered_is_later() {
    let (presence, moods) = moody();
    moods.set(Call::Register, Mood::HangsOnce);
    let host = Host::start(Kind::Hyper, narrow(&presence).build().unwrap()).await;
    let mut client = host.connect("ann").await.0;
    is_served(&mut client).await;
    soon("presence", async || {
        host.gateway.is_online(&key("ann")).await.unwrap()
    })
    .await;
    leaves(&host, client).await;
}

#[tokio::test(start_paused = true)]
async fn where_unregistering_hangs_sessions_end() {
    let (presence, moods) = moody();
    moods.set(Call::Unregister, Mood::Hangs);
    let ends = Ends::default();
    let builder = ends.hear(narrow(&presence)).max_connections(Some(3));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    for round in 1..=2 {
        // They don't leave together, so not all of them can be in one call.
        let mut clients = Vec::new();
        for _ in 0..3 {
            clients.push(host.connect("ann").await.0);
        }
        host.until_open(3).await;
        let begun = Instant::now();
        for mut client in clients {
            client.close(1000, "").await.unwrap();
            drop(client);
            sleep(Duration::from_millis(10)).await;
        }
        its_place_is_free(&host).await;
        assert!(begun.elapsed() < BOUND);
        assert_eq!(ends.len(), 3 * round);
    }
    shut_down(&host.gateway).await;
}

/// One call that hangs or panics, and the next ones are answered again.
#[tokio::test(start_paused = true)]
async fn one_unregistering_that_comes_to_nothing_is_not_the_end_of_it() {
    for mood in [Mood::HangsOnce, Mood::PanicsOnce] {
        let (presence, moods) = moody();
        moods.set(Call::Unregister, mood);
        let builder = narrow(&presence).presence_ttl(Some(Duration::from_secs(60)));
        let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
        for name in ["ann", "bob", "cid"] {
            let mut client = host.connect(name).await.0;
            is_served(&mut client).await;
            leaves(&host, client).await;
        }
        for name in ["bob", "cid"] {
            assert!(
                !host.gateway.is_online(&key(name)).await.unwrap(),
                "{mood:?}"
            );
        }
        assert!(moods.calls(Call::Unregister) >= 3, "{mood:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn where_renewing_hangs_sessions_are_served_and_can_leave() {
    let (presence, moods) = moody();
    moods.set(Call::Renew, Mood::Hangs);
    let builder = narrow(&presence).presence_ttl(Some(Duration::from_secs(3)));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    let mut client = host.connect("ann").await.0;
    is_served(&mut client).await;
    soon("a renewal", async || moods.calls(Call::Renew) > 0).await;
    is_served(&mut client).await;
    soon("the next renewal", async || moods.calls(Call::Renew) > 1).await;
    leaves(&host, client).await;
    shut_down(&host.gateway).await;
}

/// No lease is lost by it.
#[tokio::test(start_paused = true)]
async fn one_renewal_that_comes_to_nothing_is_tried_again() {
    for mood in [Mood::HangsOnce, Mood::PanicsOnce] {
        let (presence, moods) = moody();
        moods.set(Call::Renew, mood);
        let builder = narrow(&presence).presence_ttl(Some(Duration::from_secs(45)));
        let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
        let mut client = host.connect("ann").await.0;
        is_served(&mut client).await;
        // Several leases long.
        for second in 0..200 {
            let online = host.gateway.is_online(&key("ann")).await.unwrap();
            assert!(online, "{mood:?}: offline after {second} s");
            sleep(Duration::from_secs(1)).await;
        }
        leaves(&host, client).await;
    }
}

#[tokio::test(start_paused = true)]
async fn where_presence_does_not_say_who_is_online_questions_fail() {
    let (presence, moods) = moody();
    for call in [Call::Nodes, Call::Online, Call::Sessions] {
        moods.set(call, Mood::Hangs);
    }
    let host = Host::start(Kind::Hyper, narrow(&presence).build().unwrap()).await;
    let gateway = &host.gateway;
    bounded("the start", gateway.start()).await.unwrap();
    let mut client = host.connect("ann").await.0;
    is_served(&mut client).await;
    bounded("is_online", gateway.is_online(&key("ann")))
        .await
        .unwrap_err();
    bounded("sessions_of", gateway.sessions_of(&key("ann")))
        .await
        .unwrap_err();
    let ann = key("ann");
    let sent = gateway.send_to_identity(&ann, "n", ());
    let error = bounded("send_to_identity", sent).await.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Presence);
    leaves(&host, client).await;
}

#[tokio::test(start_paused = true)]
async fn a_question_that_hangs_sends_locally_where_that_is_the_policy() {
    let (presence, moods) = moody();
    moods.set(Call::Nodes, Mood::Hangs);
    let builder = narrow(&presence).presence_down(realtime::config::PresenceDown::LocalOnly);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    host.gateway.start().await.unwrap();
    let mut client = host.connect("ann").await.0;
    is_served(&mut client).await;
    let ann = key("ann");
    let sent = host.gateway.send_to_identity(&ann, "n", ());
    let delivery = bounded("send_to_identity", sent).await.unwrap();
    assert_eq!(delivery.local, 1);
    assert_eq!(client.recv_json().await.unwrap()["route"], "n");
}

fn with_broker() -> (Gateway, Moods) {
    let broker = MoodyBroker::default();
    let moods = broker.1.clone();
    let gateway = realtime::builder().authenticator(ByName).broker(broker);
    (gateway.build().unwrap(), moods)
}

#[tokio::test(start_paused = true)]
async fn where_the_broker_cannot_be_joined_in_time_start_fails_and_can_be_tried_again() {
    let (gateway, moods) = with_broker();
    moods.set(Call::Subscribe, Mood::HangsOnce);
    // A broker may take its time to find out whether a node's name is free.
    let start = within(JOIN, "the start", gateway.start());
    start.await.unwrap_err();
    bounded("the second start", gateway.start()).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn where_publishing_hangs_sends_return() {
    let (gateway, moods) = with_broker();
    let presence = gateway.clone();
    gateway.start().await.unwrap();
    moods.set(Call::Publish, Mood::Hangs);
    let host = Host::start(Kind::Hyper, gateway.clone()).await;
    let mut client = host.connect("ann").await.0;
    host.until_open(1).await;
    for _ in 0..2 {
        let sent = gateway.broadcast("n", ());
        let error = bounded("the broadcast", sent).await.unwrap_err();
        assert_eq!(error.kind(), DeliverErrorKind::Broker);
        assert_eq!(error.delivered().local, 1);
        assert_eq!(client.recv_json().await.unwrap()["route"], "n");
    }
    // She is online here alone, so nothing is published.
    let ann = key("ann");
    let sent = presence.send_to_identity(&ann, "one", ());
    assert_eq!(bounded("the message", sent).await.unwrap().local, 1);
}

#[tokio::test(start_paused = true)]
async fn where_publishing_to_another_node_hangs_a_targeted_message_fails() {
    let (presence, broker) = (MoodyPresence::default(), MoodyBroker::default());
    let (bus, moods) = (broker.0.clone(), broker.1.clone());
    let here = realtime::builder()
        .authenticator(ByName)
        .presence(presence.clone());
    let here = here.broker(broker).build().unwrap();
    let there = realtime::builder().authenticator(ByName).presence(presence);
    let there = there.broker(bus).build().unwrap();
    here.start().await.unwrap();
    there.start().await.unwrap();
    let host = Host::start(Kind::Hyper, there).await;
    let _client = host.connect("ann").await.0;
    host.until_open(1).await;
    soon("presence", async || {
        here.is_online(&key("ann")).await.unwrap()
    })
    .await;
    moods.set(Call::Publish, Mood::Hangs);
    let ann = key("ann");
    let sent = here.send_to_identity(&ann, "n", ());
    let error = bounded("the message", sent).await.unwrap_err();
    assert_eq!(error.kind(), DeliverErrorKind::Broker);
}

#[tokio::test(start_paused = true)]
async fn where_closing_hangs_a_shutdown_returns() {
    let (presence, moods) = moody();
    let broker = MoodyBroker::default();
    for moods in [&moods, &broker.1] {
        moods.set(Call::Close, Mood::Hangs);
    }
    let closed = broker.1.clone();
    let host = Host::start(
        Kind::Hyper,
        narrow(&presence).broker(broker).build().unwrap(),
    )
    .await;
    host.gateway.start().await.unwrap();
    let _client = host.connect("ann").await.0;
    host.until_open(1).await;
    shut_down(&host.gateway).await;
    assert_eq!(
        (moods.calls(Call::Close), closed.calls(Call::Close)),
        (1, 1)
    );
}

/// Everything at once, and requests that come meanwhile.
#[tokio::test(start_paused = true)]
async fn where_everything_hangs_places_come_free_and_a_shutdown_returns() {
    let (presence, moods) = moody();
    let calls = [
        Call::Close,
        Call::Nodes,
        Call::Online,
        Call::Register,
        Call::Renew,
        Call::Sessions,
        Call::Unregister,
    ];
    for call in calls {
        moods.set(call, Mood::Hangs);
    }
    let builder = narrow(&presence).presence_ttl(Some(Duration::from_secs(3)));
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    for _ in 0..3 {
        let client = host.connect("ann").await.0;
        sleep(Duration::from_secs(1)).await;
        leaves(&host, client).await;
    }
    let client = host.connect("ann").await.0;
    shut_down(&host.gateway).await;
    assert_eq!(host.gateway.stats().open, 0);
    drop(client);
}
