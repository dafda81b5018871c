//! What ends a server.

use std::time::Duration;

use realtime::{Gateway, Json, Router, bind, serve};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use serde_json::json;

use crate::{Hold, Server, app, ended};

#[tokio::test]
async fn without_a_signal_it_runs_until_a_handler_begins_the_shutdown() {
    let router = Router::new()
        .route("echo", async |Json(data): Json<u32>| Json(data))
        .route("end", async |gateway: Gateway| gateway.begin_shutdown());
    let gateway = realtime::builder().router(router).build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(serve(listener, app(&gateway), gateway.clone()).into_future());
    let mut client = Client::connect(addr).await.unwrap();
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    assert!(!server.is_finished());
    client.send("end", json!(null)).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1001);
    ended(server).await.unwrap();
    assert!(Client::connect(addr).await.is_err(), "nobody listens");
}

#[tokio::test]
async fn a_signal_shuts_the_gateway_down_and_ends_it() {
    let server = Server::start(realtime::builder().build().unwrap()).await;
    let mut client = Client::connect(server.addr).await.unwrap();
    server.signal.send(()).unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1001);
    ended(server.task).await.unwrap();
    assert!(Client::connect(server.addr).await.is_err());
    let closed = server.gateway.broadcast("late", ()).await;
    assert!(closed.is_err(), "the gateway is shut down");
}

#[tokio::test]
async fn a_shutdown_that_begins_elsewhere_ends_it_before_any_signal() {
    let server = Server::start(realtime::builder().build().unwrap()).await;
    let mut client = Client::connect(server.addr).await.unwrap();
    let report = within("the shutdown", server.gateway.shutdown()).await;
    assert_eq!((report.sessions, report.aborted), (1, 0));
    assert_eq!(client.closed().await.unwrap().0, 1001);
    ended(server.task).await.unwrap();
    drop(server.signal);
}

#[tokio::test]
async fn a_shutdown_that_nobody_finishes_is_finished() {
    let hold = Hold::new();
    let server = Server::start(hold.gateway()).await;
    let mut client = Client::connect(server.addr).await.unwrap();
    until("it is open", async || server.gateway.stats().open == 1).await;
    let mut shutdown = Box::pin(server.gateway.shutdown());
    assert!(futures::poll!(&mut shutdown).is_pending());
    drop(shutdown);
    assert_eq!(client.closed().await.unwrap().0, 1001);
    hold.release();
    ended(server.task).await.unwrap();
    assert_eq!(server.gateway.stats().closed, 1);
}

#[tokio::test]
async fn a_gateway_that_is_shut_down_already_is_not_served() {
    let gateway = realtime::builder()
        .broker(realtime::broker::LocalBroker::new())
        .build()
        .unwrap();
    gateway.shutdown().await;
    let server = Server::start(gateway).await;
    ended(server.task).await.unwrap();
}

/// Whoever shuts down says how long it may take, and the server's own time doesn't cut that short.
#[tokio::test]
async fn the_deadline_of_a_shutdown_elsewhere_holds_until_a_signal_sets_an_earlier_one() {
    let hold = Hold::new();
    let short = Duration::from_millis(100);
    let builder = hold.builder().shutdown_timeout(Some(short));
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = Client::connect(server.addr).await.unwrap();
    until("it is open", async || server.gateway.stats().open == 1).await;
    let gateway = server.gateway.clone();
    let hour = Duration::from_secs(3600);
    let shutdown = tokio::spawn(async move { gateway.shutdown_within(hour).await });
    assert_eq!(client.closed().await.unwrap().0, 1001);
    tokio::time::pause();
    tokio::time::advance(short * 10).await;
    tokio::time::resume();
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!(server.gateway.stats().aborted, 0);
    assert!(!server.task.is_finished());
    server.signal.send(()).unwrap();
    ended(server.task).await.unwrap();
    let report = within("the shutdown", shutdown).await.unwrap();
    assert_eq!((report.sessions, report.aborted), (1, 1));
}
