//! They are sessions as over HTTP/1.1.

use std::time::Duration;

use axum::http::request::Parts;
#[cfg(feature = "deflate")]
use hyper_util::rt::TokioIo;
use realtime::{
    CloseCode, Config, Identity, Json,
    auth::{AuthError, Authenticator},
};
#[cfg(feature = "deflate")]
use realtime_testkit::client::Client;
use realtime_testkit::wait::{until, within};
use serde_json::json;

use super::{router, server, support::Ends, wire::Wire};

#[tokio::test]
async fn many_share_a_connection_and_each_has_its_own() {
    let server = server(realtime::builder().router(router()).build().unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut clients = Vec::new();
    for _ in 0..60 {
        clients.push(wire.open().await);
    }
    server.until_open(60).await;
    let large = "x".repeat(300_000);
    for (n, client) in clients.iter_mut().enumerate() {
        for data in [json!(n), json!(large)] {
            let answer = client.request("echo", data.clone()).await.unwrap();
            assert_eq!(answer["data"], data);
        }
    }
    let sent = server.gateway.broadcast("news", Json(1)).await.unwrap();
    assert_eq!(sent.local, 60);
    for client in &mut clients {
        assert_eq!(client.recv_json().await.unwrap()["data"], 1);
    }
    // The end of one is the end of one.
    let mut one = clients.pop().unwrap();
    one.close(1000, "done").await.unwrap();
    assert_eq!(one.closed().await, Some((1000, "done".into())));
    server.until_open(59).await;
    let other = clients[0].request("echo", json!(2)).await.unwrap();
    assert_eq!(other["data"], 2);
    assert_eq!(wire.get("/nothing").await.status(), 404);
    // Without a word.
    drop(clients.pop());
    server.until_open(58).await;
    drop((clients, wire));
    server.until_open(0).await;
    server.stop().await;
}

#[tokio::test]
async fn the_server_ends_them_with_its_codes() {
    let ends = Ends::default();
    let gateway = ends.hear(realtime::builder().router(router())).build();
    let server = server(gateway.unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut client = wire.open().await;
    let everybody = server.gateway.everybody();
    let code = CloseCode::DISCONNECTED;
    everybody.disconnect(code, "banned").await.unwrap();
    assert_eq!(client.closed().await, Some((3503, "banned".into())));
    assert_eq!(ends.one().await.code, Some(code));
    // A broken frame.
    let mut client = wire.open().await;
    client.send_frame(3, true, b"").await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1002);
    let mut last = wire.open().await;
    let stopped = tokio::spawn(server.stop());
    let (code, _) = last.closed().await.unwrap();
    assert_eq!(code, 1001);
    drop(last);
    within("the end of the server", stopped).await.unwrap();
    within("the end of the connection", wire.connection)
        .await
        .unwrap()
        .unwrap();
}

/// Knows who says that she is Ann.
struct Ann;

impl Authenticator for Ann {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        match request.uri.query() {
            Some("ann") => Ok(Identity::new("ann")),
            _ => Err(AuthError::unauthorized("she isn't Ann")),
        }
    }
}

#[tokio::test]
async fn refusals_are_those_of_http1_but_for_what_http2_has_no_words_for() {
    let gateway = realtime::builder().router(router()).authenticator(Ann);
    let server = server(gateway.build().unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut foreign = wire.request("/ws?ann");
    let origin = "http://evil.example".parse().unwrap();
    foreign.headers_mut().insert("origin", origin);
    let mut own = wire.request("/ws?ann");
    let origin = "http://gateway.test".parse().unwrap();
    own.headers_mut().insert("origin", origin);
    own.headers_mut().insert(
        "sec-websocket-protocol",
        "other, realtime.json".parse().unwrap(),
    );
    let mut old = wire.request("/ws?ann");
    old.headers_mut()
        .insert("sec-websocket-version", "8".parse().unwrap());
    for (request, status) in [
        (foreign, 403),
        (wire.request("/ws?bob"), 401),
        (old, 426),
        (wire.request("/nothing"), 404),
    ] {
        let refused = wire.ask(request).await.unwrap_err();
        assert_eq!(refused.status(), status);
        assert!(!refused.headers().contains_key("upgrade"));
    }
    assert_eq!(wire.get("/ws?ann").await.status(), 400);
    let response = wire.send(own).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["sec-websocket-protocol"],
        "realtime.json"
    );
    server.stop().await;
}

/// One that doesn't read takes neither what others get nor the connection.
#[tokio::test]
async fn a_slow_reader_holds_up_nobody_beside_it() {
    let ends = Ends::default();
    let mut config = Config::default();
    config.queue_bytes = 256 * 1024;
    config.write_timeout = Some(Duration::from_secs(2));
    let gateway = ends.hear(realtime::builder().router(router()).config(config));
    let server = server(gateway.build().unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut slow = wire.open().await;
    let mut fast = wire.open().await;
    server.until_open(2).await;
    let large = "x".repeat(20_000);
    for n in 0..200 {
        let sent = server.gateway.broadcast("news", Json((n, &large))).await;
        sent.unwrap();
        assert_eq!(fast.recv_json().await.unwrap()["data"][0], n);
    }
    let end = ends.one().await;
    assert!(!end.expected, "{end:?}");
    let answer = fast.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    // What it was sent before is there for it.
    assert_eq!(slow.recv_json().await.unwrap()["data"][0], 0);
    server.stop().await;
}

/// Those whose handlers take their time are read no further, and others are.
#[tokio::test]
async fn sessions_that_are_not_read_hold_up_nobody_beside_them() {
    let (go, gone) = tokio::sync::watch::channel(false);
    let wait = move |_: Json<String>| {
        let mut gone = gone.clone();
        async move { drop(gone.wait_for(|go| *go).await) }
    };
    let router = router().route("wait", wait);
    let server = server(realtime::builder().router(router).build().unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut clients = Vec::new();
    for _ in 0..40 {
        clients.push(wire.open().await);
    }
    // More than is read ahead of a handler.
    let large = "x".repeat(60_000);
    let mut floods = Vec::new();
    for mut client in clients {
        let large = large.clone();
        floods.push(tokio::spawn(async move {
            for _ in 0..10 {
                client.send("wait", json!(large)).await.unwrap();
            }
            client
        }));
    }
    until("they wait", async || server.gateway.stats().received >= 40).await;
    let mut other = wire.open().await;
    let answer = other.request("echo", json!(large)).await.unwrap();
    assert_eq!(answer["data"], large);
    go.send(true).unwrap();
    for flood in floods {
        let mut client = within("all is read", flood).await.unwrap();
        let answer = client.request("echo", json!(1)).await.unwrap();
        assert_eq!(answer["data"], 1);
    }
    server.stop().await;
}

#[cfg(feature = "deflate")]
#[tokio::test]
async fn compression_is_agreed_on_as_over_http1() {
    use realtime::config::Compression;
    use realtime_testkit::client::ClientError;
    use realtime_websocket::{Kind, Violation, deflate::Compressor, deflate::Level};

    let gateway = realtime::builder()
        .router(router())
        .compression(Compression::default());
    let server = server(gateway.build().unwrap()).await;
    let mut wire = Wire::plain(server.addr).await;
    let mut request = wire.request("/ws");
    let offer = "permessage-deflate; client_max_window_bits"
        .parse()
        .unwrap();
    request
        .headers_mut()
        .insert("sec-websocket-extensions", offer);
    let mut response = wire.send(request).await.unwrap();
    assert_eq!(response.status(), 200);
    assert_eq!(
        response.headers()["sec-websocket-extensions"],
        "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
    );
    let upgraded = hyper::upgrade::on(&mut response);
    let upgraded = within("the stream", upgraded).await.unwrap();
    let mut client = Client::upgraded(TokioIo::new(upgraded));
    let text = json!({ "id": "1", "route": "echo", "data": "so much ado ".repeat(100) });
    let mut compressor = Compressor::new(Level::default());
    let frame = compressor.client_frame(Kind::Text, text.to_string().as_bytes(), [1, 2, 3, 4]);
    assert_eq!(frame[0], 0xc1);
    client.send_raw(&frame).await.unwrap();
    // It is answered in a compressed frame, which this client knows nothing of.
    let answer = client.recv().await;
    let is_compressed = matches!(answer, Err(ClientError::Violation(Violation::ReservedBit)));
    assert!(is_compressed, "{answer:?}");
    drop(client);
    server.until_open(0).await;
    assert_eq!(server.gateway.stats().compressed, 1);
    server.stop().await;
}
