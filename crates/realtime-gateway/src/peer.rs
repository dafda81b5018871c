//! Where a request comes from.

use std::net::SocketAddr;

use http::request::Parts;

/// The peer's address, as a request extension.
///
/// `serve` sets it. Under a server of your own, insert it into each request's extensions; with the
/// feature `axum`, `ConnectInfo<SocketAddr>` is read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

pub(crate) fn peer_addr(request: &Parts) -> Option<SocketAddr> {
    if let Some(PeerAddr(addr)) = request.extensions.get() {
        return Some(*addr);
    }
    #[cfg(feature = "axum")]
    if let Some(info) = request
        .extensions
        .get::<axum::extract::ConnectInfo<SocketAddr>>()
    {
        return Some(info.0);
    }
    None
}
