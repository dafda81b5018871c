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
use meter::{Capacities, Meter, Rates};
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
    own: Capacities,
    identities: Option<Arc<SharedMeters>>,
    tenants: Option<Arc<SharedMeters>>,
}

/// How much a session may send.
#[derive(Debug)]
pub(crate) struct Allowance {
    own: OwnMeter,
    /// Boxed, for many limit sessions alone.
    shared: Option<Box<Shared>>,
}

/// What others send, too, where that is limited.
#[derive(Debug)]
struct Shared {
    identity: Option<SharedMeter>,
    tenant: Option<SharedMeter>,
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
        let tenant = || IdentityKey::new("").with_tenant(identity.tenant());
        let shared = Shared {
            identity: identities.map(|identities| identities.of(identity.clone())),
            tenant: traffic.tenants.as_ref().map(|all| all.of(tenant())),
        };
        let is_shared = shared.identity.is_some() || shared.tenant.is_some();
        Some(Allowance {
            own: OwnMeter::new(Moment::now()),
            shared: is_shared.then(|| Box::new(shared)),
        })
    }

    /// A message of so many bytes has come to this session, when it had received so many of all. Where
    /// it is one too many for its session, it takes nothing of what others share with it.
    #[inline]
    pub(crate) fn take(
        &self,
        allowance: &mut Allowance,
        bytes: usize,
        received: u64,
    ) -> Result<(), OverLimit> {
        let Some(Traffic { own: of, .. }) = &self.traffic else {
            return Ok(());
        };
        allowance.own.came(of, received);
        allowance.take(of, bytes)
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
        let this = Self {
            own: Capacities::new(own),
            identities: SharedMeters::new(identity),
            tenants: SharedMeters::new(tenant),
        };
        let is_endless =
            this.own.are_endless() && this.identities.is_none() && this.tenants.is_none();
        (!is_endless).then_some(this)
    }
}

impl Allowance {
    #[inline]
    fn take(&mut self, of: &Capacities, bytes: usize) -> Result<(), OverLimit> {
        let is_own = |wait| OverLimit { wait, is_own: true };
        self.own.take(of, bytes).map_err(is_own)?;
        let Some(shared) = &self.shared else {
            return Ok(());
        };
        shared.take(bytes, self.own.at()).map_err(|wait| OverLimit {
            wait: wait.max(self.own.wait(of, bytes)),
            is_own: false,
        })
    }
}

impl Shared {
    fn take(&self, bytes: usize, now: Moment) -> Result<(), Duration> {
        let mut again = Duration::ZERO;
        for meter in [&self.identity, &self.tenant].into_iter().flatten() {
            match meter.take(bytes, now) {
                Ok(left) => again = again.max(left.again()),
                Err(wait) => return Err(again.max(wait)),
            }
        }
        Ok(())
    }
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

    /// A message of so many bytes at this moment.
    fn take(
        node: &NodeLimits,
        who: &mut Allowance,
        bytes: usize,
        now: Moment,
    ) -> Result<(), OverLimit> {
        let Some(Traffic { own: of, .. }) = &node.traffic else {
            return Ok(());
        };
        who.own.turn(of, now);
        who.take(of, bytes)
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
        let accepted = |who: &mut Allowance| {
            let taken = (0..100).filter(|_| take(&node, who, 1, now).is_ok());
            taken.count()
        };
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
        assert_eq!(take(&node, &mut ann, 900, now), Ok(()));
        for _ in 0..100 {
            assert!(!take(&node, &mut ann, 500, now).unwrap_err().is_own);
        }
        assert_eq!(
            (0..9)
                .filter(|_| take(&node, &mut bob, 1, now).is_ok())
                .count(),
            9
        );
        // Nor the other way round.
        assert!((0..100).all(|_| take(&node, &mut bob, 50, now).is_err()));
        // The buckets are a little younger than `now`.
        let later = now.after(Duration::from_millis(1_500));
        assert_eq!(take(&node, &mut bob, 90, later), Ok(()));
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
            if let Err(OverLimit { wait, is_own }) = take(&node, &mut ann, bytes, now) {
                assert!(is_own && wait > Duration::ZERO);
                now = now.after(wait);
                waits += 1;
                assert_eq!(take(&node, &mut ann, bytes, now), Ok(()), "message {n}");
            }
            now = now.after(MS);
        }
        assert!(waits > 100, "{waits}");
    }
}
