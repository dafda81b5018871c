//! Whose address it is: what one subscriber of a network has counts as one.

use std::net::{IpAddr, Ipv4Addr};

/// Before an address of IPv4, where a network of IPv6 translates those (NAT64): all of IPv4 is in its
/// first 64 bits.
const TRANSLATED: [u16; 6] = [0x64, 0xff9b, 0, 0, 0, 0];

/// An address of IPv4, or the first 64 bits of one of IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Network {
    V4(Ipv4Addr),
    V6([u16; 4]),
    /// The first 48 bits of one of IPv6: the most that one subscriber is given.
    Site([u16; 3]),
}

impl Network {
    /// What one subscriber may have of which this is a part, where that may be more than this.
    pub(crate) const fn site(self) -> Option<Self> {
        match self {
            Self::V6([a, b, c, _]) => Some(Self::Site([a, b, c])),
            Self::V4(_) | Self::Site(_) => None,
        }
    }
}

impl From<IpAddr> for Network {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self::V4(address),
            IpAddr::V6(address) => {
                let [a, b, c, d, e, f, ..] = address.segments();
                if [a, b, c, d, e, f] == TRANSLATED {
                    let [.., a, b, c, d] = address.octets();
                    return Self::V4([a, b, c, d].into());
                }
                Self::V6([a, b, c, d])
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ipv6_counts_by_its_first_half_and_ipv4_as_such() {
        let of = |text: &str| Network::from(text.parse::<IpAddr>().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:10.0.0.1"), of("10.0.0.1"));
        assert_eq!(of("64:ff9b::10.0.0.1"), of("10.0.0.1"));
        assert_ne!(of("64:ff9b::10.0.0.1"), of("64:ff9b::10.0.0.2"));
        assert_eq!(of("64:ff9b:1::1"), of("64:ff9b:1::2"));
        assert_ne!(of("10.0.0.1"), of("10.0.0.2"));
        assert_ne!(of("::ffff:10.0.0.1"), of("::ffff:10.0.0.2"));
    }
}
