//! The general way: any stream of bytes, such as TLS or a pipe.

use std::{
    fmt,
    io::{self, IoSlice},
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    BoxStream, Lost, SocketReader, SocketWriter, boundary::Boundary, ground::Ground, join,
};

/// How much is given to a stream at once, unless it takes several slices.
const PIECE: usize = 32 * 1024;

/// Splits a stream, with this under it, into its two directions.
pub(super) fn split(stream: BoxStream, ground: Ground) -> (SocketReader, SocketWriter) {
    let (read, write) = Boundary::split(stream, ground);
    (
        SocketReader::Stream(StreamReader(read)),
        SocketWriter::Stream(StreamWriter(write)),
    )
}

pub(crate) struct StreamReader(Boundary);

impl StreamReader {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.0.poll(cx, |stream, cx| stream.poll_read(cx, buffer))
    }
}

pub(crate) struct StreamWriter(Boundary);

impl StreamWriter {
    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.0.poll(cx, |stream, cx| {
            // No more than a piece: a stream that takes everything, such as one of HTTP/2, would look
            // as if its peer read nothing until it has read all of that.
            if let [one, ..] = slices
                && (slices.len() == 1 || one.len() >= PIECE)
            {
                return stream.poll_write(cx, &one[..one.len().min(PIECE)]);
            }
            if stream.is_write_vectored() {
                return stream.poll_write_vectored(cx, slices);
            }
            // TLS, say: one record for all of them rather than one each.
            join(slices, PIECE, |joined| stream.poll_write(cx, joined))
        })
    }

    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll(cx, |stream, cx| stream.poll_flush(cx))
    }

    pub(super) fn forget_soon(&self) {
        self.0.ground().forget_soon();
    }

    pub(super) fn reset_when_dropped(&self, lost: Lost) {
        self.0.ground().reset_when_dropped(lost);
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.0.poll(cx, |stream, cx| stream.poll_shutdown(cx))
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
