//! What else comes from outside and may panic: a layer when it is built, and whatever is dropped.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{
    Router,
    hooks::{ErrorContext, ErrorStage},
};
use realtime_testkit::wait::{until, within};
use serde_json::Value;
use tower::{Layer, limit::GlobalConcurrencyLimitLayer};

use crate::support::{Ends, Server};

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        // A second panic would end the process, whoever catches the first.
        if !std::thread::panicking() {
            panic!("on purpose: a value that panics when it is dropped");
        }
    }
}

#[tokio::test]
async fn a_hook_that_is_given_up_and_panics_then_keeps_nobody_from_the_next() {
    let hung = async || {
        let _kept = PanicsInDrop;
        std::future::pending::<()>().await;
    };
    let ends = Ends::default();
    let builder = crate::support::builder()
        .hook_timeout(Some(Duration::from_millis(50)))
        .on_disconnect(hung);
    let server = Server::start(ends.hear(builder).build().unwrap()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    client.close(1000, "").await.unwrap();
    until("it is closed", async || server.gateway.stats().closed == 1).await;
    let stats = server.gateway.stats();
    assert_eq!((stats.hooks_abandoned, stats.aborted), (1, 0));
    assert_eq!(ends.len(), 1, "the second hook ran");
}

#[derive(Clone)]
struct Broken;

impl<S> Layer<S> for Broken {
    type Service = S;

    fn layer(&self, _: S) -> S {
        panic!("on purpose: a layer that panics")
    }
}

#[tokio::test]
async fn a_layer_that_cannot_be_built_is_counted_and_reported() {
    let heard = Arc::new(AtomicBool::new(false));
    let hears = Arc::clone(&heard);
    let builder = crate::support::builder().on_error(move |error: ErrorContext| {
        let is_told = error.error().to_string().starts_with("a layer panicked");
        hears.store(is_told && error.stage() == ErrorStage::Message, SeqCst);
        async {}
    });
    let server = Server::start(builder.layer(Broken).build().unwrap()).await;
    let mut client = server.connect().await;
    within("the end of the connection", client.eof()).await;
    until("it is reported", async || heard.load(SeqCst)).await;
    let stats = server.gateway.stats();
    assert_eq!((stats.upgrades_failed, stats.open), (1, 0));
}

#[tokio::test]
async fn what_a_layer_holds_back_is_not_received_and_then_unhandled() {
    let router = Router::new().route("stuck", async || std::future::pending::<()>().await);
    let one = GlobalConcurrencyLimitLayer::new(1);
    let builder = crate::support::builder().router(router).layer(one);
    let server = Server::start(builder.build().unwrap()).await;
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    first.send("stuck", Value::Null).await.unwrap();
    let gateway = &server.gateway;
    until("it is handled", async || gateway.stats().received == 1).await;
    second.send("stuck", Value::Null).await.unwrap();
    second.close(1000, "").await.unwrap();
    until("it is given up", async || gateway.stats().unhandled == 1).await;
    assert_eq!(gateway.stats().received, 1);
}
