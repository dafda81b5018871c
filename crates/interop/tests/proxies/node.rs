//! A gateway under `serve`, as a node is that stands behind a proxy.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::routing::{any, get};
use http::StatusCode;
use realtime::{
    Builder, CloseCode, DisconnectInfo, Gateway, Json, Livez, Readyz, Router, Serve, Session,
    handler::CompleteRouter,
};
use realtime_testkit::{
    client::raw_http,
    wait::{until, within},
};
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{mpsc, oneshot},
    task::JoinHandle,
};

/// What the page says.
pub(crate) const PAGE: &str = "a page";

pub(crate) fn router() -> impl CompleteRouter {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route(
            "close",
            async |session: Session, Json((code, why)): Json<(CloseCode, String)>| {
                session.close(code, why);
            },
        )
        .route("node", async |gateway: Gateway| {
            Json(gateway.node_id().to_owned())
        })
        .route("who", async |session: Session| {
            Json(
                session
                    .remote_addr()
                    .map(|address| address.ip().to_string()),
            )
        })
}

pub(crate) struct Node {
    pub(crate) gateway: Gateway,
    pub(crate) addr: SocketAddr,
    refused: Arc<AtomicUsize>,
    ends: mpsc::UnboundedReceiver<DisconnectInfo>,
    drain: Option<oneshot::Sender<()>>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Node {
    pub(crate) async fn start() -> Self {
        Self::with(|builder| builder).await
    }

    pub(crate) async fn with(set: impl FnOnce(Builder) -> Builder) -> Self {
        Self::serving(set, |server| server).await
    }

    /// One that speaks HTTP/2, too.
    pub(crate) async fn over_http2(set: impl FnOnce(Builder) -> Builder) -> Self {
        Self::serving(set, |server| server.http2()).await
    }

    async fn serving(
        set: impl FnOnce(Builder) -> Builder,
        prepare: impl FnOnce(Serve<axum::Router>) -> Serve<axum::Router>,
    ) -> Self {
        let (heard, ends) = mpsc::unbounded_channel();
        let builder = set(realtime::builder());
        let gateway = builder
            .router(router())
            .on_disconnect(move |info: DisconnectInfo| {
                let _nobody_asks = heard.send(info);
                async {}
            })
            .build()
            .unwrap();
        let refused = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&refused);
        let refuse = async move || {
            count.fetch_add(1, Ordering::Relaxed);
            StatusCode::SERVICE_UNAVAILABLE
        };
        let app = axum::Router::new()
            .route("/", get(async || PAGE).post(async || PAGE))
            .route("/refused", any(refuse))
            .route_service("/livez", Livez)
            .route_service("/readyz", Readyz::of(&gateway))
            .route_service("/ws", gateway.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (drain, asked) = oneshot::channel::<()>();
        let server = prepare(realtime::serve(listener, app, gateway.clone()));
        let server = tokio::spawn(server.with_graceful_shutdown(asked).into_future());
        Self {
            gateway,
            addr,
            refused,
            ends,
            drain: Some(drain),
            server,
        }
    }

    /// One that, asked to end, says for a long time that it drains.
    pub(crate) async fn that_drains_slowly() -> Self {
        let long = Duration::from_secs(600);
        Self::with(|builder| builder.drain_notice(Some(long))).await
    }

    /// How many requests came to the path that answers 503.
    pub(crate) fn refused_requests(&self) -> usize {
        self.refused.load(Ordering::Relaxed)
    }

    /// Asks it to end, as SIGTERM does, and waits until it says that it drains.
    pub(crate) async fn drain(&mut self) {
        drop(self.drain.take());
        until("the node drains", async || self.readyz().await == 503).await;
    }

    async fn readyz(&self) -> u16 {
        let request = b"GET /readyz HTTP/1.1\r\nHost: node.test\r\n\r\n";
        raw_http(self.addr, request).await.unwrap().status
    }

    /// Asks it to end, and waits for its end.
    pub(crate) async fn end(mut self) {
        drop(self.drain.take());
        within("the end of the node", self.server)
            .await
            .unwrap()
            .unwrap();
    }

    /// How the next session ends.
    pub(crate) async fn ended(&mut self) -> DisconnectInfo {
        within("the end of a session", self.ends.recv())
            .await
            .unwrap()
    }
}

/// The client's address, as the gateway knows it.
pub(crate) fn address(answer: &Value) -> &Value {
    assert_eq!(answer["route"], json!("who"), "{answer}");
    &answer["data"]
}
