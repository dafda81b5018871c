//! A foreign stream, of which both directions have a hold, and whose panics end here.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{BoxStream, Stream, ground::Ground, without_budget};
use crate::{
    guarded::{Whose, caught},
    quiet::{QuietError, drop_quietly},
    sync::Mutex,
};

/// One stream for two directions. Gone once it has panicked.
pub(super) struct Boundary(Arc<Both>);

/// What both directions have a hold of.
struct Both {
    stream: Mutex<Foreign<BoxStream>>,
    ground: Ground,
}

impl Boundary {
    /// Both directions of a stream with this under it.
    pub(super) fn split(stream: BoxStream, ground: Ground) -> (Self, Self) {
        let stream = Mutex::new(Foreign::new(stream));
        let both = Arc::new(Both { stream, ground });
        (Self(Arc::clone(&both)), Self(both))
    }

    /// What is under the stream.
    pub(super) fn ground(&self) -> &Ground {
        &self.0.ground
    }

    /// Polls the stream. A panic of it is an error from then on, and the stream is dropped.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(Pin<&mut BoxStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut stream = self.0.stream.lock();
        stream.poll(|mut stream| without_budget(cx, |cx| poll(stream.as_mut(), cx)))
    }
}

/// Somebody else's stream, while it has not panicked. Its drop may panic as well.
pub(crate) struct Foreign<S>(Option<S>);

impl<S: Stream> Foreign<S> {
    pub(crate) const fn new(stream: S) -> Self {
        Self(Some(stream))
    }

    fn poll<T>(
        &mut self,
        poll: impl FnOnce(Pin<&mut S>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let Some(stream) = &mut self.0 else {
            let error = "the connection's stream has panicked before";
            return Poll::Ready(Err(io::Error::other(error)));
        };
        let polled = caught(Whose::Connection, || poll(Pin::new(stream)));
        let polled = polled.unwrap_or_else(|broken| {
            drop_quietly(self.0.take());
            Poll::Ready(Err(io::Error::other(broken)))
        });
        polled.map_err(quiet)
    }
}

/// An error of a stream, which may have an error of somebody else's in it.
fn quiet(error: io::Error) -> io::Error {
    if error.get_ref().is_none() {
        return error;
    }
    io::Error::new(error.kind(), QuietError::new(error))
}

impl<S> Drop for Foreign<S> {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}

impl<S: Stream> AsyncRead for Foreign<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_read(cx, buffer))
    }
}

impl<S: Stream> AsyncWrite for Foreign<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.poll(|stream| stream.poll_write_vectored(cx, slices))
    }

    fn is_write_vectored(&self) -> bool {
        let asked = |stream: &S| caught(Whose::Connection, || stream.is_write_vectored()).ok();
        self.0.as_ref().and_then(asked).unwrap_or_default()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll(|stream| stream.poll_shutdown(cx))
    }
}
