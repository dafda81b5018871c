//! Where a request comes from, also when it comes through a proxy.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use http::{HeaderMap, request::Parts};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::{BuildError, BuildErrorKind};

/// How many hops of a forwarded request are looked at.
const HOPS: usize = 16;

/// The peer's address, as a request extension.
///
/// `serve` sets it. Under a server of your own, insert it into each request's extensions; with the
/// feature `axum`, `ConnectInfo<SocketAddr>` is read as well.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PeerAddr(pub SocketAddr);

/// The proxies that are believed on where a request comes from.
#[derive(Debug, Default)]
pub(crate) struct TrustedProxies(Vec<IpNet>);

impl TrustedProxies {
    pub(crate) fn new(networks: &[String]) -> Result<Self, BuildError> {
        let parse = |text: &String| {
            parse_network(text.trim()).map_err(|expected| {
                let got = format!("trusted_proxies: expected {expected}; got {text:?}");
                BuildError::new(BuildErrorKind::InvalidOption, got)
            })
        };
        networks
            .iter()
            .map(parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The address of the client: that of the peer, or, when that is a trusted proxy, the last in
    /// `X-Forwarded-For` that is not one.
    pub(crate) fn client(&self, request: &Parts) -> Option<SocketAddr> {
        let mut client = canonical(peer_addr(request)?);
        let mut hops = forwarded(&request.headers);
        while self.trusts(client.ip()) {
            match hops.next() {
                // What the proxy before has written can be nonsense only if it passes on the
                // client's own header, so nothing before it counts.
                Some(hop) => match parse_hop(hop) {
                    Some(hop) => client = canonical(hop),
                    None => break,
                },
                None => break,
            }
        }
        Some(client)
    }

    fn trusts(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.contains(&address))
    }
}

/// A network in the form in which addresses are compared; or what was expected of it.
fn parse_network(text: &str) -> Result<IpNet, String> {
    let address = text.parse::<IpAddr>().map(IpNet::from);
    let written = address
        .or_else(|_| text.parse())
        .map_err(|_| "an address or a network such as 10.0.0.0/8".to_owned())?;
    let (network, address) = (written.trunc(), written.addr());
    if network != written {
        return Err(format!(
            "{network} for the network or {address} for the address"
        ));
    }
    if is_around_mapped(network) {
        let expected = "0.0.0.0/0 for all of IPv4, ::1 for this host, or a network of IPv6 that is in \
                        use";
        return Err(expected.to_owned());
    }
    let network = canonical_network(network);
    if NOBODY.iter().any(|nobody| nobody.contains(&network)) {
        return Err("a network that a proxy can have an address in".to_owned());
    }
    Ok(network)
}

/// Where no connection comes from: this host, a group, everybody.
const NOBODY: [IpNet; 5] = [
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::UNSPECIFIED, 8)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::new(224, 0, 0, 0), 4)),
    IpNet::V4(Ipv4Net::new_assert(Ipv4Addr::BROADCAST, 32)),
    IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::UNSPECIFIED, 128)),
    IpNet::V6(Ipv6Net::new_assert(
        Ipv6Addr::new(0xff00, 0, 0, 0, 0, 0, 0, 0),
        8,
    )),
];

/// How many bits stand before an address of IPv4 that is written as one of IPv6.
const MAPPED: u8 = 96;

/// A network of IPv4 addresses that is written as one of IPv6 (`::ffff:10.0.0.0/104`).
fn canonical_network(network: IpNet) -> IpNet {
    let IpNet::V6(v6) = network else {
        return network;
    };
    let v4 = v6.addr().to_ipv4_mapped();
    let length = v6.prefix_len().checked_sub(MAPPED);
    let v4 = v4.zip(length).and_then(|(v4, n)| Ipv4Net::new(v4, n).ok());
    v4.map_or(network, IpNet::V4)
}

/// Whether it holds all of IPv4 as IPv6 writes it, and beside it nothing that is in use but `::1`. Such
/// an address is compared as one of IPv4, so the network would match none of them.
fn is_around_mapped(network: IpNet) -> bool {
    /// The next that is in use are those of NAT64, `64:ff9b::/96`.
    const APART: u8 = 10;
    let IpNet::V6(v6) = network else {
        return false;
    };
    let mapped = Ipv4Addr::UNSPECIFIED.to_ipv6_mapped();
    (APART..MAPPED).contains(&v6.prefix_len()) && v6.contains(&mapped)
}

/// IPv4 as such, also where a socket for both calls it IPv6.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

/// The hops of a request, the nearest first. As bytes: what the client itself has sent stands
/// before what a proxy adds to it, and must not hide that, whatever it is.
fn forwarded(headers: &HeaderMap) -> impl Iterator<Item = &[u8]> {
    let lines: Vec<_> = headers.get_all("x-forwarded-for").iter().collect();
    let lines = lines.into_iter().rev();
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    hops.map(<[u8]>::trim_ascii).take(HOPS)
}

/// An address, with or without a port, which is 0 where it is not known.
fn parse_hop(hop: &[u8]) -> Option<SocketAddr> {
    let hop = str::from_utf8(hop).ok()?;
    if let Ok(address) = hop.parse() {
        return Some(address);
    }
    let bare = hop.strip_prefix('[').and_then(|hop| hop.strip_suffix(']'));
    let address = bare.unwrap_or(hop).parse().ok()?;
    Some(SocketAddr::new(address, 0))
}

fn peer_addr(request: &Parts) -> Option<SocketAddr> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn client(trusted: &[&str], peer: &str, forwarded: &[&str]) -> String {
        let trusted: Vec<_> = trusted.iter().map(ToString::to_string).collect();
        let mut request = http::Request::new(());
        for line in forwarded {
            let line = http::HeaderValue::from_bytes(line.as_bytes()).unwrap();
            request.headers_mut().append("x-forwarded-for", line);
        }
        let mut parts = request.into_parts().0;
        parts.extensions.insert(PeerAddr(peer.parse().unwrap()));
        let client = TrustedProxies::new(&trusted).unwrap().client(&parts);
        client.unwrap().to_string()
    }

    #[test]
    fn a_header_counts_only_from_a_trusted_proxy() {
        let (lan, header) = (&["10.0.0.0/8"][..], &["192.0.2.1"][..]);
        assert_eq!(client(&[], "10.0.0.1:9", header), "10.0.0.1:9");
        assert_eq!(client(lan, "11.0.0.1:9", header), "11.0.0.1:9");
        assert_eq!(client(lan, "10.0.0.1:9", header), "192.0.2.1:0");
        assert_eq!(client(lan, "[::ffff:10.0.0.1]:9", header), "192.0.2.1:0");
        assert_eq!(client(lan, "10.0.0.1:9", &[]), "10.0.0.1:9");
        assert_eq!(client(&[], "[::ffff:10.0.0.1]:9", header), "10.0.0.1:9");
        let mapped = &["::ffff:10.0.0.0/104"][..];
        assert_eq!(client(mapped, "10.0.0.1:9", header), "192.0.2.1:0");
        assert_eq!(client(mapped, "[::ffff:10.0.0.1]:9", header), "192.0.2.1:0");
        assert_eq!(client(mapped, "11.0.0.1:9", header), "11.0.0.1:9");
        let one = &[" ::ffff:10.0.0.1"][..];
        assert_eq!(client(one, "10.0.0.1:9", header), "192.0.2.1:0");
        let through = &["::ffff:192.0.2.1"][..];
        assert_eq!(client(lan, "10.0.0.1:9", through), "192.0.2.1:0");
    }

    #[test]
    fn what_the_client_writes_itself_does_not_count() {
        let trusted = &["10.0.0.0/8", "::1"][..];
        let rows = [
            (&["6.6.6.6, 192.0.2.1, 10.0.0.7"][..], "192.0.2.1:0"),
            (&["6.6.6.6", "192.0.2.1"][..], "192.0.2.1:0"),
            (&["6.6.6.6, nonsense"][..], "10.0.0.1:9"),
            (&["6.6.6.6, nonsense, 10.0.0.7"][..], "10.0.0.7:0"),
            (&["6.6.6.6, \u{e4}"][..], "10.0.0.1:9"),
            (&["\u{e4}, 192.0.2.1"][..], "192.0.2.1:0"),
            (&["\u{e4}, 192.0.2.1, 10.0.0.7"][..], "192.0.2.1:0"),
            (&["\u{e4}", "192.0.2.1"][..], "192.0.2.1:0"),
            (&["10.0.0.3, 10.0.0.2"][..], "10.0.0.3:0"),
            (&["192.0.2.1:80"][..], "192.0.2.1:80"),
            (&["[2001:db8::1]:80"][..], "[2001:db8::1]:80"),
            (&["[2001:db8::1]"][..], "[2001:db8::1]:0"),
            (&["2001:db8::1, ::1"][..], "[2001:db8::1]:0"),
        ];
        for (lines, expected) in rows {
            assert_eq!(client(trusted, "10.0.0.1:9", lines), expected, "{lines:?}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        for nonsense in [
            "",
            "proxy.local",
            "10.0.0.0/33",
            "10.0.0.1/8",
            "::ffff:10.0.0.1/104",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "224.0.0.0/4",
            "239.1.0.0/16",
            "255.255.255.255",
            "ff02::1",
            "::/80",
            "::/10",
            "::ffff:0:0/95",
            "::fffe:0:0/95",
        ] {
            let error = TrustedProxies::new(&[nonsense.to_owned()]).unwrap_err();
            assert!(error.to_string().contains("trusted_proxies"), "{error}");
        }
        for all in [
            "0.0.0.0/0",
            "::/0",
            "::ffff:0:0/96",
            "::/9",
            "::1",
            "64:ff9b::/96",
        ] {
            TrustedProxies::new(&[all.to_owned()]).unwrap();
        }
        let error = TrustedProxies::new(&["10.0.0.1/8".to_owned()]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "trusted_proxies: expected 10.0.0.0/8 for the network or 10.0.0.1 for the address; \
             got \"10.0.0.1/8\""
        );
        for sense in ["0.0.0.0/0", "::/0", "::1", "127.0.0.0/8", "::ffff:0:0/96"] {
            assert!(TrustedProxies::new(&[sense.to_owned()]).is_ok(), "{sense}");
        }
    }
}
