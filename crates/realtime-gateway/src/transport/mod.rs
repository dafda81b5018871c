//! The socket under a session, whatever it is made of.
//!
//! The rest of the gateway knows a [`SocketReader`] and a [`SocketWriter`] and nothing of hyper,
//! TLS, HTTP/2 or TCP. Plain TCP takes the short way (`tcp`), everything else the general one (`stream`).
//!
//! Two things end here. A foreign stream that panics becomes an error of its connection. And the
//! task's cooperative budget, which is the handler's: a handler that has used it up must not make
//! its session's socket look full, nor its peer look silent. How much a session does in one turn
//! is bounded by its own count.

mod boundary;
mod ground;
#[cfg(feature = "server")]
mod http;
mod lease;
mod recover;
mod stream;
mod tcp;

use std::{
    cell::Cell,
    future::{Future, poll_fn},
    io::{self, IoSlice},
    pin::pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::unconstrained,
};

#[cfg(feature = "server")]
pub(crate) use boundary::Foreign;
#[cfg(feature = "server")]
pub(crate) use ground::{Grounded, OverTcp};
#[cfg(feature = "server")]
pub(crate) use http::HttpStream;
#[cfg(feature = "http2")]
pub(crate) use lease::SharedConnection;
pub(crate) use lease::{Lease, SharedStream};
pub(crate) use recover::Upgrading;

/// An upgraded connection.
#[derive(Debug)]
pub(crate) struct Connection {
    pub(crate) reader: SocketReader,
    pub(crate) writer: SocketWriter,
    /// What has come already, and nobody has looked at.
    pub(crate) read: Bytes,
}

/// What a session can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Any of them.
pub(crate) type BoxStream = Box<dyn Stream>;

/// How many bytes one read has at the most.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    // One buffer for all sessions of a thread: it is taken only while a read is polled, so an idle
    // session needs none.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    // The same for what is written in one piece though it comes in several.
    static JOINED: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// How much of the buffer for joined slices is kept.
const KEPT_BYTES: usize = 64 * 1024;

/// Hands slices over in one piece, of no more than so many bytes.
fn join<R>(slices: &[IoSlice<'_>], most: usize, write: impl FnOnce(&[u8]) -> R) -> R {
    // Taken rather than borrowed: a foreign stream may lead back here.
    let mut joined = JOINED.take();
    joined.clear();
    for slice in slices {
        let room = most - joined.len();
        joined.extend_from_slice(&slice[..slice.len().min(room)]);
        if joined.len() == most {
            break;
        }
    }
    let written = write(&joined);
    joined.shrink_to(KEPT_BYTES);
    JOINED.set(joined);
    written
}

/// Polls a socket without regard to the task's cooperative budget.
fn without_budget<T>(
    cx: &mut Context<'_>,
    poll: impl FnMut(&mut Context<'_>) -> Poll<T>,
) -> Poll<T> {
    pin!(unconstrained(poll_fn(poll))).poll(cx)
}

/// The direction from the peer.
#[derive(Debug)]
pub(crate) enum SocketReader {
    Tcp(tcp::TcpReader),
    Stream(stream::StreamReader),
}

impl SocketReader {
    /// Reads once, and hands what came to `take`; no bytes mean the end of the stream.
    pub(crate) fn poll_read<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> R,
    ) -> Poll<io::Result<R>> {
        let mut scratch = SCRATCH.take();
        scratch.resize(READ_BYTES, 0);
        let mut buffer = ReadBuf::new(&mut scratch);
        let read = match self {
            Self::Tcp(tcp) => tcp.poll_read(cx, &mut buffer),
            Self::Stream(stream) => stream.poll_read(cx, &mut buffer),
        };
        let read = read.map_ok(|()| take(buffer.filled()));
        SCRATCH.set(scratch);
        read
    }
}

/// How a peer was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Its connection has failed, or is given up.
    Gone,
    /// It takes nothing, or says nothing.
    Silent,
}

/// What an outbox writes to.
pub(crate) trait Sink: Send {
    /// Writes as much as the socket accepts of these slices, at once.
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>>;

    /// Makes the next write ask the socket itself, and not only what is known of it.
    fn insist(&mut self) {}

    /// Whether there is never anything to flush.
    fn is_unbuffered(&self) -> bool {
        false
    }

    /// Pushes on what a layer such as TLS holds back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Has the kernel give up soon what the peer of a session that has ended doesn't acknowledge: it
    /// would keep it for minutes.
    fn forget_soon(&mut self) {}

    /// Has the connection reset once it is dropped: what its peer has not taken is given up, and takes
    /// no memory of the kernel any more.
    fn reset_when_dropped(&mut self, _lost: Lost) {}

    /// Announces to the peer that nothing more will come.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The direction to the peer.
#[derive(Debug)]
pub(crate) enum SocketWriter {
    Tcp(tcp::TcpWriter),
    Stream(stream::StreamWriter),
}

impl Sink for SocketWriter {
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

    fn insist(&mut self) {
        match self {
            Self::Tcp(tcp) => tcp.insist(),
            Self::Stream(_) => {}
        }
    }

    fn is_unbuffered(&self) -> bool {
        matches!(self, Self::Tcp(_))
    }

    fn reset_when_dropped(&mut self, lost: Lost) {
        match self {
            Self::Tcp(tcp) => tcp.reset_when_dropped(),
            Self::Stream(stream) => stream.reset_when_dropped(lost),
        }
    }

    fn forget_soon(&mut self) {
        match self {
            Self::Tcp(tcp) => tcp.forget_soon(),
            Self::Stream(stream) => stream.forget_soon(),
        }
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
