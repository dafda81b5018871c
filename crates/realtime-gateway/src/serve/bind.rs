//! A listener that a reconnect storm doesn't overrun.

use std::{io, net::SocketAddr};

use tokio::net::{TcpListener, TcpSocket, ToSocketAddrs};

/// How many connections may wait to be accepted. The system has a maximum of its own, on Linux
/// `net.core.somaxconn` (4,096 as a rule), and uses the smaller of the two.
const BACKLOG: u32 = 4_096;

/// Listens on an address, as [`serve`](crate::serve()) needs it.
///
/// It is `tokio::net::TcpListener::bind` with another backlog: 4,096 connections, or the system's
/// maximum, may wait to be accepted. With tokio's and the standard library's 128, a thousand
/// clients that reconnect at the same instant find the queue full, and most of them try again
/// after a second or more. For other options there is [`Bind`].
///
/// ```
/// # async fn listen() -> std::io::Result<()> {
/// let listener = realtime::bind("127.0.0.1:0").await?;
/// println!("listening on http://{}", listener.local_addr()?);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// When the address can't be resolved, or it can't be listened on: it is in use, say. Of several
/// addresses that a name has, the first that works is used; the error is the last one's.
///
/// # Cancel safety
/// Safe: dropped before it returns, nothing is listened on.
pub async fn bind(address: impl ToSocketAddrs) -> io::Result<TcpListener> {
    Bind::new().bind(address).await
}

/// Options of a listener, with the defaults of [`bind`].
///
/// ```
/// # async fn listen() -> std::io::Result<()> {
/// let listener = realtime::Bind::new().reuse_port(true).bind("0.0.0.0:8080").await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use = "options do nothing until `bind` is called"]
pub struct Bind {
    backlog: u32,
    reuse_port: bool,
}

impl Default for Bind {
    fn default() -> Self {
        Self::new()
    }
}

impl Bind {
    /// The defaults: a backlog of 4,096, and a port that belongs to one listener.
    pub fn new() -> Self {
        Self {
            backlog: BACKLOG,
            reuse_port: false,
        }
    }

    /// Sets how many connections may wait to be accepted. Default: 4,096. The system's maximum
    /// holds, too.
    pub fn backlog(mut self, connections: u32) -> Self {
        self.backlog = connections;
        self
    }

    /// Sets whether other listeners of the same user may listen on the same port at the same time
    /// (`SO_REUSEPORT`): the system spreads new connections over them. Default: no.
    ///
    /// It allows a new process to listen before the old one has drained, and it hides that two
    /// processes use one port by mistake. Where the system doesn't have it, [`bind`](Self::bind)
    /// fails.
    pub fn reuse_port(mut self, yes: bool) -> Self {
        self.reuse_port = yes;
        self
    }

    /// Listens on an address. See [`bind`](crate::bind()).
    ///
    /// # Errors
    /// Those of [`bind`](crate::bind()); kind [`Unsupported`](io::ErrorKind::Unsupported) when the
    /// port is to be shared and the system can't do that.
    ///
    /// # Cancel safety
    /// Safe: dropped before it returns, nothing is listened on.
    pub async fn bind(self, address: impl ToSocketAddrs) -> io::Result<TcpListener> {
        let mut failed = None;
        for address in tokio::net::lookup_host(address).await? {
            match self.listen(address) {
                Ok(listener) => return Ok(listener),
                Err(error) => {
                    let context = format!("can't listen on {address}: {error}");
                    failed = Some(io::Error::new(error.kind(), context));
                }
            }
        }
        Err(failed.unwrap_or_else(|| {
            let context = "expected an address to listen on; the name has none";
            io::Error::new(io::ErrorKind::InvalidInput, context)
        }))
    }

    fn listen(self, address: SocketAddr) -> io::Result<TcpListener> {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4()?,
            SocketAddr::V6(_) => TcpSocket::new_v6()?,
        };
        // Connections of the last process may still be in TIME_WAIT. On Windows the option means
        // something else: anybody could listen on a port that is in use.
        #[cfg(not(windows))]
        socket.set_reuseaddr(true)?;
        if self.reuse_port {
            share_port(&socket)?;
        }
        socket.bind(address)?;
        socket.listen(self.backlog)
    }
}

#[cfg(all(
    unix,
    not(target_os = "solaris"),
    not(target_os = "illumos"),
    not(target_os = "cygwin")
))]
fn share_port(socket: &TcpSocket) -> io::Result<()> {
    socket.set_reuseport(true)
}

#[cfg(not(all(
    unix,
    not(target_os = "solaris"),
    not(target_os = "illumos"),
    not(target_os = "cygwin")
)))]
fn share_port(_: &TcpSocket) -> io::Result<()> {
    let context = "expected a system on which listeners can share a port (SO_REUSEPORT)";
    Err(io::Error::new(io::ErrorKind::Unsupported, context))
}
