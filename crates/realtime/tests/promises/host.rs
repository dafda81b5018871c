//! The same gateway over plain TCP, over a host's own stream, and under a host of its own.

use std::{
    future::ready,
    sync::{Arc, Mutex},
};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use realtime::{
    Gateway, Identity, IdentityKey, Session,
    auth::{AuthError, Authenticator},
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpSocket, TcpStream},
};

use crate::{
    broken::{At, Broken, How, Trap},
    support::Server,
};

/// How much a pipe in memory holds.
const PIPE: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Under hyper, over a pipe in memory.
    Hyper,
    /// `serve` over TCP.
    Plain,
    /// `serve` over a stream that stands between TCP and HTTP, as TLS does.
    Secured,
}

/// Those where the gateway has a stream of the host's own under it.
pub const FOREIGN: [Kind; 2] = [Kind::Hyper, Kind::Secured];
pub const ALL: [Kind; 3] = [Kind::Hyper, Kind::Plain, Kind::Secured];

pub trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

pub type AnyClient = Client<Box<dyn Wire>>;

pub struct Host {
    pub gateway: Gateway,
    kind: Kind,
    server: Option<Server>,
    /// One for each connection, in their order.
    traps: Arc<Mutex<Vec<Arc<Trap>>>>,
    next: Arc<Mutex<(At, How)>>,
}

impl Host {
    pub async fn start(kind: Kind, gateway: Gateway) -> Self {
        let traps: Arc<Mutex<Vec<Arc<Trap>>>> = Arc::default();
        let next: Arc<Mutex<(At, How)>> = Arc::default();
        let (made, at) = (Arc::clone(&traps), Arc::clone(&next));
        let server = match kind {
            Kind::Hyper => None,
            Kind::Plain => Some(Server::start(gateway.clone()).await),
            Kind::Secured => {
                let secure = move |tcp| {
                    let trap = trap(&at);
                    made.lock().unwrap().push(Arc::clone(&trap));
                    ready(Ok(Broken::new(tcp, trap)))
                };
                Some(Server::with(gateway.clone(), |server| server.secure(secure)).await)
            }
        };
        Self {
            gateway,
            kind,
            server,
            traps,
            next,
        }
    }

    /// What the streams of the next connections do.
    pub fn next(&self, at: At, how: How) {
        *self.next.lock().unwrap() = (at, how);
    }

    /// A client of this name, and the trap in its stream, which over plain TCP there isn't.
    pub async fn connect(&self, name: &str) -> (AnyClient, Arc<Trap>) {
        let wire: Box<dyn Wire> = match &self.server {
            Some(server) => {
                let tcp = TcpStream::connect(server.addr).await.unwrap();
                tcp.set_nodelay(true).unwrap();
                Box::new(tcp)
            }
            None => {
                let trap = trap(&self.next);
                self.traps.lock().unwrap().push(Arc::clone(&trap));
                Box::new(self.pipe(trap, PIPE))
            }
        };
        let request = Request::new(format!("/ws?{name}"));
        let client = request.over(wire).await.unwrap();
        let trap = self.traps.lock().unwrap().last().cloned();
        (client, trap.unwrap_or_default())
    }

    /// A client over TCP whose kernel holds about so much that it has not read: it grows no window
    /// of megabytes of which it would tell only when a sixteenth is free.
    pub async fn connect_narrow(&self, name: &str, bytes: u32) -> Client {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(bytes).unwrap();
        let server = self.server.as_ref().unwrap();
        let tcp = socket.connect(server.addr).await.unwrap();
        let request = Request::new(format!("/ws?{name}"));
        request.over(tcp).await.unwrap()
    }

    /// A client over a pipe in memory that holds so much.
    pub async fn connect_wide(&self, name: &str, bytes: usize) -> AnyClient {
        let wire: Box<dyn Wire> = Box::new(self.pipe(trap(&self.next), bytes));
        let request = Request::new(format!("/ws?{name}"));
        request.over(wire).await.unwrap()
    }

    fn pipe(&self, trap: Arc<Trap>, bytes: usize) -> impl Wire + use<> {
        let (ours, theirs) = tokio::io::duplex(bytes);
        let service = TowerToHyperService::new(self.gateway.clone());
        let stream = TokioIo::new(Broken::new(theirs, trap));
        let connection = http1::Builder::new().serve_connection(stream, service);
        tokio::spawn(connection.with_upgrades());
        ours
    }

    pub fn kind(&self) -> Kind {
        self.kind
    }

    pub async fn until_open(&self, sessions: u64) {
        let open = async || self.gateway.stats().open == sessions;
        until(&format!("{sessions} sessions are open"), open).await;
    }

    /// The only session of this name.
    pub async fn session(&self, name: &str) -> Session {
        let sessions = || self.gateway.local_sessions_of(&key(name));
        until("its session is open", async || sessions().len() == 1).await;
        sessions().remove(0)
    }
}

fn trap(next: &Mutex<(At, How)>) -> Arc<Trap> {
    let (at, how) = *next.lock().unwrap();
    Trap::new(at, how)
}

/// The query is the name.
#[derive(Debug)]
pub struct ByName;

impl Authenticator for ByName {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or("anonymous")))
    }
}

pub fn key(name: &str) -> IdentityKey {
    IdentityKey::new(name)
}
