//! What an upgraded connection is made of.

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::net::TcpStream;

use super::{Connection, stream, tcp};

/// An upgraded connection, with what the peer sent right behind its request.
///
/// Where it is plain TCP, under `serve`, `axum::serve` or the host's own hyper server, the
/// stream is taken out, and nothing of the HTTP server is kept. Anything else is used as it is.
pub(crate) fn recover(upgraded: Upgraded) -> Connection {
    match taken_out(upgraded) {
        Ok(parts) => parts,
        Err(upgraded) => {
            let (reader, writer) = stream::split(Box::new(TokioIo::new(upgraded)));
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
    use super::{BoxStream, WriteTimeout};

    let upgraded = match upgraded.downcast::<TokioIo<WriteTimeout<TcpStream>>>() {
        Ok(parts) => {
            let tcp = parts.io.into_inner().into_inner();
            return Ok(plain(tcp, parts.read_buf));
        }
        Err(upgraded) => upgraded,
    };
    let parts = upgraded.downcast::<TokioIo<WriteTimeout<BoxStream>>>()?;
    let (reader, writer) = stream::split(parts.io.into_inner().into_inner());
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
