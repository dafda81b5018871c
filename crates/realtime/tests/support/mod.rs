//! A gateway under `serve` on a free port, and what tests ask of it.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files that use a part of it each"
)]

pub mod kernel;
pub mod tls;
pub mod transport;

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use realtime::{Builder, DisconnectInfo, Gateway, Serve, codec::Codec};
use realtime_testkit::{client::Client, wait::within};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle};

pub use transport::compressing;
use transport::{Between, Transport};

/// As [`realtime::builder`], for all transports.
pub fn builder() -> Builder {
    compressing(realtime::builder())
}

/// As [`Gateway::builder`], for all transports.
pub fn builder_of(codec: impl Codec) -> Builder {
    compressing(Gateway::builder(codec))
}

pub struct Server {
    pub gateway: Gateway,
    pub addr: SocketAddr,
    /// Where another transport is tested.
    _between: Option<Between>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

impl Server {
    pub async fn start(gateway: Gateway) -> Self {
        Self::with(gateway, |server| server).await
    }

    /// The same, with something done to the server before it runs.
    pub async fn with(
        gateway: Gateway,
        prepare: impl FnOnce(Serve<axum::Router>) -> Serve<axum::Router>,
    ) -> Self {
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        Self::of(app, gateway, prepare).await
    }

    /// The same, of an app that has more than a gateway.
    pub async fn of(
        app: axum::Router,
        gateway: Gateway,
        prepare: impl FnOnce(Serve<axum::Router>) -> Serve<axum::Router>,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let transport = Transport::chosen();
        let server = prepare(transport.prepare(realtime::serve(listener, app, gateway.clone())));
        let (addr, between) = transport.before(addr).await;
        let task = tokio::spawn(server.with_graceful_shutdown(stopped).into_future());
        Self {
            gateway,
            addr,
            _between: between,
            stop: Some(stop),
            task,
        }
    }

    /// Under `axum::serve`, which doesn't start the gateway, and isn't ended by its shutdown.
    pub async fn under_axum(gateway: Gateway) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let drained = gateway.clone();
        let stopped = async move {
            let _dropped = stopped.await;
            drained.shutdown().await;
        };
        let transport = Transport::chosen();
        let task = tokio::spawn(transport.serve_by_axum(listener, app, stopped));
        let (addr, between) = transport.before(addr).await;
        Self {
            gateway,
            addr,
            _between: between,
            stop: Some(stop),
            task,
        }
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.addr).await.unwrap()
    }

    /// Waits until this many sessions are open.
    pub async fn until_open(&self, sessions: u64) {
        let what = format!("{sessions} sessions are open");
        realtime_testkit::wait::until(&what, async || self.gateway.stats().open == sessions).await;
    }

    pub async fn stop(mut self) {
        drop(self.stop.take());
        within("the end of the server", self.task)
            .await
            .unwrap()
            .unwrap();
    }
}

/// Hears how sessions end.
#[derive(Clone, Default)]
pub struct Ends(Arc<Mutex<Vec<DisconnectInfo>>>);

impl Ends {
    pub fn hear<L>(&self, builder: Builder<(), L>) -> Builder<(), L> {
        let ends = self.clone();
        builder.on_disconnect(move |info: DisconnectInfo| {
            let ends = ends.clone();
            async move { ends.0.lock().unwrap().push(info) }
        })
    }

    pub async fn one(&self) -> DisconnectInfo {
        let heard = async || !self.0.lock().unwrap().is_empty();
        realtime_testkit::wait::until("a session has ended", heard).await;
        assert_eq!(self.len(), 1, "on_disconnect runs once");
        self.0.lock().unwrap()[0].clone()
    }

    pub fn len(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}
