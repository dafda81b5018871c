//! What an upgraded connection is made of.

use bytes::Bytes;
use hyper::upgrade::Upgraded;
use hyper_util::{rt::TokioIo, server::conn::auto};
use tokio::net::TcpStream;

use super::{Reader, Writer, stream, tcp};

/// The two directions of an upgraded connection, and what the peer sent right behind its request.
///
/// Where it is plain TCP, under `serve`, `axum::serve` or a hyper server of the host's own, the
/// stream is taken out, and nothing of the HTTP server is kept. Anything else is used as it is.
pub(crate) fn recover(upgraded: Upgraded) -> (Reader, Writer, Bytes) {
    match plain_tcp(upgraded) {
        Ok((tcp, read)) => {
            let (reader, writer) = tcp::split(tcp);
            (reader, writer, read)
        }
        Err(upgraded) => {
            let (reader, writer) = stream::split(TokioIo::new(upgraded));
            (reader, writer, Bytes::new())
        }
    }
}

fn plain_tcp(upgraded: Upgraded) -> Result<(TcpStream, Bytes), Upgraded> {
    // hyper's own server, ours among them.
    let upgraded = match upgraded.downcast::<TokioIo<TcpStream>>() {
        Ok(parts) => return Ok((parts.io.into_inner(), parts.read_buf)),
        Err(upgraded) => upgraded,
    };
    // hyper-util's, on which axum's stands.
    let parts = auto::upgrade::downcast::<TokioIo<TcpStream>>(upgraded)?;
    Ok((parts.io.into_inner(), parts.read_buf))
}
