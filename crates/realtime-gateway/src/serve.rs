//! A server for those who have none yet: the paved path.

use std::{io, net::SocketAddr, pin::pin, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use realtime_core::BoxError;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tower_service::Service;

use crate::{
    Gateway, PeerAddr,
    transport::{BoxStream, Stream, WriteTimeout},
};

/// How long a client may take for the head of a request.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a client may take nothing of a response.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// How much of a request's head is buffered.
const HEADER_BYTES: usize = 64 * 1024;
/// How many headers a request may have.
const HEADERS: usize = 100;
/// How many plain HTTP connections there may be at once. Sessions are counted by the gateway.
const CONNECTIONS: usize = 16 * 1024;
/// How long requests that are under way may take when the server ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves an app, such as an `axum::Router` that has the gateway on one of its paths, over
/// HTTP/1.1.
///
/// It does what an embedding host must see to itself: timeouts for clients that are slow to ask or
/// don't read, bounded buffers, `TCP_NODELAY`, the peer's address as [`PeerAddr`], and at the end draining of the
/// gateway's sessions, then of the server. A gateway can't do it for its host: under `axum::serve`,
/// for one, a client may take as long as it likes for its request.
pub fn serve<A>(listener: TcpListener, app: A, gateway: Gateway) -> Serve<A> {
    Serve {
        listener,
        app,
        gateway,
        secure: None,
    }
}

type Secured = BoxFuture<'static, io::Result<BoxStream>>;
type Secure = Arc<dyn Fn(TcpStream) -> Secured + Send + Sync>;

/// A server that is about to run. Made by [`serve`].
#[must_use = "a server does nothing until it runs `until` something"]
pub struct Serve<A> {
    listener: TcpListener,
    app: A,
    gateway: Gateway,
    /// `None`: plain TCP, which is kept visible to the gateway.
    secure: Option<Secure>,
}

impl<A, B> Serve<A>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    /// Puts TLS, or anything else, between TCP and HTTP.
    ///
    /// ```text
    /// let acceptor = tokio_rustls::TlsAcceptor::from(config);
    /// serve(listener, app, gateway).secure(move |tcp| acceptor.accept(tcp))
    /// ```
    pub fn secure<F, Fut, T>(mut self, secure: F) -> Self
    where
        F: Fn(TcpStream) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        self.secure = Some(Arc::new(move |tcp| {
            let secured = secure(tcp);
            Box::pin(async move { Ok(Box::new(secured.await?) as BoxStream) })
        }));
        self
    }

    /// Serves until the signal completes, then shuts the gateway down and ends the server.
    ///
    /// A shutdown that begins elsewhere doesn't end the server, which answers upgrades with 503
    /// from then on: complete the signal, too.
    ///
    /// # Errors
    /// When the listener fails for good. Errors of single connections are logged at debug level.
    pub async fn until(self, signal: impl Future) -> io::Result<()> {
        let (stop, connections) = (CancellationToken::new(), TaskTracker::new());
        let places = Arc::new(Semaphore::new(CONNECTIONS));
        let (mut signal, mut failed) = (pin!(signal), None);
        loop {
            // While there is no place, new connections wait in the listener's backlog.
            let accepted = async {
                let place = Arc::clone(&places).acquire_owned().await;
                (place, self.listener.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                _ = &mut signal => break,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((tcp, peer)) => {
                    let connection = connection(
                        self.secure.clone(),
                        tcp,
                        peer,
                        self.app.clone(),
                        stop.clone(),
                    );
                    let gateway = self.gateway.clone();
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            gateway.shared().stats.connections_failed.add(1);
                            tracing::debug!(target: crate::log_targets::SERVE, %error, "a connection failed");
                        }
                        drop(place);
                    });
                }
                Err(error) if is_passing(&error) => {
                    tracing::warn!(target: crate::log_targets::SERVE, %error, "could not accept");
                    // Out of descriptors, most likely: let some be closed first.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
                Err(error) => {
                    failed = Some(error);
                    break;
                }
            }
        }
        drop(self.listener);
        self.gateway.shutdown().await;
        stop.cancel();
        connections.close();
        if tokio::time::timeout(DRAIN, connections.wait())
            .await
            .is_err()
        {
            tracing::warn!(target: crate::log_targets::SERVE, "requests were cut off at the deadline");
        }
        failed.map_or(Ok(()), Err)
    }
}

/// Errors of the connection that was about to be accepted, or of passing shortage.
fn is_passing(error: &io::Error) -> bool {
    !matches!(
        error.kind(),
        io::ErrorKind::InvalidInput | io::ErrorKind::NotFound
    )
}

async fn connection<A, B>(
    secure: Option<Secure>,
    tcp: TcpStream,
    peer: SocketAddr,
    app: A,
    stop: CancellationToken,
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
            let secured = tokio::time::timeout(HEADER_TIMEOUT, secure(tcp)).await;
            let stream = secured.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))??;
            http(stream, app, stop).await
        }
    }
}

async fn http<A, B>(stream: impl Stream, app: A, stop: CancellationToken) -> io::Result<()>
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
        () = stop.cancelled() => connection.as_mut().graceful_shutdown(),
    }
    let ended = tokio::time::timeout(DRAIN, connection).await;
    ended.map_err(io::Error::from)?.map_err(io::Error::other)
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

impl<A> std::fmt::Debug for Serve<A> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .finish_non_exhaustive()
    }
}
