//! A server for those who have none yet: the paved path.

mod accept;
mod bind;
mod connection;
mod drain;
#[cfg(feature = "http2")]
mod http2;
mod panics;
mod place;
mod signal;
mod tcp;
mod trouble;

use std::{fmt, future::pending, io, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use http::{Request, Response};
use hyper::body::Incoming;
use realtime_core::BoxError;
use tokio::net::TcpListener;
use tower_service::Service;

use crate::{
    Gateway,
    transport::{BoxStream, Foreign},
};

use accept::Acceptor;
pub use bind::{Bind, bind};
pub use signal::shutdown_signal;
pub use tcp::TcpConnection;

/// How long requests that are under way may take when the server ends.
const DRAIN: Duration = Duration::from_secs(5);

/// Serves an app, such as an `axum::Router` that has the gateway on one of its paths, over
/// HTTP/1.1; with the feature `http2` and [`Serve::http2`] over HTTP/2, too.
///
/// It does what an embedding host must do itself: timeouts for clients that are slow to ask or
/// don't read, bounded buffers, `TCP_NODELAY`, the peer's address as [`PeerAddr`](crate::PeerAddr),
/// and at the end draining of the gateway's sessions, then of the server. A gateway can't do it for
/// its host: under `axum::serve`, for one, a client may take as long as it likes for its request.
///
/// Awaited as it is, it serves until the gateway is drained or shut down, by [`Gateway::drain`],
/// [`Gateway::shutdown`] or their `begin_…`. With
/// [`with_graceful_shutdown`](Serve::with_graceful_shutdown) a signal drains it, too.
///
/// ```no_run
/// # async fn run(gateway: realtime::Gateway) -> std::io::Result<()> {
/// let app = axum::Router::new().route_service("/ws", gateway.clone());
/// let listener = realtime::bind("127.0.0.1:8080").await?;
/// realtime::serve(listener, app, gateway)
///     .with_graceful_shutdown(realtime::shutdown_signal())
///     .await?;
/// # Ok(())
/// # }
/// ```
///
/// # The start
/// A gateway that was given a [broker](crate::Builder::broker) and that is not started is
/// started before the first connection is accepted: without it, what is broadcast would stay on
/// this node. When that fails, so does the server. To try again where a broker may come up later,
/// call [`Gateway::start`] yourself before; once the server runs, the call would fail with kind
/// `AlreadyStarted`.
///
/// # The end
/// At the signal the gateway [drains](Gateway::drain): for
/// [`Config::drain_notice`](crate::Config::drain_notice) nothing else happens, so that balancers notice
/// that it isn't [ready](crate::Readyz), and then its sessions are closed one after the other, over
/// [`Config::drain_over`](crate::Config::drain_over) or, where they are few, 100 a second. Meanwhile
/// connections are still accepted, and plain requests answered; upgrades are refused with 503 and
/// `Retry-After`, so that a balancer sends them to another node. When the gateway has drained, the
/// listener is closed, and requests that are under way have 5 s to finish.
///
/// # Errors
/// When the gateway can't be started, with the [`StartError`](crate::StartError) inside, or when
/// the listener fails for good. The gateway is shut down in these cases, too. Errors of single
/// connections are counted, and logged at debug level.
///
/// # Cancel safety
/// Dropped before it ends, nothing is accepted any more. The gateway isn't shut down, and
/// connections continue.
pub fn serve<A>(listener: TcpListener, app: A, gateway: Gateway) -> Serve<A> {
    Serve {
        listener,
        app,
        gateways: vec![gateway],
        secure: None,
        #[cfg(feature = "http2")]
        http2: false,
    }
}

type Secured = BoxFuture<'static, io::Result<BoxStream>>;
type Secure = Arc<dyn Fn(TcpConnection) -> Secured + Send + Sync>;

/// A server that is about to run. Made by [`serve`].
#[must_use = "a server does nothing until it is awaited"]
pub struct Serve<A> {
    listener: TcpListener,
    app: A,
    gateways: Vec<Gateway>,
    /// `None`: plain TCP, which is kept visible to the gateway.
    secure: Option<Secure>,
    #[cfg(feature = "http2")]
    http2: bool,
}

/// A server that a signal ends. Made by [`Serve::with_graceful_shutdown`].
#[must_use = "a server does nothing until it is awaited"]
pub struct WithGracefulShutdown<A, F> {
    server: Serve<A>,
    signal: F,
}

impl<A> Serve<A> {
    /// Adds another gateway that the app has on one of its paths. All of them are started, and
    /// drained together: the end of one is the end of all, and of the server. What the server itself
    /// counts, such as connections without a valid request, belongs to the one that [`serve`] was
    /// given.
    ///
    /// ```no_run
    /// # async fn run(chat: realtime::Gateway, news: realtime::Gateway) -> std::io::Result<()> {
    /// let app = axum::Router::new()
    ///     .route_service("/chat", chat.clone())
    ///     .route_service("/news", news.clone());
    /// let listener = realtime::bind("127.0.0.1:8080").await?;
    /// realtime::serve(listener, app, chat).and_gateway(news).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn and_gateway(mut self, gateway: Gateway) -> Self {
        self.gateways.push(gateway);
        self
    }

    /// Puts TLS, or anything else, between TCP and HTTP. It has 10 s for each connection, and what
    /// it fails with is counted and logged at debug level.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
    ///
    /// # async fn run(
    /// #     gateway: realtime::Gateway, app: axum::Router, mut config: ServerConfig,
    /// # ) -> std::io::Result<()> {
    /// // What is spoken behind it: browsers would offer HTTP/2, too.
    /// config.alpn_protocols = vec![b"http/1.1".to_vec()];
    /// let acceptor = TlsAcceptor::from(Arc::new(config));
    /// let listener = realtime::bind("0.0.0.0:443").await?;
    /// realtime::serve(listener, app, gateway)
    ///     .secure(move |tcp| acceptor.accept(tcp))
    ///     .with_graceful_shutdown(realtime::shutdown_signal())
    ///     .await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn secure<F, Fut, T>(mut self, secure: F) -> Self
    where
        F: Fn(TcpConnection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = io::Result<T>> + Send + 'static,
        T: tokio::io::AsyncRead + tokio::io::AsyncWrite + Send + Unpin + 'static,
    {
        self.secure = Some(Arc::new(move |tcp| {
            let secured = secure(tcp);
            Box::pin(async move { Ok(Box::new(Foreign::new(secured.await?)) as BoxStream) })
        }));
        self
    }

    /// Speaks HTTP/2 with clients that begin with it, too: without TLS those that know, with TLS those
    /// that have agreed on it.
    ///
    /// A client may have 64 requests and sessions (RFC 8441) on one connection. While it has sessions,
    /// it takes none of the places of plain HTTP; one on which nothing happens for a minute is ended.
    /// Where the gateway drains, its clients are told to use another connection.
    ///
    /// ```no_run
    /// use std::sync::Arc;
    ///
    /// use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};
    ///
    /// # async fn run(
    /// #     gateway: realtime::Gateway, app: axum::Router, mut config: ServerConfig,
    /// # ) -> std::io::Result<()> {
    /// config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    /// let acceptor = TlsAcceptor::from(Arc::new(config));
    /// let listener = realtime::bind("0.0.0.0:443").await?;
    /// realtime::serve(listener, app, gateway)
    ///     .secure(move |tcp| acceptor.accept(tcp))
    ///     .http2()
    ///     .await
    /// # }
    /// ```
    #[cfg(feature = "http2")]
    #[cfg_attr(docsrs, doc(cfg(feature = "http2")))]
    pub const fn http2(mut self) -> Self {
        self.http2 = true;
        self
    }

    /// Drains the gateway when the signal completes, and ends the server after it. See [`serve`] for
    /// what happens then.
    ///
    /// [`shutdown_signal`] is such a signal; what it returns doesn't matter, so the receiver of a
    /// channel is one, too. A drain or a shutdown that begins elsewhere ends the server as well: the
    /// earliest end and the earliest deadline hold.
    pub fn with_graceful_shutdown<F>(self, signal: F) -> WithGracefulShutdown<A, F>
    where
        F: Future + Send + 'static,
    {
        WithGracefulShutdown {
            server: self,
            signal,
        }
    }

    async fn run<B>(self, signal: impl Future<Output = ()>) -> io::Result<()>
    where
        A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
        A: Clone + Send + 'static,
        A::Future: Send + 'static,
        B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
        B::Data: Send,
    {
        let Self {
            listener,
            app,
            gateways,
            secure,
            #[cfg(feature = "http2")]
            http2,
        } = self;
        let mut acceptor = Acceptor::new(listener, app, secure, &gateways, gateways[0].clone());
        #[cfg(feature = "http2")]
        {
            acceptor.http2 = http2;
        }
        let outcome = {
            let served = async {
                drain::start(&gateways).await?;
                Err(acceptor.run().await)
            };
            tokio::select! {
                biased;
                () = drain::drained(&gateways, signal) => Ok(()),
                failed = served => failed,
            }
        };
        if outcome.is_err() {
            // Nobody else can come; who is there goes elsewhere.
            drain::shut_down(&gateways).await;
        }
        let cut_off = acceptor.stop(DRAIN).await;
        if cut_off > 0 {
            tracing::warn!(
                target: crate::log_targets::SERVE, cut_off,
                "connections with a request under way were cut off at the deadline",
            );
        }
        outcome
    }
}

impl<A, B> IntoFuture for Serve<A>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run(pending()))
    }
}

impl<A, B, F> IntoFuture for WithGracefulShutdown<A, F>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
    F: Future + Send + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        let Self { server, signal } = self;
        Box::pin(server.run(async move { drop(signal.await) }))
    }
}

impl<A> fmt::Debug for Serve<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Serve")
            .field("listener", &self.listener)
            .field("gateways", &self.gateways)
            .finish_non_exhaustive()
    }
}

impl<A, F> fmt::Debug for WithGracefulShutdown<A, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WithGracefulShutdown")
            .field("server", &self.server)
            .finish_non_exhaustive()
    }
}
