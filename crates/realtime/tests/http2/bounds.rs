//! What a connection of many streams may take.

use std::time::Duration;

use axum::{Router as App, routing::get};
use realtime::Config;
use realtime_testkit::wait::within;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{Instant, timeout},
};

use super::{router, server, wire::Wire};

fn gateway() -> realtime::Gateway {
    realtime::builder().router(router()).build().unwrap()
}

#[tokio::test]
async fn one_on_which_nothing_happens_is_ended_and_one_with_a_session_is_not() {
    let mut config = Config::default();
    // Nobody answers while nothing but time passes.
    config.heartbeat = None;
    let gateway = realtime::builder().router(router()).config(config);
    let server = server(gateway.build().unwrap()).await;
    let idle = Wire::plain(server.addr).await;
    let mut busy = Wire::plain(server.addr).await;
    let mut client = busy.open().await;
    let idle_for = passed(idle.connection).await;
    assert!(idle_for >= Duration::from_secs(50), "{idle_for:?}");
    let answer = client.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    // Nor is one that had a session as soon as it has none.
    client.close(1000, "").await.unwrap();
    client.closed().await;
    drop(client);
    assert_eq!(busy.get("/nothing").await.status(), 404);
    passed(busy.connection).await;
    server.stop().await;
}

/// Waits for the end of a connection, which time passes for as fast as it can.
async fn passed(connection: JoinHandle<hyper::Result<()>>) -> Duration {
    tokio::time::pause();
    let begun = Instant::now();
    connection.await.unwrap().unwrap();
    let passed = begun.elapsed();
    tokio::time::resume();
    passed
}

/// What could begin with HTTP/2 is waited for, and no longer than the head of a request.
#[tokio::test]
async fn the_first_bytes_decide_and_are_not_lost() {
    let server = server(gateway()).await;
    for parts in [
        ["P", "UT /ws HTTP/1.1\r\nhost: a\r\n\r\n"],
        ["PR", "OPFIND / HTTP/1.1\r\nhost: a\r\n\r\n"],
    ] {
        let mut tcp = TcpStream::connect(server.addr).await.unwrap();
        tcp.set_nodelay(true).unwrap();
        tcp.write_all(parts[0].as_bytes()).await.unwrap();
        let mut byte = [0];
        let early = timeout(Duration::from_millis(50), tcp.read(&mut byte)).await;
        assert!(early.is_err(), "it waits");
        tcp.write_all(parts[1].as_bytes()).await.unwrap();
        let mut answer = [0; 12];
        let read = tcp.read_exact(&mut answer);
        within("an answer", read).await.unwrap();
        assert!(answer.starts_with(b"HTTP/1.1 4"), "{answer:?}");
    }
    let mut tcp = TcpStream::connect(server.addr).await.unwrap();
    tcp.write_all(b"PRI * HTTP/9.9\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = within("the end", tcp.read_to_end(&mut rest)).await;
    assert!(ended.is_ok() || rest.is_empty());
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn who_says_nothing_or_half_a_word_is_left() {
    let server = server(gateway()).await;
    for words in ["", "PR", "PRI * HTTP/2.0\r\n"] {
        let mut tcp = TcpStream::connect(server.addr).await.unwrap();
        tcp.write_all(words.as_bytes()).await.unwrap();
        let begun = Instant::now();
        let mut rest = Vec::new();
        let _reset = tcp.read_to_end(&mut rest).await;
        let waited = begun.elapsed();
        assert!(waited >= Duration::from_secs(9), "{waited:?}");
        assert!(waited <= Duration::from_secs(20), "{waited:?}");
    }
    server.stop().await;
}

/// One stream's app panics, and the others go on.
#[tokio::test]
async fn an_app_that_panics_ends_its_stream_alone() {
    let gateway = gateway();
    let app = App::new()
        .route(
            "/panic",
            get(async || -> &'static str { panic!("as the test wants") }),
        )
        .route_service("/ws", gateway.clone());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = realtime::serve(listener, app, gateway.clone()).http2();
    let serving = tokio::spawn(server.into_future());
    let mut wire = Wire::plain(addr).await;
    let mut client = wire.open().await;
    let request = axum::http::Request::get("http://gateway.test/panic");
    let request = request.body(axum::body::Body::empty()).unwrap();
    assert!(wire.send(request).await.is_err());
    assert_eq!(client.request("echo", json!(1)).await.unwrap()["data"], 1);
    assert_eq!(gateway.stats().connections_failed, 1);
    gateway.shutdown().await;
    serving.await.unwrap().unwrap();
}
