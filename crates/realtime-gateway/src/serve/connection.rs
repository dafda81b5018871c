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

use super::Secure;
use crate::{
    PeerAddr,
    transport::{Stream, WriteTimeout},
};

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may read nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a request's head is buffered.
const HEADER_BYTES: usize = 64 * 1024;
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

/// Serves a connection until its end.
pub(super) async fn connection<A, B>(
    secure: Option<Secure>,
    tcp: TcpStream,
    peer: SocketAddr,
    app: A,
    stop: Stop,
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
        None => http(tcp, app, stop).await,
        Some(secure) => {
            hold_little(&tcp);
            let secured = tokio::time::timeout(HEADER_TIMEOUT, secure(tcp));
            let secured = tokio::select! {
                secured = secured => secured,
                // Nothing has been asked yet.
                () = stop.soon.cancelled() => return Ok(()),
            };
            let stream = secured.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            http(stream, app, stop).await
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

async fn http<A, B>(stream: impl Stream, app: A, stop: Stop) -> io::Result<()>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    let service = TowerToHyperService::new(app);
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(HEADER_BYTES)
        .max_headers(HEADERS)
        .half_close(false)
        .serve_connection(
            TokioIo::new(WriteTimeout::new(stream, WRITE_TIMEOUT)),
            service,
        )
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
