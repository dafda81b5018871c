//! A client of a gateway over memory, for tests of handlers: no socket, no port, no waiting.
//!
//! ```text
//!   TestClient ─► bytes in memory ─► HTTP/1.1 ─► Gateway ─► codec ─► layers ─► router ─► handler
//! ```
//!
//! Nothing of the gateway is replaced: the handshake, the session and its end are the real ones.
//! What is missing is the kernel's socket, so it works with tokio's paused clock, where a minute
//! takes no time.
//!
//! ```
//! use realtime::{Identity, Json, Router};
//! use realtime_testkit::memory::{TestError, connect};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let sum = async |Json(numbers): Json<Vec<i32>>| Json(numbers.iter().sum::<i32>());
//! let gateway = realtime::builder().router(Router::new().route("sum", sum)).build()?;
//!
//! let mut ann = connect(&gateway, Identity::new("ann")).await?;
//! let answer = ann.request("sum", Json(&[1, 2])).await?;
//! assert_eq!(answer.decode::<i32>()?, 3);
//!
//! let error = ann.request("sum", Json("nonsense")).await.unwrap_err();
//! assert_eq!(error.code(), Some("bad_data"));
//! # Ok(())
//! # }
//! ```

mod client;
mod error;
mod link;

use std::{
    convert::Infallible,
    future::poll_fn,
    net::{Ipv6Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use http::Response;
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use realtime_core::{BoxError, Identity, codec::Codec};
use realtime_gateway::{Gateway, PeerAddr, Upgrade};
use tower_service::Service;

use crate::{client::Request, wait::DEADLINE};

pub use client::{End, TestClient};
pub use error::TestError;

/// How much a pipe holds in each direction: about what a socket does.
const PIPE_BYTES: usize = 64 * 1024;

/// Connects a client to a gateway under an identity, without its authenticator.
///
/// It is [`Connect::accepted_by`] with nothing else set.
///
/// # Errors
/// When the gateway refuses the upgrade, or the session doesn't begin in time.
pub async fn connect(gateway: &Gateway, identity: Identity) -> Result<TestClient, TestError> {
    Connect::new().accepted_by(gateway, identity).await
}

/// How to connect, for what [`connect`] leaves no choice about.
///
/// Each of its three ways to connect returns once the session's `on_connect` hooks have run, so
/// what is broadcast afterwards reaches it. A session that a hook refuses is connected too, as it
/// is on the wire: [`TestClient::closed`] says how it ended.
///
/// ```
/// use realtime::{CloseCode, auth::StaticToken, Identity};
/// use realtime_testkit::{client::Request, memory::Connect};
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let authenticator = StaticToken::new("s3cret", Identity::new("ann"))?;
/// let gateway = realtime::builder().authenticator(authenticator).build()?;
///
/// let error = Connect::new().to(&gateway).await.unwrap_err();
/// assert_eq!(error.status(), Some(401));
///
/// let request = Request::new("/ws").header("Authorization", "Bearer s3cret");
/// let ann = Connect::new().request(request).to(&gateway).await?;
/// assert!(ann.session(&gateway).is_some());
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "it connects nobody before it is given a gateway"]
pub struct Connect {
    request: Request,
    address: SocketAddr,
    pipe_bytes: usize,
    deadline: Duration,
}

impl Connect {
    /// A request for `/ws` from an address of its own, a pipe that holds 64 KiB in each direction,
    /// and a deadline of [`DEADLINE`].
    pub fn new() -> Self {
        Self {
            request: Request::new("/ws"),
            address: next_address(),
            pipe_bytes: PIPE_BYTES,
            deadline: DEADLINE,
        }
    }

    /// Sets the upgrade request: path, query and headers. Default: a proper one for `/ws`.
    pub fn request(mut self, request: Request) -> Self {
        self.request = request;
        self
    }

    /// Sets the address that the gateway sees. Default: one of the range for documentation, which
    /// no other client of this process has, so that [`TestClient::session`] finds its session.
    pub fn address(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// Sets how many bytes the pipe holds in each direction; at least 1 is used. With a few hundred
    /// a client that doesn't read is soon a slow consumer.
    pub fn pipe_bytes(mut self, bytes: usize) -> Self {
        self.pipe_bytes = bytes.max(1);
        self
    }

    /// Sets how long the client waits for anything, this connection included. Under tokio's paused
    /// clock it costs nothing to wait for long.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Connects a client that the host has authenticated: through [`Gateway::accept`].
    ///
    /// # Errors
    /// When the gateway refuses the upgrade, or the session doesn't begin in time.
    pub async fn accepted_by(
        self,
        gateway: &Gateway,
        identity: Identity,
    ) -> Result<TestClient, TestError> {
        let codec = Arc::clone(gateway.codec());
        let gateway = gateway.clone();
        let accept = move |request| {
            let response = gateway.accept(Upgrade::from_request(request), identity.clone());
            std::future::ready(Ok::<_, Infallible>(response))
        };
        self.through(accept, codec).await
    }

    /// Connects through the gateway's own authenticator.
    ///
    /// # Errors
    /// When the gateway refuses the upgrade, or the session doesn't begin in time.
    pub async fn to(self, gateway: &Gateway) -> Result<TestClient, TestError> {
        let codec = Arc::clone(gateway.codec());
        let gateway = gateway.clone();
        let call = move |request| gateway.clone().call(request);
        self.through(call, codec).await
    }

    /// Connects through a whole application, such as an `axum::Router` whose route accepts the
    /// upgrade. The codec is one that the gateway behind it speaks: it is offered as the
    /// subprotocol, in front of those that the [request](Self::request) offers itself, unless that
    /// has it already.
    ///
    /// # Errors
    /// When the application or the gateway refuses, or the session doesn't begin in time.
    pub async fn to_app<A, B>(mut self, app: A, codec: impl Codec) -> Result<TestClient, TestError>
    where
        A: Service<http::Request<Incoming>, Response = Response<B>> + Clone + Send + 'static,
        A::Error: Into<BoxError>,
        A::Future: Send,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
    {
        self.request = self.request.offering(codec.name());
        let call = move |request| {
            let mut app = app.clone();
            async move {
                poll_fn(|cx| app.poll_ready(cx)).await?;
                app.call(request).await
            }
        };
        self.through(call, Arc::new(codec)).await
    }

    /// Serves one connection over a pipe, and makes the request at its other end.
    async fn through<F, R, B, E>(
        self,
        call: F,
        codec: Arc<dyn Codec>,
    ) -> Result<TestClient, TestError>
    where
        F: Fn(http::Request<Incoming>) -> R + Send + 'static,
        R: Future<Output = Result<Response<B>, E>> + Send,
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<BoxError>,
        E: Into<BoxError>,
    {
        let address = self.address;
        let (ours, theirs) = tokio::io::duplex(self.pipe_bytes);
        let service = service_fn(move |mut request| {
            request.extensions_mut().insert(PeerAddr(address));
            call(request)
        });
        let connection = http1::Builder::new().serve_connection(TokioIo::new(theirs), service);
        // It ends with the upgrade, or when the client drops its end of the pipe.
        tokio::spawn(connection.with_upgrades());
        TestClient::open(&self.request, ours, codec, address, self.deadline).await
    }
}

impl Default for Connect {
    fn default() -> Self {
        Self::new()
    }
}

/// An address of 2001:db8::/32, which is for documentation.
fn next_address() -> SocketAddr {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let [a, b, c, d, e, f, g, h] = NEXT.fetch_add(1, Relaxed).to_be_bytes();
    let last = [[a, b], [c, d], [e, f], [g, h]].map(u16::from_be_bytes);
    let ip = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, last[0], last[1], last[2], last[3]);
    (ip, 49_152).into()
}
