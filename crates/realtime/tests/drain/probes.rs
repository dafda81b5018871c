//! What balancers and supervisors are told, and what people are.

use std::time::Duration;

use realtime::{
    Gateway, Livez, Readyz, bind,
    broker::LocalBroker,
    report::{HealthStatus, Link},
    serve,
};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::oneshot,
};

/// The status and the body of an answer.
async fn ask(addr: std::net::SocketAddr, method: &str, path: &str) -> (u16, String, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let request =
        format!("{method} {path} HTTP/1.1\r\nHost: probe.test\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    (status, head.to_ascii_lowercase(), body.to_owned())
}

fn app(chat: &Gateway, news: &Gateway) -> axum::Router {
    axum::Router::new()
        .route_service("/livez", Livez)
        .route_service("/readyz", Readyz::of(chat).and_gateway(news))
        .route_service("/chat", chat.clone())
        .route_service("/news", news.clone())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_ready_until_one_of_its_gateways_drains() {
    let notice = Some(Duration::from_secs(3_600));
    let chat = crate::support::builder()
        .drain_notice(notice)
        .build()
        .unwrap();
    let news = crate::support::builder()
        .drain_notice(notice)
        .build()
        .unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (signal, signalled) = oneshot::channel();
    let server = serve(listener, app(&chat, &news), chat.clone())
        .and_gateway(news.clone())
        .with_graceful_shutdown(signalled);
    let server = tokio::spawn(server.into_future());
    let mut client = realtime_testkit::client::Request::new("/chat")
        .connect(addr)
        .await
        .unwrap();
    let mut reader = realtime_testkit::client::Request::new("/news")
        .connect(addr)
        .await
        .unwrap();
    until("both are open", async || {
        chat.stats().open + news.stats().open == 2
    })
    .await;
    let (status, head, body) = ask(addr, "GET", "/readyz").await;
    assert_eq!(status, 200);
    assert!(head.contains("content-type: application/json") && head.contains("no-store"));
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        said,
        json!({"status": "ready", "reasons": [], "sessions": 2})
    );
    assert_eq!(ask(addr, "HEAD", "/readyz").await.0, 200);
    assert_eq!(ask(addr, "POST", "/readyz").await.0, 405);
    assert_eq!(ask(addr, "GET", "/livez").await.2, "ok");
    signal.send(()).unwrap();
    until("it isn't ready", async || {
        ask(addr, "GET", "/readyz").await.0 == 503
    })
    .await;
    let (_, head, body) = ask(addr, "GET", "/readyz").await;
    assert!(head.contains("retry-after: 5"), "{head}");
    let said: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(
        said,
        json!({"status": "draining", "reasons": ["draining"], "sessions": 2})
    );
    assert_eq!(ask(addr, "GET", "/livez").await.0, 200, "it lives");
    for client in [&mut client, &mut reader] {
        assert!(!client_is_gone(client).await, "it has its notice");
    }
    // Whoever has no time for one of them ends all.
    chat.shutdown().await;
    for client in [&mut client, &mut reader] {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    within("the end of the server", server)
        .await
        .unwrap()
        .unwrap();
    assert!(news.broadcast("m", ()).await.is_err(), "it has ended, too");
}

async fn client_is_gone(client: &mut Client) -> bool {
    client.send_raw(&[0x89, 0x80, 0, 0, 0, 0]).await.is_err()
        || !matches!(client.recv().await, Ok(realtime_websocket::Event::Pong(_)))
}

#[tokio::test]
async fn what_is_missing_is_said_and_serving_goes_on() {
    let alone = crate::support::builder()
        .broker(LocalBroker::new())
        .max_connections(Some(1))
        .build()
        .unwrap();
    let health = alone.health();
    assert_eq!(health.status, HealthStatus::Degraded);
    assert_eq!(health.broker, Link::NotStarted);
    assert_eq!(health.reasons, ["broker: the gateway isn't started"]);
    assert!(health.is_ready() && !health.is_good());
    let server = crate::Server::start(alone).await;
    let _client = Client::connect(server.addr).await.unwrap();
    until("it is full", async || {
        server.gateway.health().reasons == ["connections: 1 of 1"]
    })
    .await;
    let shown = serde_json::to_value(server.gateway.health()).unwrap();
    assert_eq!(shown["status"], "degraded");
    assert_eq!(
        (&shown["sessions"], &shown["broker"]),
        (&json!(1), &json!("up"))
    );
    server.gateway.shutdown().await;
    assert_eq!(server.gateway.health().status, HealthStatus::Draining);
}
