//! The limits of a node: what its sessions and requests may take, and who of them does.
//!
//! How often something may be done is for `governor` to say ([`Bucket`]); here it is kept for whom,
//! and for how long.

mod bucket;
mod failures;
mod guesses;
mod meter;
mod network;
mod own;
mod places;
mod shared;
mod shrink;
mod upgrades;

use std::{
    net::IpAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime_core::IdentityKey;

use crate::config::{ConnectionPolicy, Limits, Rate};

pub(crate) use bucket::{Bucket, Moment};
use failures::Failures;
use guesses::Guesses;
pub(crate) use guesses::{Failure, Try};
use meter::{Meter, Rates};
pub(crate) use network::Network;
use own::OwnMeter;
pub(crate) use places::{Place, Places};
use shared::{SharedMeter, SharedMeters};
pub(crate) use upgrades::Upgrades;

/// How many that nobody uses any more are looked at with each tick of the clock.
const SWEPT: usize = 4_096;

/// What a node limits. A part that isn't limited isn't there.
#[derive(Debug, Default)]
pub(crate) struct NodeLimits {
    traffic: Option<Traffic>,
    identities: Option<Arc<Places<IdentityKey>>>,
    addresses: Option<Arc<Places<Network>>>,
    pub(crate) upgrades: Option<Upgrades>,
    failures: Option<Guesses>,
    /// How many sessions have got a number.
    numbered: AtomicU64,
    /// It was said that there are requests without an address.
    said_unknown: AtomicBool,
}

/// How much may be sent.
#[derive(Debug)]
struct Traffic {
    own: Rates,
    identities: Option<Arc<SharedMeters>>,
    tenants: Option<Arc<SharedMeters>>,
}

/// How much a session may send.
#[derive(Debug)]
pub(crate) struct Allowance {
    own: OwnMeter,
    /// Those of its identity and of its tenant, where they are limited: boxed, for many limit
    /// sessions alone.
    shared: Option<Box<[SharedMeter]>>,
}

/// The places that a connection takes for as long as it is there.
#[derive(Debug, Default)]
pub(crate) struct Held {
    pub(crate) address: Option<Place<Network>>,
    pub(crate) identity: Option<Place<IdentityKey>>,
}

impl Held {
    /// Boxed, where there is anything to hold.
    pub(crate) fn boxed(self) -> Option<Box<Self>> {
        let holds = self.address.is_some() || self.identity.is_some();
        holds.then(|| Box::new(self))
    }
}

/// A message was one too many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct OverLimit {
    /// After how long what has refused it would accept it; what was not asked may still refuse it
    /// then.
    pub(crate) wait: Duration,
    /// It is too much for its session alone, and not only together with what others have sent.
    pub(crate) is_own: bool,
}

/// There are as many as there may be.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Crowded;

impl NodeLimits {
    pub(crate) fn new(limits: &Limits) -> Self {
        let refuses = limits.connection_policy == ConnectionPolicy::RefuseNewest;
        let identities = limits.max_connections_per_identity.filter(|_| refuses);
        Self {
            traffic: Traffic::new(limits),
            identities: identities.map(Places::new),
            addresses: limits.max_connections_per_address.map(Places::new),
            upgrades: limits.max_upgrades_per_second.map(Upgrades::new),
            failures: limits.failed_authentications_per_minute.map(Guesses::new),
            numbered: AtomicU64::new(0),
            said_unknown: AtomicBool::new(false),
        }
    }

    /// A number for a session: later ones have higher ones, whatever becomes of the system's clock.
    pub(crate) fn number(&self) -> u64 {
        self.numbered.fetch_add(1, SeqCst)
    }

    /// How much a session of this identity may send; `None` where that isn't limited.
    pub(crate) fn allowance(&self, identity: &IdentityKey) -> Option<Allowance> {
        let traffic = self.traffic.as_ref()?;
        let identities = traffic.identities.as_ref();
        let identities = identities.map(|identities| identities.of(identity.clone()));
        let tenant = || IdentityKey::new("").with_tenant(identity.tenant());
        let tenants = traffic.tenants.as_ref().map(|tenants| tenants.of(tenant()));
        let shared: Box<[_]> = identities.into_iter().chain(tenants).collect();
        Some(Allowance {
            own: OwnMeter::new(traffic.own, Moment::now()),
            shared: (!shared.is_empty()).then_some(shared),
        })
    }

    /// A place for a connection from this address, where they are limited and it is known.
    pub(crate) fn at_address(
        &self,
        address: Option<IpAddr>,
    ) -> Result<Option<Place<Network>>, Crowded> {
        if address.is_none() {
            self.is_unknown();
        }
        let Some((places, address)) = self.addresses.as_ref().zip(address) else {
            return Ok(None);
        };
        places.enter(address.into()).map(Some).ok_or(Crowded)
    }

    /// A request whose address isn't known has come: what is limited for each address isn't for it,
    /// which is said once.
    fn is_unknown(&self) {
        let limits_addresses = self.addresses.is_some() || self.failures.is_some();
        if limits_addresses && !self.said_unknown.swap(true, SeqCst) {
            tracing::warn!(
                target: crate::log_targets::ADMISSION,
                "a request came without the address of its peer, so neither \
                 max_connections_per_address nor failed_authentications_per_minute holds for it; \
                 give requests a `PeerAddr`, as `serve` does",
            );
        }
    }

    /// A place for a session of this identity, where the newest is refused.
    pub(crate) fn of_identity(
        &self,
        identity: &IdentityKey,
    ) -> Result<Option<Place<IdentityKey>>, Crowded> {
        let Some(places) = &self.identities else {
            return Ok(None);
        };
        places.enter(identity.clone()).map(Some).ok_or(Crowded)
    }

    /// Whether somebody at this address could show credentials; if not, how long it has to wait.
    pub(crate) fn could_authenticate(&self, address: Option<IpAddr>) -> Result<(), Duration> {
        match self.failures.as_ref().zip(address) {
            Some((failures, address)) => failures.could_try(address.into(), Moment::now()),
            None => Ok(()),
        }
    }

    /// Somebody at this address has shown credentials. What this returns is held while it is found
    /// out whose they are; where they aren't looked at, the error is how long it has to wait.
    pub(crate) fn authenticate(&self, address: Option<IpAddr>) -> Result<Option<Try>, Duration> {
        let Some((failures, address)) = self.failures.as_ref().zip(address) else {
            return Ok(None);
        };
        failures.begin(address.into(), Moment::now()).map(Some)
    }

    /// What somebody at this address has shown was wrong.
    pub(crate) fn has_failed(&self, address: Option<IpAddr>, failure: Failure) {
        if let Some((failures, address)) = self.failures.as_ref().zip(address) {
            failures.failed(address.into(), failure, Moment::now());
        }
    }

    /// Of how many identities, tenants and addresses something is kept.
    pub(crate) fn kept(&self) -> usize {
        let traffic = self.traffic.as_ref();
        let shared = traffic.map(|traffic| [&traffic.identities, &traffic.tenants]);
        let shared = shared.into_iter().flatten().flatten();
        shared.map(|shared| shared.len()).sum::<usize>()
            + self.identities.as_ref().map_or(0, |places| places.len())
            + self.addresses.as_ref().map_or(0, |places| places.len())
            + self.failures.as_ref().map_or(0, Guesses::len)
    }

    /// Forgets a few of those whom nobody needs any more.
    pub(crate) fn sweep(&self) {
        let Some(traffic) = &self.traffic else {
            return;
        };
        for shared in [&traffic.identities, &traffic.tenants]
            .into_iter()
            .flatten()
        {
            shared.sweep(SWEPT, Moment::now());
        }
    }
}

impl Traffic {
    fn new(limits: &Limits) -> Option<Self> {
        let rates = |messages: Option<Rate>, bytes: Option<Rate>| Rates { messages, bytes };
        let own = rates(limits.messages_per_session, limits.bytes_per_session);
        let identity = rates(limits.messages_per_identity, limits.bytes_per_identity);
        let tenant = rates(limits.messages_per_tenant, limits.bytes_per_tenant);
        let shared = |rates: Rates| (!rates.are_off()).then(|| SharedMeters::new(rates));
        let all_off = own.are_off() && identity.are_off() && tenant.are_off();
        (!all_off).then(|| Self {
            own,
            identities: shared(identity),
            tenants: shared(tenant),
        })
    }
}

impl Allowance {
    /// A message of so many bytes has come. Where it is one too many for its session, it takes nothing
    /// of what others share with it.
    #[inline]
    pub(crate) fn take(&mut self, bytes: usize, now: Moment) -> Result<(), OverLimit> {
        let is_own = |wait| OverLimit { wait, is_own: true };
        self.own.take(bytes, now).map_err(is_own)?;
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        take_shared(shared, bytes, now).map_err(|wait| OverLimit {
            wait: wait.max(self.own.wait(bytes, now)),
            is_own: false,
        })
    }
}

/// The same of what it shares with others.
fn take_shared(shared: &[SharedMeter], bytes: usize, now: Moment) -> Result<(), Duration> {
    let mut again = Duration::ZERO;
    for shared in shared {
        match shared.meter().take(bytes, now) {
            Ok(left) => again = again.max(left.again()),
            Err(wait) => return Err(again.max(wait)),
        }
    }
    Ok(())
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    fn limits(set: impl FnOnce(&mut Limits)) -> NodeLimits {
        let mut limits = Limits::default();
        set(&mut limits);
        NodeLimits::new(&limits)
    }

    #[test]
    fn who_limits_nothing_has_nothing() {
        let none = limits(|_| {});
        assert!(none.allowance(&IdentityKey::new("ann")).is_none());
        assert!(none.upgrades.is_none());
        let address = Some([10, 0, 0, 1].into());
        assert!(none.at_address(address).unwrap().is_none());
        assert!(
            none.of_identity(&IdentityKey::new("ann"))
                .unwrap()
                .is_none()
        );
        assert!(Held::default().boxed().is_none());
    }

    #[test]
    fn one_that_sends_too_much_takes_nothing_from_the_others_of_its_tenant() {
        let node = limits(|limits| {
            limits.messages_per_session = Some(Rate::per_second(1).with_burst(5));
            limits.messages_per_tenant = Some(Rate::per_second(1).with_burst(10));
        });
        let now = Moment::now();
        let of = |id: &str| {
            node.allowance(&IdentityKey::new(id).with_tenant("t"))
                .unwrap()
        };
        let (mut ann, mut bob, mut cid) = (of("ann"), of("bob"), of("cid"));
        let accepted = |who: &mut Allowance| (0..100).filter(|_| who.take(1, now).is_ok()).count();
        assert_eq!(
            (accepted(&mut ann), accepted(&mut bob), accepted(&mut cid)),
            (5, 5, 0)
        );
        let elsewhere = IdentityKey::new("ann").with_tenant("u");
        assert_eq!(accepted(&mut node.allowance(&elsewhere).unwrap()), 5);
    }

    #[test]
    fn what_is_refused_for_its_bytes_takes_no_message_from_anybody() {
        let node = limits(|limits| {
            limits.messages_per_tenant = Some(Rate::per_second(1).with_burst(10));
            limits.bytes_per_tenant = Some(Rate::per_second(1).with_burst(1_000));
        });
        let now = Moment::now();
        let mut ann = node.allowance(&IdentityKey::new("ann")).unwrap();
        let mut bob = node.allowance(&IdentityKey::new("bob")).unwrap();
        assert_eq!(ann.take(900, now), Ok(()));
        for _ in 0..100 {
            assert!(!ann.take(500, now).unwrap_err().is_own);
        }
        assert_eq!((0..9).filter(|_| bob.take(1, now).is_ok()).count(), 9);
        // Nor the other way round.
        assert!((0..100).all(|_| bob.take(50, now).is_err()));
        // The buckets are a little younger than `now`.
        let later = now.after(Duration::from_millis(1_500));
        assert_eq!(bob.take(90, later), Ok(()));
    }

    #[test]
    fn who_waits_as_long_as_it_is_told_is_accepted() {
        let node = limits(|limits| {
            limits.messages_per_session = Some(Rate::per_second(10).with_burst(3));
            limits.bytes_per_session = Some(Rate::per_second(1_000).with_burst(2_000));
        });
        let mut ann = node.allowance(&IdentityKey::new("ann")).unwrap();
        let mut now = Moment::now();
        let mut waits = 0;
        for n in 0..1_000 {
            let bytes = [1, 40, 2_000, 700, 5_000][n % 5];
            if let Err(OverLimit { wait, is_own }) = ann.take(bytes, now) {
                assert!(is_own && wait > Duration::ZERO);
                now = now.after(wait);
                waits += 1;
                assert_eq!(ann.take(bytes, now), Ok(()), "message {n}");
            }
            now = now.after(MS);
        }
        assert!(waits > 100, "{waits}");
    }
}
