//! The socket under a session, whatever it is made of.
//!
//! The rest of the gateway knows a [`Reader`] and a [`Writer`] and nothing of hyper, TLS or TCP.
//! Plain TCP takes the short way (`tcp`), everything else the general one (`stream`).

mod recover;
mod stream;
mod tcp;
#[cfg(feature = "server")]
mod write_timeout;

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

pub(crate) use recover::recover;
#[cfg(feature = "server")]
pub(crate) use write_timeout::WriteTimeout;

/// What a session can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Any of them.
pub(crate) type BoxStream = Box<dyn Stream>;

/// How much one read takes at the most.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    // One buffer for all sessions of a thread: it is held only while a read is polled, so an idle
    // session needs none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
    // The same for what is written in one piece though it comes in several.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// How much of the buffer for joined slices is kept.
const KEPT_BYTES: usize = 64 * 1024;

/// Hands slices over in one piece.
fn join<R>(slices: &[IoSlice<'_>], write: impl FnOnce(&[u8]) -> R) -> R {
    JOINED.with_borrow_mut(|joined| {
        joined.clear();
        for slice in slices {
            joined.extend_from_slice(slice);
        }
        let written = write(joined);
        joined.shrink_to(KEPT_BYTES);
        written
    })
}

/// The direction from the peer.
#[derive(Debug)]
pub(crate) enum Reader {
    Tcp(tcp::TcpReader),
    Stream(stream::StreamReader),
}

impl Reader {
    /// Reads once, and hands what came to `take`; no bytes mean the end of the stream.
    pub(crate) fn poll_read<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> R,
    ) -> Poll<io::Result<R>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(match self {
                Self::Tcp(tcp) => tcp.poll_read(cx, &mut buffer),
                Self::Stream(stream) => stream.poll_read(cx, &mut buffer),
            })?;
            Poll::Ready(Ok(take(buffer.filled())))
        })
    }
}

/// What an outbox writes to.
pub(crate) trait Sink: Send {
    /// Writes as much as the socket takes of these slices, at once.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Whether there is never anything to flush.
    fn is_unbuffered(&self) -> bool {
        false
    }

    /// Pushes on what a layer such as TLS holds back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells the peer that nothing more will come.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The direction to the peer.
#[derive(Debug)]
pub(crate) enum Writer {
    Tcp(tcp::TcpWriter),
    Stream(stream::StreamWriter),
}

impl Sink for Writer {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_write(cx, slices),
            Self::Stream(stream) => stream.poll_write(cx, slices),
        }
    }

    fn is_unbuffered(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(_) => Poll::Ready(Ok(())),
            Self::Stream(stream) => stream.poll_flush(cx),
        }
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Tcp(tcp) => tcp.poll_shutdown(cx),
            Self::Stream(stream) => stream.poll_shutdown(cx),
        }
    }
}
