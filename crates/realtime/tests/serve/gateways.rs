//! The gateways that a server starts, and drains together.

use std::{error::Error, io, net::SocketAddr};

use realtime::{
    Gateway, bind,
    broker::LocalBroker,
    error::{StartError, StartErrorKind},
    report::{Link, Remote},
    serve,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use tokio::{net::TcpStream, sync::oneshot, task::JoinHandle};

use crate::{Hold, Server, ended};

fn node(broker: &LocalBroker, id: &str) -> Gateway {
    realtime::builder()
        .broker(broker.clone())
        .node_id(id.parse().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn a_gateway_with_a_broker_is_started() {
    let broker = LocalBroker::new();
    let (a, b) = (node(&broker, "a"), node(&broker, "b"));
    // Somebody has started one of them.
    b.start().await.unwrap();
    let (a, b) = (Server::start(a).await, Server::start(b).await);
    let mut there = Client::connect(b.addr).await.unwrap();
    until("both are open", async || b.gateway.stats().open == 1).await;
    until("it is started", async || {
        a.gateway.health().broker == Link::Up
    })
    .await;
    let sent = a.gateway.broadcast("m", ()).await.unwrap();
    assert_eq!((sent.local, sent.remote), (0, Remote::Published));
    assert_eq!(there.recv_json().await.unwrap()["route"], "m");
    let again = a.gateway.start().await.unwrap_err();
    assert_eq!(again.kind(), StartErrorKind::AlreadyStarted);
    for server in [a, b] {
        server.signal.send(()).unwrap();
        ended(server.task).await.unwrap();
    }
}

#[tokio::test]
async fn one_without_a_broker_stays_alone_and_pays_for_none() {
    let server = Server::start(realtime::builder().build().unwrap()).await;
    let _client = Client::connect(server.addr).await.unwrap();
    until("it is open", async || server.gateway.stats().open == 1).await;
    let sent = server.gateway.broadcast("m", ()).await.unwrap();
    assert_eq!((sent.local, sent.remote), (1, Remote::NotStarted));
    server.signal.send(()).unwrap();
    ended(server.task).await.unwrap();
}

#[tokio::test]
async fn one_that_cannot_start_is_not_served() {
    let broker = LocalBroker::new();
    let (first, second) = (node(&broker, "same"), node(&broker, "same"));
    first.start().await.unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = serve(listener, second.clone(), second.clone()).await;
    let failed = served.unwrap_err();
    let inner = failed
        .get_ref()
        .and_then(|e| e.downcast_ref::<StartError>());
    assert_eq!(inner.unwrap().kind(), StartErrorKind::Broker);
    assert!(inner.unwrap().source().is_some(), "it says why");
    assert!(TcpStream::connect(addr).await.is_err(), "nobody listens");
    assert!(second.broadcast("m", ()).await.is_err(), "it is shut down");
    first.shutdown().await;
}

/// Two gateways under one server, with a client each.
struct Two {
    chat: Gateway,
    news: Gateway,
    addr: SocketAddr,
    signal: oneshot::Sender<()>,
    server: JoinHandle<io::Result<()>>,
    clients: [Client; 2],
}

impl Two {
    async fn start(hold: &Hold) -> Self {
        let (chat, news) = (hold.gateway(), realtime::builder().build().unwrap());
        let app = axum::Router::new()
            .route_service("/chat", chat.clone())
            .route_service("/news", news.clone());
        let listener = bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (signal, signalled) = oneshot::channel();
        let server = serve(listener, app, chat.clone())
            .and_gateway(news.clone())
            .with_graceful_shutdown(signalled);
        let server = tokio::spawn(server.into_future());
        let clients = [
            Request::new("/chat").connect(addr).await.unwrap(),
            Request::new("/news").connect(addr).await.unwrap(),
        ];
        until("both are open", async || {
            chat.stats().open + news.stats().open == 2
        })
        .await;
        Self {
            chat,
            news,
            addr,
            signal,
            server,
            clients,
        }
    }

    /// Both are closed, and the server goes on until the held one has drained.
    async fn drain(mut self, hold: &Hold) {
        for client in &mut self.clients {
            assert_eq!(client.closed().await.unwrap().0, 1001);
        }
        for path in ["/chat", "/news"] {
            assert_eq!(Request::new(path).refused(self.addr).await.status, 503);
        }
        assert!(!self.server.is_finished(), "one is still held");
        hold.release();
        ended(self.server).await.unwrap();
        for gateway in [self.chat, self.news] {
            assert_eq!(gateway.stats().closed, 1);
        }
    }
}

#[tokio::test]
async fn several_are_drained_together_by_a_signal() {
    let hold = Hold::new();
    let (never, _unused) = oneshot::channel();
    let mut two = Two::start(&hold).await;
    std::mem::replace(&mut two.signal, never).send(()).unwrap();
    two.drain(&hold).await;
}

#[tokio::test]
async fn the_shutdown_of_one_is_that_of_all() {
    let hold = Hold::new();
    let two = Two::start(&hold).await;
    two.news.begin_shutdown();
    two.drain(&hold).await;
}
