//! What is under a stream, as far as that is known, and what the kernel is told of it at the end of a
//! session: it would keep for minutes what a peer has not taken, outside of every budget.

use std::time::Duration;
#[cfg(feature = "server")]
use std::{
    io::{self, IoSlice},
    pin::Pin,
    sync::Weak,
    task::{Context, Poll},
};

use socket2::SockRef;
#[cfg(feature = "http2")]
use socket2::TcpKeepalive;
#[cfg(feature = "server")]
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

#[cfg(feature = "server")]
use super::Stream;
use super::{Lost, SharedStream};

/// How long a peer whose session has ended may acknowledge nothing of what the kernel has for it.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(20);

/// For how long a peer may say nothing before it is asked, how often that is done, and how often in vain.
#[cfg(feature = "http2")]
const QUIET: Duration = Duration::from_secs(30);
#[cfg(all(
    feature = "http2",
    any(target_os = "android", target_os = "fuchsia", target_os = "linux")
))]
const PROBE: Duration = Duration::from_secs(10);
#[cfg(all(
    feature = "http2",
    any(target_os = "android", target_os = "fuchsia", target_os = "linux")
))]
const PROBES: u32 = 3;

/// Has the kernel give up soon what the peer doesn't acknowledge.
pub(super) fn forget_soon(tcp: &TcpStream) {
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    {
        // A kernel that doesn't know it gives up by itself, after minutes.
        let _set = SockRef::from(tcp).set_tcp_user_timeout(Some(UNACKNOWLEDGED));
    }
    #[cfg(not(any(target_os = "android", target_os = "fuchsia", target_os = "linux")))]
    let _ = tcp;
}

/// Has the connection reset once it is dropped.
pub(super) fn reset_when_dropped(tcp: &TcpStream) {
    // Where it can't be set, the kernel gives up by itself, after minutes.
    let _set = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
}

/// Has the kernel ask a peer that says nothing whether it is there, and end the connection where nothing
/// answers for a minute.
#[cfg(feature = "http2")]
fn watch_for_vanished_peer(tcp: &TcpStream) {
    let keepalive = TcpKeepalive::new().with_time(QUIET);
    #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
    let keepalive = keepalive.with_interval(PROBE).with_retries(PROBES);
    // Where it can't be set, whoever waits for the peer has limits of its own.
    let _set = SockRef::from(tcp).set_tcp_keepalive(&keepalive);
}

/// What is under a stream.
#[derive(Debug, Clone, Default)]
pub(crate) enum Ground {
    /// Not ours to know.
    #[default]
    Unknown,
    /// One of several streams of a connection.
    Shared(SharedStream),
    /// A connection of its own.
    #[cfg(feature = "server")]
    Tcp(Weak<TcpStream>),
}

impl Ground {
    /// The stream ends, and what its peer doesn't acknowledge is given up soon.
    pub(crate) fn forget_soon(&self) {
        match self {
            // It lives on, and has limits of its own.
            Self::Unknown | Self::Shared(_) => {}
            #[cfg(feature = "server")]
            Self::Tcp(tcp) => {
                if let Some(tcp) = tcp.upgrade() {
                    forget_soon(&tcp);
                }
            }
        }
    }

    /// The connection is to end where its peer has vanished, though nobody sends it anything.
    #[cfg(feature = "http2")]
    pub(crate) fn watch_for_vanished_peer(&self) {
        if let Self::Tcp(tcp) = self
            && let Some(tcp) = tcp.upgrade()
        {
            watch_for_vanished_peer(&tcp);
        }
    }

    /// The peer was lost: the connection is reset once it is dropped.
    pub(crate) fn reset_when_dropped(&self, lost: Lost) {
        match self {
            Self::Unknown => {}
            // Others have streams of it, which may be well.
            Self::Shared(stream) => match lost {
                Lost::Gone => {}
                Lost::Silent => stream.found_silent(),
            },
            #[cfg(feature = "server")]
            Self::Tcp(tcp) => {
                if let Some(tcp) = tcp.upgrade() {
                    reset_when_dropped(&tcp);
                }
            }
        }
    }
}

/// A stream of which it is known what is under it.
#[cfg(feature = "server")]
pub(crate) trait Grounded: Stream {
    /// Its connection is reset once it is dropped.
    fn reset_when_dropped(&self);
}

#[cfg(feature = "server")]
impl Grounded for TcpStream {
    fn reset_when_dropped(&self) {
        reset_when_dropped(self);
    }
}

/// A stream over a TCP connection of `serve`, such as TLS.
#[cfg(feature = "server")]
pub(crate) struct OverTcp<S> {
    stream: S,
    // Weak, so that whoever drops the stream closes the connection.
    tcp: Weak<TcpStream>,
}

#[cfg(feature = "server")]
impl<S> OverTcp<S> {
    pub(crate) const fn new(stream: S, tcp: Weak<TcpStream>) -> Self {
        Self { stream, tcp }
    }

    pub(crate) fn ground(&self) -> Ground {
        Ground::Tcp(Weak::clone(&self.tcp))
    }

    pub(super) fn into_parts(self) -> (S, Ground) {
        (self.stream, Ground::Tcp(self.tcp))
    }
}

#[cfg(feature = "server")]
impl<S: Stream> Grounded for OverTcp<S> {
    fn reset_when_dropped(&self) {
        self.ground().reset_when_dropped(Lost::Silent);
    }
}

#[cfg(feature = "server")]
impl<S: Stream> AsyncRead for OverTcp<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

#[cfg(feature = "server")]
impl<S: Stream> AsyncWrite for OverTcp<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
