//! What an upgraded connection is made of.

use bytes::Bytes;
use http::request::Parts;
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::net::TcpStream;

use super::{
    BoxStream, Connection, Lease, SharedStream, ground::Ground, lease::Leased, stream, tcp,
};

/// A connection that is about to be one.
pub(crate) struct Upgrading {
    upgrade: OnUpgrade,
    /// Where others share it.
    lease: Option<Lease>,
}

impl Upgrading {
    /// That of a request, of which it is taken, if it can be upgraded.
    pub(crate) fn of(request: &mut Parts) -> Option<Self> {
        let extensions = &mut request.extensions;
        Some(Self {
            upgrade: extensions.remove::<OnUpgrade>()?,
            lease: extensions.get::<SharedStream>().map(SharedStream::lease),
        })
    }

    /// The connection, with what the peer sent right behind its request.
    pub(crate) async fn upgraded(self) -> Result<Connection, hyper::Error> {
        let upgraded = self.upgrade.await?;
        Ok(recover(upgraded, self.lease))
    }
}

/// Where it is plain TCP, under `serve`, `axum::serve` or the host's own hyper server, the
/// stream is taken out, and nothing of the HTTP server is kept. Anything else is used as it is.
fn recover(upgraded: Upgraded, lease: Option<Lease>) -> Connection {
    match taken_out(upgraded) {
        Ok(parts) => parts,
        Err(upgraded) => {
            let stream = TokioIo::new(upgraded);
            let (stream, ground): (BoxStream, Ground) = match lease {
                Some(lease) => {
                    let ground = Ground::Shared(lease.stream().clone());
                    (Box::new(Leased::new(stream, lease)), ground)
                }
                None => (Box::new(stream), Ground::Unknown),
            };
            let (reader, writer) = stream::split(stream, ground);
            Connection {
                reader,
                writer,
                read: Bytes::new(),
            }
        }
    }
}

fn taken_out(upgraded: Upgraded) -> Result<Connection, Upgraded> {
    #[cfg(feature = "server")]
    let upgraded = match served(upgraded) {
        Ok(connection) => return Ok(connection),
        Err(upgraded) => upgraded,
    };
    // hyper's own server.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok(plain(parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    // hyper-util's, on which axum's stands.
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok(plain(parts.io.into_inner(), parts.read_buf))
}

/// From `serve`, plain or secured.
#[cfg(feature = "server")]
fn served(upgraded: Upgraded) -> Result<Connection, Upgraded> {
    use super::{HttpStream, OverTcp};

    let upgraded = match upgraded.downcast::<TokioIo<HttpStream<TcpStream>>>() {
        Ok(parts) => {
            let tcp = parts.io.into_inner().into_inner();
            return Ok(plain(tcp, parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<HttpStream<OverTcp<BoxStream>>>>()?;
    let (stream, ground) = parts.io.into_inner().into_inner().into_parts();
    let (reader, writer) = stream::split(stream, ground);
    Ok(Connection {
        reader,
        writer,
        read: parts.read_buf,
    })
}

fn plain(tcp: TcpStream, read: Bytes) -> Connection {
    let (reader, writer) = tcp::split(tcp);
    Connection {
        reader,
        writer,
        read,
    }
}
