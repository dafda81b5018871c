//! A gateway under `serve` on a free port.

use std::net::SocketAddr;

use realtime::{Builder, Gateway, Json, Router, Session};
use realtime_testkit::wait::within;
use serde_json::Value;
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub(super) struct Server {
    pub(super) gateway: Gateway,
    pub(super) addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

/// What the tests ask.
pub(super) fn router() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("nothing", async || {})
        .route("who", async |session: Session| {
            Json(session.identity_key().id().to_owned())
        })
        .route("never", async || std::future::pending::<()>().await)
}

impl Server {
    pub(super) async fn start(builder: Builder) -> Self {
        let gateway = builder.build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        let (stop, stopped) = oneshot::channel();
        let server = realtime::serve(listener, app, gateway.clone());
        let task = tokio::spawn(server.with_graceful_shutdown(stopped).into_future());
        Self {
            gateway,
            addr,
            stop,
            task,
        }
    }

    pub(super) async fn plain() -> Self {
        Self::start(realtime::builder().router(router())).await
    }

    pub(super) fn port(&self) -> u16 {
        self.addr.port()
    }

    pub(super) async fn stop(self) {
        drop(self.stop);
        within("the end of the server", self.task)
            .await
            .unwrap()
            .unwrap();
    }
}
