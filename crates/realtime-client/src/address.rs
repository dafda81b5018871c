//! Where a gateway is, out of its URL.

use realtime_core::ServerUrl;
use url::{Host, Url};

use crate::BuildError;

#[derive(Clone)]
pub(crate) struct Address {
    /// A name, or an address without brackets.
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) is_tls: bool,
    /// For the header `Host`.
    pub(crate) authority: String,
    /// The path and the query.
    pub(crate) target: String,
}

impl Address {
    pub(crate) fn parse(text: &str) -> Result<Self, BuildError> {
        // A token goes to it.
        ServerUrl::check(text).map_err(|error| wrong(error.reason()))?;
        let url = Url::parse(text).map_err(|_| wrong("it can't be read"))?;
        let is_tls = match url.scheme() {
            "ws" | "http" => false,
            "wss" | "https" => true,
            _ => return Err(wrong("its scheme is another one")),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong("it has a user"));
        }
        let default = if is_tls { 443 } else { 80 };
        let port = url.port().unwrap_or(default);
        let (host, shown) = match url.host() {
            Some(Host::Domain(name)) if !name.is_empty() => (name.to_owned(), name.to_owned()),
            Some(Host::Ipv4(ip)) => (ip.to_string(), ip.to_string()),
            Some(Host::Ipv6(ip)) => (ip.to_string(), format!("[{ip}]")),
            _ => return Err(wrong("it has no host")),
        };
        let authority = match port == default {
            true => shown,
            false => format!("{shown}:{port}"),
        };
        let target = match url.query() {
            Some(query) => format!("{}?{query}", url.path()),
            None => url.path().to_owned(),
        };
        Ok(Self {
            host,
            port,
            is_tls,
            authority,
            target,
        })
    }
}

fn wrong(got: &str) -> BuildError {
    BuildError::Url(got.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use super::*;

    #[test]
    fn a_url_is_an_address() {
        let read = |url| {
            let Address {
                host,
                port,
                is_tls,
                authority,
                target,
            } = Address::parse(url).unwrap();
            (host, port, is_tls, authority, target)
        };
        let of = |host: &str, port, tls, authority: &str, target: &str| {
            (
                host.to_owned(),
                port,
                tls,
                authority.to_owned(),
                target.to_owned(),
            )
        };
        assert_eq!(read("ws://a.test"), of("a.test", 80, false, "a.test", "/"));
        assert_eq!(
            read("https://a.test:8443/ws?x=1"),
            of("a.test", 8443, true, "a.test:8443", "/ws?x=1")
        );
        assert_eq!(read("ws://[::1]:9/"), of("::1", 9, false, "[::1]:9", "/"));
        for bad in [
            "",
            "a.test/ws",
            "ftp://a.test",
            "ws://u:p@a.test",
            "ws://a.test#x",
            "ws://@a.test",
            "ws://a.test:0",
            "ws://010.0.0.1/ws",
            "ws://10.1",
            "wss://167772168",
            "ws://a.test/a b",
            "ws://a.te\tst",
            " ws://a.test",
        ] {
            assert!(Address::parse(bad).is_err(), "{bad}");
        }
    }
}
