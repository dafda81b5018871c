//! One connection: TLS or whatever else is put before HTTP, then requests until an upgrade or an end.

use std::{io, net::SocketAddr, pin::pin, time::Duration};

use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use realtime_core::BoxError;
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower_service::Service;

use super::{Secure, place::Place, tcp::TcpConnection};
#[cfg(feature = "http2")]
use super::{http2, panics::Panics};
use crate::{
    PeerAddr,
    transport::{Grounded, HttpStream, OverTcp, Stream},
};

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may read nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a request's head is buffered.
pub(super) const HEADER_BYTES: usize = 64 * 1024;
/// How many headers a request may have.
const HEADERS: usize = 100;

/// When a connection ends.
#[derive(Debug, Clone, Default)]
pub(super) struct Stop {
    /// After the request that is under way.
    pub(super) soon: CancellationToken,
    /// At once.
    pub(super) now: CancellationToken,
}

/// What a connection needs of its server.
#[derive(Debug)]
pub(super) struct Around {
    pub(super) stop: Stop,
    #[cfg_attr(not(feature = "http2"), expect(dead_code, reason = "it is held"))]
    pub(super) place: Place,
    #[cfg(feature = "http2")]
    pub(super) panics: Panics,
    /// Whether HTTP/2 is spoken.
    #[cfg(feature = "http2")]
    pub(super) http2: bool,
    /// No session begins any more.
    #[cfg(feature = "http2")]
    pub(super) draining: CancellationToken,
}

/// Serves a connection until its end.
pub(super) async fn connection<A, B>(
    secure: Option<Secure>,
    tcp: TcpStream,
    peer: SocketAddr,
    app: A,
    around: Around,
) -> io::Result<()>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    tcp.set_nodelay(true)?;
    let app = WithPeer { app, peer };
    match secure {
        None => {
            let shared = |tcp| {
                hold_little(&tcp);
                let (tcp, handle) = TcpConnection::new(tcp);
                OverTcp::new(tcp, handle)
            };
            http(tcp, shared, app, around).await
        }
        Some(secure) => {
            hold_little(&tcp);
            let (tcp, handle) = TcpConnection::new(tcp);
            let secured = tokio::time::timeout(HEADER_TIMEOUT, secure(tcp));
            let secured = tokio::select! {
                secured = secured => secured,
                // Nothing has been asked yet.
                () = around.stop.soon.cancelled() => return Ok(()),
            };
            let stream = secured.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            http(OverTcp::new(stream, handle), |stream| stream, app, around).await
        }
    }
}

/// Has the kernel take little beyond what the peer has room for. It calls a socket writable again
/// when a third of its buffer is free, or half of this: behind megabytes a slow reader would look
/// like one that reads nothing. A session over plain TCP asks its socket; behind TLS it can't.
fn hold_little(tcp: &TcpStream) {
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        const UNSENT: u32 = 128 * 1024;
        // A kernel that doesn't know it works as before.
        let _set = socket2::SockRef::from(tcp).set_tcp_notsent_lowat(UNSENT);
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = tcp;
}

/// `shared` prepares a connection that several sessions are to share.
async fn http<S, T, A, B>(
    stream: S,
    shared: impl FnOnce(S) -> OverTcp<T>,
    app: A,
    around: Around,
) -> io::Result<()>
where
    S: Grounded,
    T: Stream,
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    #[cfg(feature = "http2")]
    if around.http2 {
        let mut stream = stream;
        let begun = tokio::select! {
            begun = tokio::time::timeout(HEADER_TIMEOUT, http2::begun(&mut stream)) => begun,
            () = around.stop.soon.cancelled() => return Ok(()),
        };
        let (bytes, is_http2) = begun.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
        return match is_http2 {
            true => {
                let stream = HttpStream::new(shared(stream), WRITE_TIMEOUT);
                http2::http2(stream.after(bytes), app, around).await
            }
            false => {
                let stream = HttpStream::new(stream, WRITE_TIMEOUT);
                http1(stream.after(bytes), app, around).await
            }
        };
    }
    #[cfg(not(feature = "http2"))]
    let _ = shared;
    http1(HttpStream::new(stream, WRITE_TIMEOUT), app, around).await
}

async fn http1<A, B>(stream: HttpStream<impl Grounded>, app: A, around: Around) -> io::Result<()>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    let Around { stop, .. } = &around;
    let service = TowerToHyperService::new(app);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .half_close(false)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = pin!(connection);
    tokio::select! {
        served = connection.as_mut() => return served.map_err(io::Error::other),
        () = stop.soon.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    tokio::select! {
        served = connection => served.map_err(io::Error::other),
        () = stop.now.cancelled() => Err(io::Error::from(io::ErrorKind::TimedOut)),
    }
}

/// Adds the peer's address to each request.
#[derive(Clone)]
struct WithPeer<A> {
    app: A,
    peer: SocketAddr,
}

impl<A: Service<Request<Incoming>>> Service<Request<Incoming>> for WithPeer<A> {
    type Response = A::Response;
    type Error = A::Error;
    type Future = A::Future;

    fn poll_ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Result<(), A::Error>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> A::Future {
        request.extensions_mut().insert(PeerAddr(self.peer));
        self.app.call(request)
    }
}
