//! The paved path: `bind`, `serve` and how it ends.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod bind;
mod draining;
mod ends;
mod gateways;
mod kernel;
mod panics;
mod signals;
mod storm;
#[path = "../support/mod.rs"]
mod support;

use std::{io, net::SocketAddr, sync::Arc};

use realtime::{Builder, DisconnectInfo, Gateway, Serve, bind, serve};
use realtime_testkit::wait::within;
use tokio::{
    sync::{Semaphore, oneshot},
    task::JoinHandle,
};

/// A server with a plain page at `/page` and a gateway at `/ws`.
struct Server {
    gateway: Gateway,
    addr: SocketAddr,
    signal: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

fn app(gateway: &Gateway) -> axum::Router {
    axum::Router::new()
        .route("/page", axum::routing::get(async || "page"))
        .route_service("/ws", gateway.clone())
}

impl Server {
    async fn start(gateway: Gateway) -> Self {
        Self::with(gateway, |server| server).await
    }

    /// The same, with something done to the server before it runs.
    async fn with(
        gateway: Gateway,
        prepare: impl FnOnce(Serve<axum::Router>) -> Serve<axum::Router>,
    ) -> Self {
        let listener = bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (signal, signalled) = oneshot::channel();
        // A sender that is dropped is no signal.
        let signalled = async {
            if signalled.await.is_err() {
                std::future::pending().await
            }
        };
        let server = prepare(serve(listener, app(&gateway), gateway.clone()));
        let server = server.with_graceful_shutdown(signalled);
        Self {
            task: tokio::spawn(server.into_future()),
            gateway,
            addr,
            signal,
        }
    }
}

async fn ended(server: JoinHandle<io::Result<()>>) -> io::Result<()> {
    within("the end of the server", server).await.unwrap()
}

/// Holds sessions in their `on_disconnect` hook, and so the drain of their gateway.
#[derive(Clone)]
struct Hold(Arc<Semaphore>);

impl Hold {
    fn new() -> Self {
        Self(Arc::new(Semaphore::new(0)))
    }

    fn gateway(&self) -> Gateway {
        self.builder().build().unwrap()
    }

    fn builder(&self) -> Builder {
        let hold = self.0.clone();
        realtime::builder().on_disconnect(move |_: DisconnectInfo| {
            let hold = Arc::clone(&hold);
            async move { drop(hold.acquire().await) }
        })
    }

    fn release(&self) {
        self.0.close();
    }
}
