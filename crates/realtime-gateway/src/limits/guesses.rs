//! Failed authentications of a network, and of the site that it is in: who has a site of IPv6 has
//! 65,536 networks, so what one of them may do is no limit by itself.
//!
//! A site isn't one subscriber everywhere: where a mobile network gives one to thousands of phones, they
//! all show tokens that have ended as they wake up, and many come at once. So there only guesses count.

use std::time::Duration;

use super::{Failures, Moment, Network, Place};

/// How many times as often one may guess wrong in all networks of a site as in one of them: the
/// networks of a subscriber with a /56.
const NETWORKS: u32 = 256;

#[derive(Debug)]
pub(super) struct Guesses {
    networks: Failures,
    sites: Failures,
}

/// Somebody's credentials are looked at, until this is dropped.
#[derive(Debug)]
pub(crate) struct Try(#[expect(dead_code, reason = "held for its drop")] Place<Network>);

/// What was wrong with what somebody has shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Failure {
    /// It was right once: it has ended, or was revoked.
    Past,
    /// It never was right, as far as is known.
    Guess,
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
        if let Some(site) = from.site() {
            self.sites.may_try(site, now)?;
        }
        Ok(Try(network))
    }

    /// Whether somebody there could try, which it doesn't yet.
    pub(super) fn could_try(&self, from: Network, now: Moment) -> Result<(), Duration> {
        self.networks.could_try(from, now)?;
        let site = from.site().map(|site| self.sites.could_try(site, now));
        site.unwrap_or(Ok(()))
    }

    /// Somebody there has tried, and failed.
    pub(super) fn failed(&self, from: Network, failure: Failure, now: Moment) {
        self.networks.failed(from, now);
        if let Some(site) = from.site().filter(|_| failure == Failure::Guess) {
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
                guesses.failed(at(1, network), Failure::Guess, now);
            }
            assert!(guesses.begin(at(1, network), now).is_err(), "{network}");
        }
        assert!(guesses.begin(at(1, 1_000), now).is_err());
        assert!(guesses.could_try(at(1, 1_000), now).is_err());
        assert!(guesses.begin(at(2, 1_000), now).is_ok());
        assert_eq!(guesses.len(), NETWORKS as usize + 1);
    }

    #[test]
    fn many_phones_of_a_site_may_come_at_once_with_tokens_that_have_ended() {
        let (guesses, now) = (Guesses::new(1), Moment::now());
        let networks = 2 * NETWORKS as u16;
        let tries: Vec<_> = (0..networks)
            .map(|n| guesses.begin(at(1, n), now))
            .collect();
        assert!(tries.iter().all(Result::is_ok));
        for network in 0..networks {
            guesses.failed(at(1, network), Failure::Past, now);
        }
        drop(tries);
        assert!(guesses.begin(at(1, 1), now).is_err());
        assert!(guesses.begin(at(1, networks), now).is_ok());
    }

    #[test]
    fn one_network_takes_nothing_from_the_others_of_its_site() {
        let (guesses, now) = (Guesses::new(10), Moment::now());
        for _ in 0..10 {
            guesses.failed(at(1, 1), Failure::Guess, now);
        }
        assert!((0..1_000).all(|_| guesses.begin(at(1, 1), now).is_err()));
        assert!(guesses.begin(at(1, 2), now).is_ok());
        let ipv4 = Network::V4([10, 0, 0, 1].into());
        guesses.failed(ipv4, Failure::Guess, now);
        assert_eq!(guesses.len(), 3);
    }
}
