//! A stream of a host's own, which panics where the test says, or fails there.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Where it happens, from then on and every time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum At {
    #[default]
    Never,
    Drop,
    /// A write of anything but the head of the response.
    FirstFrame,
    Flush,
    Read,
    Shutdown,
    Write,
}

/// What happens there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum How {
    /// What a stream is expected to do when it can't go on.
    Fails,
    #[default]
    Panics,
}

/// The test's hold on one stream.
#[derive(Debug, Default)]
pub struct Trap {
    at: Mutex<(At, How)>,
    discards: AtomicBool,
    written: AtomicUsize,
}

impl Trap {
    pub fn new(at: At, how: How) -> Arc<Self> {
        let at = Mutex::new((at, how));
        Arc::new(Self {
            at,
            ..Self::default()
        })
    }

    pub fn arm(&self, at: At, how: How) {
        *self.at.lock().unwrap() = (at, how);
    }

    /// From now on whatever is written is taken and thrown away.
    pub fn discard(&self) {
        self.discards.store(true, SeqCst);
    }

    /// How many bytes were written so far.
    pub fn written(&self) -> usize {
        self.written.load(SeqCst)
    }

    fn spring(&self, at: At) -> io::Result<()> {
        let (armed, how) = *self.at.lock().unwrap();
        match how {
            _ if armed != at => Ok(()),
            How::Fails => Err(io::Error::other("on purpose")),
            How::Panics => panic!("on purpose: a stream that panics in {at:?}"),
        }
    }
}

/// A stream that does what its trap says, and else what the stream in it does.
pub struct Broken<S> {
    stream: S,
    trap: Arc<Trap>,
}

impl<S> Broken<S> {
    pub const fn new(stream: S, trap: Arc<Trap>) -> Self {
        Self { stream, trap }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Broken<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.trap.spring(At::Read)?;
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Broken<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.trap.spring(At::Write)?;
        if !bytes.starts_with(b"HTTP/1.1 ") {
            self.trap.spring(At::FirstFrame)?;
        }
        let written = if self.trap.discards.load(SeqCst) {
            Poll::Ready(Ok(bytes.len()))
        } else {
            Pin::new(&mut self.stream).poll_write(cx, bytes)
        };
        if let Poll::Ready(Ok(bytes)) = written {
            self.trap.written.fetch_add(bytes, SeqCst);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trap.spring(At::Flush)?;
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.trap.spring(At::Shutdown)?;
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

impl<S> Drop for Broken<S> {
    fn drop(&mut self) {
        // A second panic would end the process, whoever catches the first.
        if !std::thread::panicking() {
            let _nothing_to_fail = self.trap.spring(At::Drop);
        }
    }
}
