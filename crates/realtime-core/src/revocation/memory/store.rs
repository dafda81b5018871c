//! All revocations of a store, by name, by age and by the order in which they came.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    ops::Bound,
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::Instant;

use crate::{
    Identity, IdentityKey,
    revocation::{PAGE, Page, Revocation, RevocationError, RevocationErrorKind, RevocationScope},
};

/// How many that have ended are freed with each that comes: more than come.
const SWEPT: usize = 2;

/// After so long it is looked again at one that never ends. No clock adds up to more.
const LONGEST: Duration = Duration::from_secs(10 * 365 * 86_400);

/// The time by a clock that doesn't jump, and by the system's.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    pub(super) steady: Instant,
    pub(super) wall: SystemTime,
}

pub(super) struct Store {
    most: usize,
    everybody: Option<Kept>,
    tenants: HashMap<Arc<str>, Kept>,
    identities: HashMap<IdentityKey, Kept>,
    tokens: HashMap<Arc<str>, Kept>,
    /// All of them, by the number under which they came.
    order: BTreeMap<u64, Name>,
    /// When it is to be looked at which of them.
    due: BTreeSet<(Instant, u64)>,
    last: u64,
}

#[derive(Debug, Clone, Copy)]
struct Kept {
    issued_before: SystemTime,
    until: SystemTime,
    due: Instant,
    number: u64,
}

/// A scope that is cheap to clone.
#[derive(Debug, Clone)]
enum Name {
    Everybody,
    Tenant(Arc<str>),
    Identity(IdentityKey),
    Token(Arc<str>),
}

impl fmt::Debug for Store {
    /// Names are the users' own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("most", &self.most)
            .field("revocations", &self.len())
            .finish_non_exhaustive()
    }
}

impl Store {
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            everybody: None,
            tenants: HashMap::new(),
            identities: HashMap::new(),
            tokens: HashMap::new(),
            order: BTreeMap::new(),
            due: BTreeSet::new(),
            last: 0,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.order.len()
    }

    pub(super) fn remember(
        &mut self,
        revocation: &Revocation,
        until: SystemTime,
        now: Now,
    ) -> Result<(), RevocationError> {
        self.sweep(SWEPT, now);
        let name = Name::of(&revocation.scope);
        let before = self.find(&name);
        if let Some(before) = before {
            self.remove(&name, &before);
        } else if self.len() >= self.most {
            self.sweep(usize::MAX, now);
            if self.len() >= self.most {
                return Err(full(self.most));
            }
        }
        let before = before.filter(|before| !before.has_ended(now));
        let later = |mine: SystemTime, of: fn(&Kept) -> SystemTime| {
            before.as_ref().map_or(mine, |before| mine.max(of(before)))
        };
        let until = later(until, |kept| kept.until);
        self.last += 1;
        let kept = Kept {
            issued_before: later(revocation.issued_before, |kept| kept.issued_before),
            until,
            due: due(until, now),
            number: self.last,
        };
        self.insert(name, kept);
        Ok(())
    }

    pub(super) fn is_revoked(&self, identity: &Identity, now: Now) -> bool {
        let holds = |kept: Option<&Kept>| {
            kept.filter(|kept| !kept.has_ended(now))
                .is_some_and(|kept| {
                    let issued = identity.issued_at();
                    issued.is_none_or(|issued| issued < kept.issued_before)
                })
        };
        let token = identity.token_id().and_then(|id| self.tokens.get(id));
        token.is_some_and(|kept| !kept.has_ended(now))
            || holds(self.identities.get(identity.key()))
            || holds(self.tenants.get(identity.tenant()))
            || holds(self.everybody.as_ref())
    }

    pub(super) fn since(&self, after: u64, now: Now) -> Page {
        let mut all = self
            .order
            .range((Bound::Excluded(after), Bound::Unbounded))
            .filter_map(|(number, name)| {
                let kept = self.find(name).filter(|kept| !kept.has_ended(now))?;
                Some((*number, name.revocation(kept.issued_before)))
            });
        let (mut next, mut revocations) = (after, Vec::new());
        for (number, revocation) in all.by_ref().take(PAGE) {
            next = number;
            revocations.push(revocation);
        }
        let more = all.next().is_some();
        Page::new(revocations, next, more)
    }

    /// Frees what has ended, some of it.
    fn sweep(&mut self, most: usize, now: Now) {
        for _ in 0..most {
            let Some((at, number)) = self
                .due
                .first()
                .copied()
                .filter(|(at, _)| *at <= now.steady)
            else {
                return;
            };
            let name = self.order.get(&number).cloned();
            let Some((name, kept)) = name.and_then(|name| Some((name.clone(), self.find(&name)?)))
            else {
                self.due.remove(&(at, number));
                continue;
            };
            self.remove(&name, &kept);
            if !kept.has_ended(now) {
                // The system's clock was set back.
                let due = due(kept.until, now);
                self.insert(name, Kept { due, ..kept });
            }
        }
    }

    fn find(&self, name: &Name) -> Option<Kept> {
        match name {
            Name::Everybody => self.everybody,
            Name::Tenant(tenant) => self.tenants.get(tenant).copied(),
            Name::Identity(key) => self.identities.get(key).copied(),
            Name::Token(id) => self.tokens.get(id).copied(),
        }
    }

    fn remove(&mut self, name: &Name, kept: &Kept) {
        self.order.remove(&kept.number);
        self.due.remove(&(kept.due, kept.number));
        match name {
            Name::Everybody => self.everybody = None,
            Name::Tenant(tenant) => drop(self.tenants.remove(tenant)),
            Name::Identity(key) => drop(self.identities.remove(key)),
            Name::Token(id) => drop(self.tokens.remove(id)),
        }
    }

    fn insert(&mut self, name: Name, kept: Kept) {
        self.order.insert(kept.number, name.clone());
        self.due.insert((kept.due, kept.number));
        match name {
            Name::Everybody => self.everybody = Some(kept),
            Name::Tenant(tenant) => drop(self.tenants.insert(tenant, kept)),
            Name::Identity(key) => drop(self.identities.insert(key, kept)),
            Name::Token(id) => drop(self.tokens.insert(id, kept)),
        }
    }
}

fn full(most: usize) -> RevocationError {
    RevocationError::new(
        RevocationErrorKind::Full,
        format!(
            "the store holds {most} revocations that have not ended; this one is not remembered"
        ),
    )
}

/// When it is to be looked at one that ends then.
fn due(until: SystemTime, now: Now) -> Instant {
    let left = until.duration_since(now.wall).unwrap_or_default();
    let due = now.steady.checked_add(left.min(LONGEST));
    due.unwrap_or(now.steady)
}

impl Kept {
    fn has_ended(&self, now: Now) -> bool {
        self.due <= now.steady && self.until <= now.wall
    }
}

impl Name {
    fn of(scope: &RevocationScope) -> Self {
        match scope {
            RevocationScope::Everybody => Self::Everybody,
            RevocationScope::Tenant(tenant) => Self::Tenant(tenant.as_str().into()),
            RevocationScope::Identity(key) => Self::Identity(key.clone()),
            RevocationScope::Token(id) => Self::Token(id.as_str().into()),
        }
    }

    fn revocation(&self, issued_before: SystemTime) -> Revocation {
        let scope = match self {
            Self::Everybody => RevocationScope::Everybody,
            Self::Tenant(tenant) => RevocationScope::Tenant(tenant.to_string()),
            Self::Identity(key) => RevocationScope::Identity(key.clone()),
            Self::Token(id) => RevocationScope::Token(id.to_string()),
        };
        Revocation {
            scope,
            issued_before,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Both clocks, so many seconds after some beginning.
    struct Clocks(Now);

    impl Clocks {
        fn new() -> Self {
            Self(Now {
                steady: Instant::now(),
                wall: SystemTime::now(),
            })
        }

        fn at(&self, steady: u64, wall: i64) -> Now {
            let by = Duration::from_secs(wall.unsigned_abs());
            Now {
                steady: self.0.steady + Duration::from_secs(steady),
                wall: match wall < 0 {
                    true => self.0.wall - by,
                    false => self.0.wall + by,
                },
            }
        }

        fn wall(&self, seconds: i64) -> SystemTime {
            self.at(0, seconds).wall
        }
    }

    fn ada(token: &str) -> Identity {
        Identity::new("ada").with_token_id(token)
    }

    #[test]
    fn a_clock_that_jumps_ends_nothing_before_its_time() {
        let clocks = Clocks::new();
        let mut store = Store::new(10);
        store
            .remember(&Revocation::token("a"), clocks.wall(60), clocks.at(0, 0))
            .unwrap();
        // Ahead by a day, and back again.
        assert!(store.is_revoked(&ada("a"), clocks.at(1, 86_400)));
        // Back by a day: a token lives longer now, too.
        assert!(store.is_revoked(&ada("a"), clocks.at(3_600, -86_400)));
        store.sweep(usize::MAX, clocks.at(3_600, -86_400));
        assert!(store.is_revoked(&ada("a"), clocks.at(3_601, 59)));
        assert_eq!(store.since(0, clocks.at(3_601, 59)).revocations.len(), 1);
        let end = clocks.at(3_600 + 86_400 + 60, 60);
        assert!(!store.is_revoked(&ada("a"), end));
        assert_eq!(store.since(0, end), Page::default());
        store.sweep(1, end);
        assert_eq!((store.len(), store.due.len()), (0, 0));
    }

    #[test]
    fn what_has_ended_is_freed_by_those_that_follow() {
        let clocks = Clocks::new();
        let mut store = Store::new(2_000);
        for n in 0..1_000 {
            let token = Revocation::token(n.to_string());
            store
                .remember(&token, clocks.wall(60), clocks.at(0, 0))
                .unwrap();
        }
        for n in 0..1_000 {
            let token = Revocation::token(format!("later {n}"));
            store
                .remember(&token, clocks.wall(120), clocks.at(61, 61))
                .unwrap();
        }
        assert_eq!((store.len(), store.due.len()), (1_000, 1_000));
        assert_eq!(store.tokens.len(), 1_000);
    }

    #[test]
    fn one_that_has_ended_is_no_part_of_the_next() {
        let clocks = Clocks::new();
        let mut store = Store::new(10);
        let later = Revocation::identity(IdentityKey::new("ada"), clocks.wall(1_000));
        store
            .remember(&later, clocks.wall(10), clocks.at(0, 0))
            .unwrap();
        let sooner = Revocation::identity(IdentityKey::new("ada"), clocks.wall(20));
        // It is there still, though nobody sees it.
        let kept = store.find(&Name::of(&later.scope)).unwrap();
        assert!(kept.has_ended(clocks.at(10, 10)));
        store
            .remember(&sooner, clocks.wall(100), clocks.at(10, 10))
            .unwrap();
        let issued = Identity::new("ada").with_issued_at(clocks.wall(21));
        assert!(!store.is_revoked(&issued, clocks.at(30, 30)));
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn one_without_end_is_kept() {
        let clocks = Clocks::new();
        let mut store = Store::new(1);
        let never = SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40);
        store
            .remember(&Revocation::token("a"), never, clocks.at(0, 0))
            .unwrap();
        let years = LONGEST.as_secs() + 1;
        let later = clocks.at(years, i64::try_from(years).unwrap());
        let full = store.remember(&Revocation::token("b"), never, later);
        assert_eq!(full.unwrap_err().kind(), RevocationErrorKind::Full);
        assert!(store.is_revoked(&ada("a"), later));
    }

    /// It agrees with one that keeps all in a list and looks at all of it.
    #[test]
    fn it_is_as_a_naive_one() {
        let clocks = Clocks::new();
        let mut store = Store::new(10_000);
        let mut model: Vec<(Revocation, SystemTime)> = Vec::new();
        let mut seconds = 0;
        for step in 0..20_000 {
            seconds += u64::from(fastrand::u8(..10) == 0);
            let at = |from: std::ops::Range<i64>| {
                clocks.wall(i64::try_from(seconds).unwrap() + fastrand::i64(from))
            };
            let now = clocks.at(seconds, i64::try_from(seconds).unwrap());
            let n = fastrand::u8(..4);
            let key = IdentityKey::new(n.to_string()).with_tenant((n % 2).to_string());
            if fastrand::u8(..4) == 0 {
                let issued_before = at(-20..20);
                let revocation = match fastrand::u8(..8) {
                    0 => Revocation::everybody(issued_before),
                    1 => Revocation::tenant(key.tenant(), issued_before),
                    2..=4 => Revocation::identity(key.clone(), issued_before),
                    _ => Revocation::token(fastrand::u8(..8).to_string()),
                };
                let until = at(-2..8);
                store.remember(&revocation, until, now).unwrap();
                model.retain(|(_, until)| *until > now.wall);
                let same = model.iter_mut().find(|(r, _)| r.scope == revocation.scope);
                match same {
                    Some((known, ends)) => {
                        known.issued_before = known.issued_before.max(revocation.issued_before);
                        *ends = until.max(*ends);
                    }
                    None => model.push((revocation, until)),
                }
            }
            let identity = Identity::new(key.id()).with_tenant(key.tenant());
            let identity = identity.with_token_id(fastrand::u8(..8).to_string());
            let identity = match fastrand::bool() {
                true => identity.with_issued_at(at(-30..10)),
                false => identity,
            };
            let alive = model.iter().filter(|(_, until)| *until > now.wall);
            let expected = alive.clone().any(|(r, _)| r.applies_to(&identity));
            assert_eq!(store.is_revoked(&identity, now), expected, "step {step}");
            let mut known = store.since(0, now).revocations;
            for (revocation, _) in alive {
                let place = known.iter().position(|known| known == revocation);
                known.swap_remove(place.unwrap());
            }
            assert_eq!(known, []);
        }
    }
}
