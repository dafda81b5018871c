//! A gateway under a host, with a bystander and everything that must hold for every test.

use std::{
    cell::Cell,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, Once},
};

use realtime::{
    Builder, DisconnectInfo, Gateway, IdentityKey, Json, Payload, Router, Session, report::Stats,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::{until, within},
};
use serde_json::Value;
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::{RwLock, oneshot},
    task::JoinHandle,
};

use crate::{bystander::Bystander, log};

/// Which server the gateway is mounted on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Host {
    /// `realtime::serve`.
    Ours,
    /// `axum::serve`.
    Axum,
}

pub const HOSTS: [Host; 2] = [Host::Ours, Host::Axum];

/// What the bystander needs, and `raw`, which answers with the very bytes that came.
pub fn router() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("raw", async |data: Payload| data)
}

pub fn anonymous() -> IdentityKey {
    IdentityKey::new("anonymous")
}

/// Descriptors and memory are the whole process's: tests that count them run alone.
static TURN: RwLock<()> = RwLock::const_new(());

pub struct Server {
    pub gateway: Gateway,
    pub addr: SocketAddr,
    _turn: Box<dyn Send>,
    bystander: Bystander,
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

impl Server {
    pub async fn start(gateway: Gateway) -> Self {
        Self::under(Host::Ours, gateway, Request::new("/ws")).await
    }

    /// Starts when no other server of this process is left, and until it has finished no other
    /// starts.
    pub async fn alone(gateway: Gateway) -> Self {
        let turn = Box::new(TURN.write().await);
        Self::with(turn, Host::Ours, gateway, Request::new("/ws")).await
    }

    /// The request is the bystander's.
    pub async fn under(host: Host, gateway: Gateway, request: Request) -> Self {
        Self::with(Box::new(TURN.read().await), host, gateway, request).await
    }

    async fn with(turn: Box<dyn Send>, host: Host, gateway: Gateway, request: Request) -> Self {
        log::capture();
        count_panics();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let task = match host {
            Host::Ours => {
                let server = realtime::serve(listener, app, gateway.clone());
                tokio::spawn(server.with_graceful_shutdown(stopped).into_future())
            }
            Host::Axum => {
                let gateway = gateway.clone();
                tokio::spawn(async move {
                    let stopped = async move {
                        let _dropped = stopped.await;
                        gateway.shutdown().await;
                    };
                    let server = axum::serve(listener, app);
                    server.with_graceful_shutdown(stopped).await
                })
            }
        };
        let bystander = Bystander::start(addr, request).await;
        Self {
            gateway,
            addr,
            _turn: turn,
            bystander,
            stop,
            task,
        }
    }

    pub fn stats(&self) -> Stats {
        self.gateway.stats()
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.addr).await.unwrap()
    }

    /// A client whose socket holds little of what it doesn't read.
    pub async fn connect_narrow(&self) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(self.addr).await.unwrap();
        Request::new("/ws").over(stream).await.unwrap()
    }

    /// Waits until this many sessions are open beside the bystander's.
    pub async fn until_open(&self, sessions: u64) {
        let what = format!("{sessions} sessions are open");
        until(&what, async || self.stats().open == sessions + 1).await;
    }

    /// Waits until the bystander is alone, in the hub, in presence, and in the books.
    pub async fn until_alone(&self) {
        self.until_open(0).await;
        let gone = async || {
            let stats = self.stats();
            stats.closed == stats.opened - 1 && stats.assembling_bytes == 0
        };
        until("all sessions but the bystander's have ended", gone).await;
        let mut online = self.gateway.sessions_of(&anonymous()).await.unwrap();
        online.retain(|session| self.gateway.local_session(session.session_id).is_none());
        assert!(online.is_empty(), "presence knows only who is here");
    }

    /// The only session beside the bystander's.
    pub async fn session(&self) -> Session {
        self.until_open(1).await;
        let mut sessions = self.gateway.local_sessions_of(&anonymous());
        sessions.sort_by_key(Session::connected_at);
        sessions.pop().unwrap()
    }

    /// Ends the server and checks what must hold after every test.
    pub async fn finish(self) {
        self.finish_after(0).await;
    }

    /// The same, after so many panics that the test has brought about on purpose.
    pub async fn finish_after(self, panics: usize) {
        self.finish_with(panics, async {}).await;
    }

    /// The same, with something to be done after the bystander's last answer.
    pub async fn finish_with<T>(self, panics: usize, last: impl Future<Output = T>) -> T {
        let Self {
            gateway,
            bystander,
            stop,
            task,
            _turn,
            ..
        } = self;
        bystander.leave().await;
        let result = last.await;
        drop(stop);
        within("the end of the server", task)
            .await
            .unwrap()
            .unwrap();
        let stats = gateway.stats();
        assert_eq!(
            (stats.open, stats.opened),
            (0, stats.closed + stats.aborted)
        );
        assert_eq!((stats.queued_bytes, stats.assembling_bytes), (0, 0));
        assert_eq!(PANICS.get(), panics, "panics of this test's tasks");
        log::check();
        result
    }
}

thread_local! {
    // The runtime of each test lives in the test's own thread.
    static PANICS: Cell<usize> = const { Cell::new(0) };
}

fn count_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            PANICS.set(PANICS.get() + 1);
            before(info);
        }));
    });
}

/// Hears how sessions end, but for ordinary ends with 1000 such as the bystander's.
#[derive(Clone, Default)]
pub struct Ends(Arc<Mutex<Vec<DisconnectInfo>>>);

impl Ends {
    pub fn hear<S: Clone + Send + Sync + 'static, L>(
        &self,
        builder: Builder<S, L>,
    ) -> Builder<S, L> {
        let ends = self.clone();
        builder.on_disconnect(move |info: DisconnectInfo| {
            let ends = ends.clone();
            async move { ends.0.lock().unwrap().push(info) }
        })
    }

    /// The ends so far, which are forgotten by this.
    pub fn take(&self) -> Vec<DisconnectInfo> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    pub async fn one(&self) -> DisconnectInfo {
        until("a session has ended", async || {
            !self.0.lock().unwrap().is_empty()
        })
        .await;
        let mut ends = self.take();
        assert_eq!(ends.len(), 1, "on_disconnect runs once: {ends:?}");
        ends.remove(0)
    }
}

/// The process's memory, in bytes.
pub fn memory() -> usize {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    pages.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
