//! A connection that several sessions share, over HTTP/2: how many of them have a stream of it.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
};

use super::Stream;

/// Who serves such a connection puts it into each of its requests.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    count: AtomicUsize,
    changed: Notify,
}

/// Held by whoever has a stream of it.
#[derive(Debug)]
pub(crate) struct Lease(Arc<Sessions>);

impl Shared {
    /// One more has a stream of it.
    pub(crate) fn lease(&self) -> Lease {
        self.0.count.fetch_add(1, SeqCst);
        self.0.changed.notify_one();
        Lease(Arc::clone(&self.0))
    }

    /// How many have.
    #[cfg(feature = "http2")]
    pub(crate) fn leases(&self) -> usize {
        self.0.count.load(SeqCst)
    }

    /// That may have changed. Cancel safe, for one that waits.
    #[cfg(feature = "http2")]
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, SeqCst);
        self.0.changed.notify_one();
    }
}

/// One stream of it.
pub(super) struct Leased<S> {
    stream: S,
    _lease: Lease,
}

impl<S> Leased<S> {
    pub(super) const fn new(stream: S, lease: Lease) -> Self {
        Self {
            stream,
            _lease: lease,
        }
    }
}

impl<S: Stream> AsyncRead for Leased<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Leased<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
