//! A connection while it is still HTTP: a limit for a peer that reads nothing, and what was read
//! already to see which HTTP it speaks.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Sleep, sleep},
};

use super::{Grounded, Stream};

/// A stream on which writing fails once the peer has accepted nothing for so long, and that begins
/// with what was read of it before.
///
/// `serve` puts it under HTTP, which waits without end. What such a peer hasn't taken is given up with
/// the connection, which is reset. It is taken off a session, which has a limit of its own.
pub(crate) struct HttpStream<S> {
    stream: S,
    limit: Duration,
    /// There while the peer accepts nothing.
    waiting: Option<Pin<Box<Sleep>>>,
    /// What was read before. Nothing of it is left when a request was read.
    #[cfg(feature = "http2")]
    begun: bytes::Bytes,
}

impl<S: Stream> HttpStream<S> {
    pub(crate) fn new(stream: S, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            waiting: None,
            #[cfg(feature = "http2")]
            begun: bytes::Bytes::new(),
        }
    }

    /// Begins with these bytes.
    #[cfg(feature = "http2")]
    pub(crate) fn after(mut self, begun: bytes::Bytes) -> Self {
        self.begun = begun;
        self
    }

    /// What it is put on.
    #[cfg(feature = "http2")]
    pub(crate) const fn inner(&self) -> &S {
        &self.stream
    }

    pub(crate) fn into_inner(self) -> S {
        self.stream
    }

    fn bounded<T>(
        &mut self,
        cx: &mut Context<'_>,
        write: impl FnOnce(Pin<&mut S>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>>
    where
        S: Grounded,
    {
        let written = write(Pin::new(&mut self.stream), cx);
        if written.is_ready() {
            self.waiting = None;
            return written;
        }
        let limit = self.limit;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(waiting.as_mut().poll(cx));
        self.stream.reset_when_dropped();
        let error =
            format!("expected the peer to accept something within {limit:?}; it accepted nothing");
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, error)))
    }
}

impl<S: Stream> AsyncRead for HttpStream<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        #[cfg(feature = "http2")]
        if !self.begun.is_empty() {
            let some = self.begun.len().min(buffer.remaining());
            buffer.put_slice(&self.begun.split_to(some));
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Grounded> AsyncWrite for HttpStream<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.bounded(cx, |stream, cx| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.bounded(cx, |stream, cx| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(cx, |stream, cx| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.bounded(cx, |stream, cx| stream.poll_shutdown(cx))
    }
}
