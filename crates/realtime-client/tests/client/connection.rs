//! Coming, going, and coming back.

use std::time::Duration;

use futures::StreamExt;
use realtime_client::{BuildError, Client, Incoming, Json, Message, RequestError, State};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    wait::{until, within},
};
use realtime_websocket::Event;

use super::{
    MS, SECOND, quick,
    scripted::{Peer, Scripted},
    server::Server,
};

#[tokio::test]
async fn it_connects_and_ends_with_its_last_handle() {
    let server = Server::plain().await;
    let client = quick(server.port()).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let (other, mut messages) = (client.clone(), client.messages());
    drop(client);
    other.request("echo", Json(1)).await.unwrap();
    assert_eq!(server.gateway.stats().open, 1);
    drop(other);
    assert_eq!(within("the end of the stream", messages.next()).await, None);
    until("the session is gone", async || {
        server.gateway.stats().open == 0
    })
    .await;
}

#[tokio::test]
async fn close_says_goodbye_and_what_comes_later_fails_at_once() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    assert!(
        matches!(peer.event().await, Some(Event::Ping(_))),
        "it is open"
    );
    let closing = client.clone();
    let closing = tokio::spawn(async move { closing.close().await });
    let close = loop {
        match peer.event().await.unwrap() {
            Event::Ping(_) => {}
            other => break other,
        }
    };
    assert!(matches!(close, Event::Close(Some(close)) if close.code == 1000));
    peer.close(1000, "").await;
    within("the end", closing).await.unwrap();
    assert!(matches!(&*client.state().borrow(), State::Ended(end) if end.code == Some(1000)));
    let error = client.request("echo", Json(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the client has ended");
    client.close().await;
}

/// A client, and its server, which reads nothing until nothing more is taken.
async fn stuck(server: &Scripted) -> (Client, Peer) {
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(serde_json::json!({"route": "welcome"})).await;
    within("a connection", client.online()).await.unwrap();
    let flood = client.clone();
    let flood = tokio::spawn(async move {
        let big = "x".repeat(100_000);
        while flood.send("flood", Json(&big)).await.is_ok() {}
    });
    let taken = async || {
        let message = Message::new("echo", ()).unwrap();
        let asked = client.request_message(message, 50 * MS).await;
        !matches!(asked, Err(RequestError::TimedOut { sent: false, .. }))
    };
    until("nothing is taken", async || !taken().await).await;
    assert!(client.state().borrow().is_online());
    flood.abort();
    let _aborted = flood.await;
    (client, peer)
}

#[tokio::test]
async fn a_server_that_does_not_read_holds_up_no_end() {
    let (one, other) = (Scripted::start().await, Scripted::start().await);
    let ((closed, _peer), (dropped, _other)) = tokio::join!(stuck(&one), stuck(&other));
    let begun = std::time::Instant::now();
    let mut state = dropped.state();
    drop(dropped);
    let ended = async { while state.changed().await.is_ok() {} };
    within("both ends", async { tokio::join!(closed.close(), ended) }).await;
    assert!(begun.elapsed() < 4 * SECOND, "{:?}", begun.elapsed());
}

#[tokio::test]
async fn it_comes_back_after_each_reset() {
    let server = Server::plain().await;
    let proxy = Proxy::start(server.port()).await;
    let client = quick(proxy.port()).connect().unwrap();
    let mut state = client.state();
    for _ in 0..3 {
        within("a connection", client.online()).await.unwrap();
        client.request("echo", Json(1)).await.unwrap();
        proxy.reset();
        let away = within("the loss", state.wait_for(|state| !state.is_online()));
        let _ = away.await.unwrap();
    }
    assert_eq!(client.ask::<u8>("echo", &7).await.unwrap(), 7);
}

#[tokio::test]
async fn a_server_that_says_nothing_is_left() {
    let server = Server::plain().await;
    let proxy = Proxy::start(server.port()).await;
    let client = quick(proxy.port())
        .ping(50 * MS, 200 * MS)
        .connect_timeout(SECOND);
    let client = client.connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    proxy.set(Fault::Blackhole);
    let mut state = client.state();
    let lost = state.wait_for(|state| matches!(state, State::Waiting { .. }));
    let state = within("the silence is noticed", lost)
        .await
        .unwrap()
        .clone();
    assert!(format!("{state:?}").contains("doesn't answer"), "{state:?}");
    proxy.set(Fault::None);
    within("a connection", client.online()).await.unwrap();
}

#[tokio::test]
async fn pings_of_the_server_are_answered() {
    let pings = realtime::builder()
        .heartbeat(Some(50 * MS))
        .pong_timeout(Some(500 * MS))
        .router(super::server::router());
    let server = Server::start(pings).await;
    let client = quick(server.port()).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let mut state = client.state();
    state.mark_unchanged();
    let changed = tokio::time::timeout(Duration::from_millis(900), state.changed()).await;
    assert!(
        changed.is_err(),
        "the server has waited for pongs, and got them"
    );
}

#[tokio::test]
async fn it_is_online_with_the_first_word_and_not_with_the_handshake() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    assert!(matches!(peer.event().await, Some(Event::Ping(_))));
    let waiting = client.send("said", Json(1));
    tokio::pin!(waiting);
    assert!(futures::poll!(&mut waiting).is_pending());
    assert_eq!(*client.state().borrow(), State::Connecting);
    peer.send(serde_json::json!({"route": "welcome"})).await;
    within("what waited", waiting).await.unwrap();
    assert_eq!(peer.message().await["route"], "said");
    assert_eq!(*client.state().borrow(), State::Online);
}

#[tokio::test]
async fn a_stream_that_is_not_read_drops_the_oldest_and_says_so() {
    let server = Server::plain().await;
    let client = quick(server.port()).inbox(2).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let mut messages = client.messages();
    for n in 0..5 {
        server.gateway.broadcast("n", Json(n)).await.unwrap();
    }
    client.request("echo", Json(1)).await.unwrap();
    assert_eq!(messages.next().await, Some(Incoming::Dropped(3)));
    for n in 3..5 {
        let message = messages.next().await.unwrap().into_message().unwrap();
        assert_eq!(message.decode::<u8>().unwrap(), n);
    }
}

#[test]
fn settings_that_cannot_be_are_errors() {
    let builder = || Client::builder("ws://127.0.0.1:1/");
    assert!(matches!(builder().connect(), Err(BuildError::NoRuntime)));
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _within = runtime.enter();
    let error = Client::builder("ftp://a.test").connect().unwrap_err();
    assert!(matches!(error, BuildError::Url(_)), "{error}");
    for (name, value) in [("upgrade", "x"), ("a b", "x"), ("x", "\n")] {
        let error = builder().header(name, value).connect().unwrap_err();
        assert!(matches!(error, BuildError::Header(_)), "{error}");
    }
    let hasty = builder().backoff(Duration::ZERO, Duration::from_secs(1));
    let error = hasty.connect().unwrap_err();
    assert!(matches!(error, BuildError::Setting(_)), "{error}");
    for wrong in [
        builder().timeout(Duration::ZERO),
        builder().write_timeout(Duration::ZERO),
        builder().max_attempts(0),
        builder().backoff(2 * SECOND, SECOND),
    ] {
        let error = wrong.connect().unwrap_err();
        assert!(matches!(error, BuildError::Setting(_)), "{error}");
    }
}
