//! Failed authentications of a network, and of the site that it is in: who has a site of IPv6 has
//! 65,536 networks, so what one of them may do is no limit by itself.

use std::time::Duration;

use super::{Failures, Moment, Network, Place};

/// How many times as often it may fail in all networks of a site as in one of them. More subscribers
/// than one may share it.
const NETWORKS: u32 = 16;

#[derive(Debug)]
pub(super) struct Guesses {
    networks: Failures,
    sites: Failures,
}

/// Somebody's credentials are looked at, until this is dropped.
#[derive(Debug)]
pub(crate) struct Try {
    _network: Place<Network>,
    _site: Option<Place<Network>>,
}

impl Guesses {
    pub(super) fn new(per_minute: u32) -> Self {
        Self {
            networks: Failures::new(per_minute),
            sites: Failures::new(per_minute.saturating_mul(NETWORKS)),
        }
    }

    /// Somebody there tries; where it may not, the error is after how long it may. What its network
    /// refuses takes nothing from the others of the site.
    pub(super) fn begin(&self, from: Network, now: Moment) -> Result<Try, Duration> {
        let network = self.networks.begin(from, now)?;
        let site = from.site().map(|site| self.sites.begin(site, now));
        Ok(Try {
            _network: network,
            _site: site.transpose()?,
        })
    }

    /// Whether somebody there could try, which it doesn't yet.
    pub(super) fn could_try(&self, from: Network, now: Moment) -> Result<(), Duration> {
        self.networks.could_try(from, now)?;
        let site = from.site().map(|site| self.sites.could_try(site, now));
        site.unwrap_or(Ok(()))
    }

    /// Somebody there has tried, and failed.
    pub(super) fn failed(&self, from: Network, now: Moment) {
        self.networks.failed(from, now);
        if let Some(site) = from.site() {
            self.sites.failed(site, now);
        }
    }

    /// How many are remembered.
    pub(super) fn len(&self) -> usize {
        self.networks.len() + self.sites.len()
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    fn at(site: u16, network: u16) -> Network {
        Network::V6([0x2001, 0xdb8, site, network])
    }

    #[test]
    fn a_site_fails_no_more_often_for_all_its_networks() {
        let (guesses, now) = (Guesses::new(10), Moment::now());
        for network in 0..NETWORKS as u16 {
            for _ in 0..10 {
                let tried = guesses.begin(at(1, network), now);
                assert!(tried.is_ok(), "{network}");
                guesses.failed(at(1, network), now);
            }
            assert!(guesses.begin(at(1, network), now).is_err(), "{network}");
        }
        assert!(guesses.begin(at(1, 1_000), now).is_err());
        assert!(guesses.could_try(at(1, 1_000), now).is_err());
        assert!(guesses.begin(at(2, 1_000), now).is_ok());
        assert_eq!(guesses.len(), NETWORKS as usize + 1);
    }

    #[test]
    fn one_network_takes_nothing_from_the_others_of_its_site() {
        let (guesses, now) = (Guesses::new(10), Moment::now());
        for _ in 0..10 {
            guesses.failed(at(1, 1), now);
        }
        assert!((0..1_000).all(|_| guesses.begin(at(1, 1), now).is_err()));
        assert!(guesses.begin(at(1, 2), now).is_ok());
        let ipv4 = Network::V4([10, 0, 0, 1].into());
        guesses.failed(ipv4, now);
        assert_eq!(guesses.len(), 3);
    }
}
