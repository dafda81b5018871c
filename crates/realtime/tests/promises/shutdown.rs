//! A shutdown that a handler or a hook waits for can't wait for itself: it comes to its end all
//! the same, and so do the broker and presence.

use std::{sync::Arc, time::Duration};

use realtime::{Builder, Gateway, Router};
use realtime_testkit::wait::{until, within};
use serde_json::Value;

use crate::{
    moody::{Call, Moods, MoodyBroker, MoodyPresence},
    support::Server,
};

const SHORT: Duration = Duration::from_millis(300);

/// A gateway, and what its broker and its presence are asked.
fn recorded(with: impl FnOnce(Builder) -> Builder) -> (Gateway, [Moods; 2]) {
    let (broker, presence) = (MoodyBroker::default(), MoodyPresence::default());
    let moods = [broker.1.clone(), presence.1.clone()];
    let builder = with(realtime::builder().broker(broker).presence(presence));
    (
        builder.shutdown_timeout(Some(SHORT)).build().unwrap(),
        moods,
    )
}

async fn both_are_closed(gateway: &Gateway, moods: &[Moods; 2]) {
    until("the broker and presence are closed", async || {
        moods.iter().all(|moods| moods.calls(Call::Close) == 1)
    })
    .await;
    let again = within("another shutdown", gateway.shutdown()).await;
    assert_eq!((again.tasks_left, gateway.stats().open), (0, 0));
    assert!(moods.iter().all(|moods| moods.calls(Call::Close) == 1));
}

#[tokio::test]
async fn in_a_handler() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        gateway.shutdown().await;
    });
    let (gateway, moods) = recorded(|builder| builder.router(router));
    gateway.start().await.unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    let mut other = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    assert_eq!(other.closed().await.unwrap().0, 1001);
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn in_a_handler_within_a_time_of_its_own() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        gateway.shutdown_within(Duration::ZERO).await;
    });
    let (gateway, moods) = recorded(|builder| builder.router(router));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn in_a_connect_hook() {
    let (gateway, moods) = recorded(|builder| {
        builder.on_connect(async |gateway: Gateway| {
            gateway.shutdown().await;
        })
    });
    let server = Server::start(gateway.clone()).await;
    let _client = server.connect().await;
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn in_a_disconnect_hook() {
    let (gateway, moods) = recorded(|builder| {
        builder.on_disconnect(async |gateway: Gateway| {
            gateway.shutdown().await;
        })
    });
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    client.close(1000, "").await.unwrap();
    both_are_closed(&gateway, &moods).await;
}

/// A call that is dropped while it waits leaves to the next what it has not done.
#[tokio::test]
async fn in_a_future_that_is_dropped() {
    let router = Router::new().route("stuck", async || std::future::pending::<()>().await);
    let (gateway, moods) = recorded(|builder| builder.router(router));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("stuck", Value::Null).await.unwrap();
    until("the handler runs", async || gateway.stats().received == 1).await;
    let given_up = tokio::time::timeout(SHORT / 10, gateway.shutdown()).await;
    assert!(given_up.is_err());
    within("the next", gateway.shutdown()).await;
    both_are_closed(&gateway, &moods).await;
}

/// What was begun elsewhere ends for all who wait for it.
#[tokio::test]
async fn in_several_tasks_and_a_handler() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        gateway.shutdown().await;
    });
    let (gateway, moods) = recorded(|builder| builder.router(router));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    until("it begins", async || {
        gateway
            .local_sessions()
            .iter()
            .all(realtime::Session::is_closed)
    })
    .await;
    let gateway = Arc::new(gateway);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.shutdown().await })
        })
        .collect();
    for shutdown in waiting {
        within("a shutdown", shutdown).await.unwrap();
    }
    both_are_closed(&gateway, &moods).await;
}
