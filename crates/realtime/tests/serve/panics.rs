//! A connection whose code panics takes no other along.

use std::{
    convert::Infallible,
    io,
    panic::panic_any,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::{Duration, Instant},
};

use axum::http::Request;
use hyper::body::Incoming;
use realtime::{bind, serve, service::TcpConnection};
use realtime_testkit::{
    client::{Client, raw_http},
    wait::{until, within},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tower::Service;

use crate::{app, ended};

#[tokio::test]
async fn an_app_that_panics_ends_its_own_connection_only() {
    let gateway = realtime::builder().build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let panicking = axum::routing::get(async || -> &'static str { panic!("on purpose") });
    let app = app(&gateway).route("/panic", panicking);
    let server = tokio::spawn(serve(listener, app, gateway.clone()).into_future());
    let _before = Client::connect(addr).await.unwrap();
    for n in 1..=3 {
        let request = b"GET /panic HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
        assert!(raw_http(addr, request).await.is_err());
        until("it is counted", async || {
            gateway.stats().connections_failed == n
        })
        .await;
    }
    let _after = Client::connect(addr).await.unwrap();
    until("both are open", async || gateway.stats().open == 2).await;
    gateway.shutdown().await;
    ended(server).await.unwrap();
}

#[tokio::test]
async fn an_acceptor_that_panics_ends_its_own_connection_only() {
    let gateway = realtime::builder().build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let first = AtomicBool::new(true);
    let server = serve(listener, gateway.clone(), gateway.clone()).secure(move |tcp| {
        assert!(!first.swap(false, SeqCst), "on purpose");
        std::future::ready(Ok(tcp))
    });
    let server = tokio::spawn(server.into_future());
    assert!(Client::connect(addr).await.is_err());
    let mut client = Client::connect(addr).await.unwrap();
    assert_eq!(gateway.stats().connections_failed, 1);
    gateway.shutdown().await;
    assert_eq!(client.closed().await.unwrap().0, 1001);
    ended(server).await.unwrap();
}

/// A stream that panics, and again when it is dropped for that.
struct Hopeless(TcpConnection);

impl Drop for Hopeless {
    fn drop(&mut self) {
        panic_any("on purpose");
    }
}

impl AsyncRead for Hopeless {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        _: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        panic!("on purpose")
    }
}

impl AsyncWrite for Hopeless {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Two panics at once would be the end of the process.
#[tokio::test]
async fn a_stream_that_panics_again_when_it_is_dropped_ends_its_own_connection_only() {
    let gateway = realtime::builder().build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let first = AtomicBool::new(true);
    let server = serve(listener, gateway.clone(), gateway.clone()).secure(move |tcp| {
        let stream: Box<dyn Wire> = if first.swap(false, SeqCst) {
            Box::new(Hopeless(tcp))
        } else {
            Box::new(tcp)
        };
        std::future::ready(Ok(stream))
    });
    let server = tokio::spawn(server.into_future());
    assert!(Client::connect(addr).await.is_err());
    let mut client = Client::connect(addr).await.unwrap();
    assert_eq!(gateway.stats().connections_failed, 1);
    gateway.shutdown().await;
    assert_eq!(client.closed().await.unwrap().0, 1001);
    ended(server).await.unwrap();
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// An app of which each connection has a clone, which can't always be made.
struct Moody {
    app: axum::Router,
    panics: Arc<AtomicBool>,
}

impl Clone for Moody {
    fn clone(&self) -> Self {
        assert!(!self.panics.swap(false, SeqCst), "on purpose");
        let (app, panics) = (self.app.clone(), Arc::clone(&self.panics));
        Self { app, panics }
    }
}

impl Service<Request<Incoming>> for Moody {
    type Response = <axum::Router as Service<Request<Incoming>>>::Response;
    type Error = Infallible;
    type Future = <axum::Router as Service<Request<Incoming>>>::Future;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        self.app.call(request)
    }
}

#[tokio::test]
async fn an_app_that_panics_when_it_is_cloned_ends_its_own_connection_only() {
    let gateway = realtime::builder().build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let panics = Arc::new(AtomicBool::new(true));
    let app = Moody {
        app: app(&gateway),
        panics,
    };
    let server = tokio::spawn(serve(listener, app, gateway.clone()).into_future());
    assert!(Client::connect(addr).await.is_err());
    let mut client = Client::connect(addr).await.unwrap();
    assert_eq!(gateway.stats().connections_failed, 1);
    gateway.shutdown().await;
    assert_eq!(client.closed().await.unwrap().0, 1001);
    ended(server).await.unwrap();
}

/// What has not come as far as HTTP holds nothing up.
#[tokio::test]
async fn a_handshake_that_hangs_does_not_hold_up_the_end() {
    let gateway = realtime::builder().build().unwrap();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (hangs, mut hanging) = tokio::sync::mpsc::unbounded_channel();
    let server = serve(listener, gateway.clone(), gateway.clone()).secure(move |tcp| {
        let hangs = hangs.clone();
        async move {
            hangs.send(()).unwrap();
            std::future::pending::<()>().await;
            Ok(tcp)
        }
    });
    let server = tokio::spawn(server.into_future());
    let mut client = TcpStream::connect(addr).await.unwrap();
    within("the handshake", hanging.recv()).await.unwrap();
    let begun = Instant::now();
    gateway.shutdown().await;
    ended(server).await.unwrap();
    assert!(
        begun.elapsed() < Duration::from_secs(4),
        "it was waited for"
    );
    assert_eq!(client.read(&mut [0]).await.unwrap(), 0);
}
