//! What a client's bytes go over: a socket, or TLS on it.

use std::io::{self, Read, Write};

use mio::net::TcpStream;
#[cfg(feature = "tls")]
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, StreamOwned,
    pki_types::{DnsName, ServerName},
};

/// How clients come to have one.
#[derive(Debug, Clone, Default)]
pub(crate) enum Wiring {
    #[default]
    Plain,
    #[cfg(feature = "tls")]
    Tls(std::sync::Arc<ClientConfig>),
}

impl Wiring {
    pub(super) fn over(&self, stream: TcpStream) -> io::Result<Wire> {
        match self {
            Self::Plain => Ok(Wire::Plain(stream)),
            #[cfg(feature = "tls")]
            Self::Tls(config) => {
                let name = DnsName::try_from("localhost").map_err(io::Error::other)?;
                let client = ClientConnection::new(config.clone(), ServerName::DnsName(name));
                let client = client.map_err(io::Error::other)?;
                Ok(Wire::Tls(Box::new(StreamOwned::new(client, stream))))
            }
        }
    }
}

#[derive(Debug)]
pub(super) enum Wire {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Whether a read that doesn't fill its block has emptied the socket: of TLS a record is read at
    /// a time.
    pub(super) fn is_emptied_by_short_reads(&self) -> bool {
        matches!(self, Self::Plain(_))
    }
}

impl Read for Wire {
    fn read(&mut self, block: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(block),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.read(block),
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    /// What of TLS the socket hasn't taken.
    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            #[cfg(feature = "tls")]
            Self::Tls(stream) => stream.flush(),
        }
    }
}
