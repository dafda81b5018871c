//! The TCP stream of a connection: it says how much it has taken, and takes more than it says if that
//! is insisted on. TLS lies above it, and is judged by the same.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use socket2::SockRef;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};

pub(crate) struct Socket {
    tcp: TcpStream,
    gauge: Arc<Gauge>,
}

/// What is known of a socket from above.
#[derive(Default)]
pub(crate) struct Gauge {
    taken: AtomicU64,
    insists: AtomicBool,
}

impl Gauge {
    /// How many bytes the socket has taken.
    pub(crate) fn taken(&self) -> u64 {
        self.taken.load(Relaxed)
    }

    /// The next write asks the socket itself. Linux calls one writable again when a third of its buffer
    /// is free, which may be more than a megabyte; what fits it takes at any time, if it is asked.
    pub(crate) fn insist(&self) {
        self.insists.store(true, Relaxed);
    }

    fn note(&self, written: usize) -> usize {
        let bytes = u64::try_from(written).unwrap_or(u64::MAX);
        self.taken.fetch_add(bytes, Relaxed);
        written
    }
}

impl Socket {
    pub(crate) fn new(tcp: TcpStream) -> (Self, Arc<Gauge>) {
        let gauge = Arc::<Gauge>::default();
        let socket = Self {
            tcp,
            gauge: Arc::clone(&gauge),
        };
        (socket, gauge)
    }

    /// What it takes right now, where that is insisted on. What is wrong with it comes back in the
    /// ordinary way.
    fn insisted(&self, slices: &[IoSlice<'_>]) -> Option<usize> {
        if !self.gauge.insists.swap(false, Relaxed) {
            return None;
        }
        let sent = SockRef::from(&self.tcp).send_vectored(slices);
        sent.ok().filter(|sent| *sent > 0)
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = match self.insisted(slices) {
            Some(sent) => sent,
            None => ready!(Pin::new(&mut self.tcp).poll_write_vectored(cx, slices))?,
        };
        Poll::Ready(Ok(self.gauge.note(written)))
    }

    fn is_write_vectored(&self) -> bool {
        self.tcp.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.tcp).poll_shutdown(cx)
    }
}
