//! The short way: a TCP stream that only the session still owns.
//!
//! Both directions share the stream without a lock, nothing is buffered, and a write is one
//! system call from the task that writes.

use std::{
    io::{self, IoSlice},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

use super::{SocketReader, SocketWriter, ground, join, without_budget};

/// Up to this much is copied into one piece before it is written.
const JOINED_BYTES: usize = 16 * 1024;

fn bytes(slices: &[IoSlice<'_>]) -> usize {
    slices.iter().map(|slice| slice.len()).sum()
}

pub(super) fn split(stream: TcpStream) -> (SocketReader, SocketWriter) {
    let (read, write) = stream.into_split();
    (
        SocketReader::Tcp(TcpReader(read)),
        SocketWriter::Tcp(TcpWriter {
            half: write,
            insists: false,
        }),
    )
}

#[derive(Debug)]
pub(crate) struct TcpReader(OwnedReadHalf);

impl TcpReader {
    pub(super) fn poll_read(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        without_budget(cx, |cx| Pin::new(&mut self.0).poll_read(cx, buffer))
    }
}

#[derive(Debug)]
pub(crate) struct TcpWriter {
    half: OwnedWriteHalf,
    /// The next write asks the socket itself.
    insists: bool,
}

impl TcpWriter {
    /// Linux calls a socket writable again when a third of its buffer is free, which may be more
    /// than a megabyte. It accepts what fits at any time, if it is asked.
    pub(super) fn insist(&mut self) {
        self.insists = true;
    }

    pub(super) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        if mem::take(&mut self.insists) {
            let socket = SockRef::from(self.half.as_ref());
            // What is wrong with it comes back in the ordinary way.
            if let Ok(written @ 1..) = socket.send_vectored(slices) {
                return Poll::Ready(Ok(written));
            }
        }
        loop {
            // Not the socket's own `poll_write`: that asks for the task's budget each time, which
            // costs more than it is worth while the socket accepts everything.
            let written = match slices {
                [one] => self.half.try_write(one),
                // To copy a little costs less than to hand the kernel a list.
                few if bytes(few) <= JOINED_BYTES => {
                    join(few, usize::MAX, |joined| self.half.try_write(joined))
                }
                many => self.half.try_write_vectored(many),
            };
            match written {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(without_budget(cx, |cx| self
                        .half
                        .as_ref()
                        .poll_write_ready(cx)))?;
                }
                written => return Poll::Ready(written),
            }
        }
    }

    pub(super) fn forget_soon(&mut self) {
        ground::forget_soon(self.half.as_ref());
    }

    pub(super) fn reset_when_dropped(&mut self) {
        ground::reset_when_dropped(self.half.as_ref());
    }

    pub(super) fn poll_shutdown(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.half).poll_shutdown(cx)
    }
}
