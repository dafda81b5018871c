//! The socket under a session, whatever it is made of.
//!
//! This is the private boundary behind which a faster path can take its place: the rest of the
//! gateway knows a [`Reader`] and a [`Writer`] and nothing of hyper, TLS or TCP.

use std::{
    cell::RefCell,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};

/// What a session can run over.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin + 'static {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin + 'static> Stream for T {}

/// Splits a stream into its two directions.
pub(crate) fn split(stream: impl Stream) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(Box::new(stream) as Box<dyn Stream>);
    (Reader(read), Writer(write))
}

/// How much one read takes at the most.
const READ_BYTES: usize = 16 * 1024;

thread_local! {
    // One buffer for all sessions of a thread: it is held only while a read is polled, so an idle
    // session needs none.
    static SCRATCH: RefCell<Box<[u8]>> = RefCell::new(vec![0; READ_BYTES].into());
    // The same for streams that can't write several slices at once.
    static JOINED: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// The direction from the peer.
pub(crate) struct Reader(ReadHalf<Box<dyn Stream>>);

impl Reader {
    /// Reads once, and hands what came to `take`; no bytes mean the end of the stream.
    pub(crate) fn poll_read<R>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&[u8]) -> R,
    ) -> Poll<io::Result<R>> {
        SCRATCH.with_borrow_mut(|scratch| {
            let mut buffer = ReadBuf::new(scratch);
            ready!(Pin::new(&mut self.0).poll_read(cx, &mut buffer))?;
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

    /// Pushes on what a layer such as TLS holds back.
    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Tells the peer that nothing more will come.
    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>>;
}

/// The direction to the peer.
pub(crate) struct Writer(WriteHalf<Box<dyn Stream>>);

impl Sink for Writer {
    fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut io = Pin::new(&mut self.0);
        if let [one] = slices {
            return io.poll_write(cx, one);
        }
        if io.is_write_vectored() {
            return io.poll_write_vectored(cx, slices);
        }
        // TLS, say: one record for all of them rather than one each.
        JOINED.with_borrow_mut(|joined| {
            joined.clear();
            slices
                .iter()
                .for_each(|slice| joined.extend_from_slice(slice));
            let written = io.as_mut().poll_write(cx, joined);
            joined.shrink_to(4 * READ_BYTES);
            written
        })
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}
