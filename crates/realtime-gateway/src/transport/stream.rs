//! The general way: any stream of bytes, such as TLS or a pipe.

use std::{
    fmt,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf};

use super::{BoxStream, Reader, Writer, join};

/// Splits a stream into its two directions.
pub(super) fn split(stream: BoxStream) -> (Reader, Writer) {
    let (read, write) = tokio::io::split(stream);
    (
        Reader::Stream(StreamReader(read)),
        Writer::Stream(StreamWriter(write)),
    )
}

pub(crate) struct StreamReader(ReadHalf<BoxStream>);

impl StreamReader {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_read(cx, buffer)
    }
}

pub(crate) struct StreamWriter(WriteHalf<BoxStream>);

impl StreamWriter {
    pub(super) fn poll_write(
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
        join(slices, |joined| io.as_mut().poll_write(cx, joined))
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(cx)
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(cx)
    }
}

impl fmt::Debug for StreamReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamReader").finish_non_exhaustive()
    }
}

impl fmt::Debug for StreamWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamWriter").finish_non_exhaustive()
    }
}
