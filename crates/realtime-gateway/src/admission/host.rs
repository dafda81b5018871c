//! The `Host` of a request, parsed once: for the handshake, and for comparison with its `Origin`.

use std::net::{IpAddr, Ipv6Addr};

use http::{Version, header::HOST, request::Parts, uri::Authority};

use super::handshake::single;

/// A host in the form in which it is compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Host {
    Address(IpAddr),
    Name(String),
}

/// A host, and its port where one is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct HostAndPort {
    pub(crate) host: Host,
    pub(crate) port: Option<u16>,
}

impl Host {
    fn parse(text: &str) -> Option<Self> {
        if text.is_empty() {
            return None;
        }
        if let Some(inner) = text.strip_prefix('[').and_then(|t| t.strip_suffix(']')) {
            let address = inner.parse::<Ipv6Addr>().ok()?;
            return Some(Self::Address(IpAddr::from(address).to_canonical()));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Some(Self::Address(address.to_canonical()));
        }
        // The characters that names have. `Authority` accepts more.
        let is_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        text.bytes()
            .all(is_name)
            .then(|| Self::Name(text.to_ascii_lowercase()))
    }
}

impl HostAndPort {
    /// A host and a port, if it is nothing else: not `user@host`, `host:` or `host:99999`, which
    /// are authorities as well.
    pub(crate) fn parse(authority: &Authority) -> Option<Self> {
        let host = Host::parse(authority.host())?;
        let port = match authority.as_str().strip_prefix(authority.host())? {
            "" => None,
            port => {
                let digits = port.strip_prefix(':')?;
                let plain = digits.bytes().all(|byte| byte.is_ascii_digit());
                Some(plain.then(|| digits.parse().ok()).flatten()?)
            }
        };
        Some(Self { host, port })
    }

    /// Whom a request means: over HTTP/2 the authority, where there is one, else the one valid `Host`.
    pub(crate) fn of_request(request: &Parts) -> Option<Self> {
        let authority = request.uri.authority();
        Self::of_host(
            match authority.filter(|_| request.version == Version::HTTP_2) {
                Some(authority) => authority.as_str(),
                None => single(&request.headers, &HOST)?.to_str().ok()?,
            },
        )
    }

    /// A port may be empty here, though not in an `Origin` (RFC 3986 §3.2.3, RFC 6454 §6.2).
    pub(super) fn of_host(text: &str) -> Option<Self> {
        Self::parse(&text.strip_suffix(':').unwrap_or(text).parse().ok()?)
    }
}
