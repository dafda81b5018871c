//! How much clients may send, how many of them there may be, and how often they may try.

mod rate;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{duration, off};
use crate::{BuildError, BuildErrorKind};

pub use rate::Rate;

/// What clients may do, and how often. Everything is off by default, but for
/// [`flood_patience`](Self::flood_patience), which only says what follows.
///
/// They hold for this node: an identity whose sessions are on three nodes may send three times as
/// much. Only [`max_connections_per_identity`](Self::max_connections_per_identity) is for all nodes
/// together.
///
/// ```
/// use realtime::config::{ConnectionPolicy, Limits, Rate};
///
/// let mut limits = Limits::default();
/// limits.messages_per_session = Some(Rate::per_second(20).with_burst(100));
/// limits.bytes_per_session = Some(Rate::per_second(64 * 1024).with_burst(1024 * 1024));
/// limits.max_connections_per_identity = Some(5);
/// limits.connection_policy = ConnectionPolicy::CloseOldest;
/// let gateway = realtime::builder().limits(limits).build()?;
///
/// let read: Limits = serde_json::from_str(
///     r#"{"messages_per_session": {"per_second": 20, "burst": 100}, "messages_per_tenant": "off"}"#,
/// )?;
/// assert_eq!(read.messages_per_session, Some(Rate::per_second(20).with_burst(100)));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Limits {
    /// How many messages the client of a session may send. Every one that was read counts, also
    /// those that nobody can handle. Default `None`: any number.
    #[serde(with = "rate::or_off")]
    pub messages_per_session: Option<Rate>,
    /// How many bytes of messages the client of a session may send. A message that is larger than
    /// the burst costs the whole burst: it is accepted once nothing was sent for long enough.
    /// Default `None`: any number.
    #[serde(with = "rate::or_off")]
    pub bytes_per_session: Option<Rate>,
    /// The same for all sessions of an identity together. Default `None`: any number.
    #[serde(with = "rate::or_off")]
    pub messages_per_identity: Option<Rate>,
    /// The same for all sessions of an identity together. Default `None`: any number.
    #[serde(with = "rate::or_off")]
    pub bytes_per_identity: Option<Rate>,
    /// The same for all sessions of a tenant together; those without a tenant are one. Default
    /// `None`: any number.
    #[serde(with = "rate::or_off")]
    pub messages_per_tenant: Option<Rate>,
    /// The same for all sessions of a tenant together; those without a tenant are one. Default
    /// `None`: any number.
    #[serde(with = "rate::or_off")]
    pub bytes_per_tenant: Option<Rate>,
    /// For how long a client may go on sending more than it may, before its session is closed with
    /// 3013. Each tenth of a second in which something was refused counts as such, and one of them
    /// is forgotten each second. Only what is too much for the session alone counts, and not what
    /// others have used up. `None`: it is never closed for that. Default 2 s.
    #[serde(with = "duration")]
    pub flood_patience: Option<Duration>,
    /// How many sessions an identity may have at once, on all nodes. Default `None`: any number.
    ///
    /// On one node it is exact. Over several it is as exact as presence is: two sessions that come to
    /// two nodes at the same moment may both be let in, one that has just ended may still count,
    /// and while presence can't be asked each node counts its own sessions only.
    ///
    /// With the default authenticator, [`Anonymous`](realtime_core::auth::Anonymous), all clients are
    /// one identity: then it is for all of them together, as
    /// [`messages_per_identity`](Self::messages_per_identity) is.
    #[serde(with = "off")]
    pub max_connections_per_identity: Option<usize>,
    /// Who has to go where that is exceeded. Default: the newest. Another one without
    /// [`max_connections_per_identity`](Self::max_connections_per_identity) is refused.
    pub connection_policy: ConnectionPolicy,
    /// How many connections there may be from one address at once, on this node, from before they
    /// are authenticated until they are gone; past that, a request is answered with 429. An IPv6
    /// address counts by its first 64 bits; a subscriber often has many such networks (/56, /48), so
    /// this holds up no one who uses all of them. Default `None`: any number.
    ///
    /// Behind a proxy all have its address, unless it is one of the
    /// [`trusted_proxies`](crate::Config::trusted_proxies). Requests whose address isn't
    /// [known](crate::PeerAddr) aren't limited, of which the log has one line.
    #[serde(with = "off")]
    pub max_connections_per_address: Option<usize>,
    /// How many upgrades a second this node lets in, and as many at once. Those beyond wait in a
    /// line, which is as long as what is let in in a second, or 64, but never longer than what is let
    /// in in 10 s; past that they are answered with 503. Under `serve` no connection is accepted while
    /// somebody waits, for up to a tenth of a second or one turn each, so that the others wait in the
    /// kernel (for those that are connected already the line has room for 1,024 there, and not 64).
    /// Default `None`: any number.
    #[serde(with = "off")]
    pub max_upgrades_per_second: Option<u32>,
    /// How often a minute authentication may fail for one address. Once it has failed so often, each
    /// further try takes one of as many a minute, and is answered with 429 where there is none left,
    /// before the authenticator is asked; a minute without a failure forgets all of it. Nor are more
    /// tries of an address under way at once. What is wrong, has ended or was revoked counts, also
    /// where it is shown on an open connection (there the answer is the error `too_many_requests`, and
    /// the session stays). Addresses are those of
    /// [`max_connections_per_address`](Self::max_connections_per_address): behind a proxy that isn't
    /// trusted, one client that fails would lock out all. With IPv6 addresses that have the same first
    /// 48 bits one may together guess wrong 256 times as often, where only what never was right counts:
    /// in mobile networks many clients share them, each with 64 bits of its own. Default `None`: as
    /// often as anybody likes.
    #[serde(with = "off")]
    pub failed_authentications_per_minute: Option<u32>,
}

/// Which session has to go where an identity has more than it may.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum ConnectionPolicy {
    /// The newest: it is answered with 429 before it is one, or closed with 3504 where that is
    /// noticed later.
    #[default]
    RefuseNewest,
    /// The oldest: it is closed with 3506 once the new one is there, and the connect hooks have let it
    /// in.
    CloseOldest,
}

/// A tenth of it is what counts.
const LEAST_PATIENCE: Duration = Duration::from_millis(100);
const MOST_PATIENCE: Duration = Duration::from_secs(60 * 60);

impl Default for Limits {
    fn default() -> Self {
        Self {
            messages_per_session: None,
            bytes_per_session: None,
            messages_per_identity: None,
            bytes_per_identity: None,
            messages_per_tenant: None,
            bytes_per_tenant: None,
            flood_patience: Some(Duration::from_secs(2)),
            max_connections_per_identity: None,
            connection_policy: ConnectionPolicy::default(),
            max_connections_per_address: None,
            max_upgrades_per_second: None,
            failed_authentications_per_minute: None,
        }
    }
}

impl Limits {
    /// Checks all numbers and durations.
    pub(super) fn check_ranges(&self) -> Result<(), BuildError> {
        let refused = |got: String| Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        let rates = [
            ("messages_per_session", self.messages_per_session),
            ("bytes_per_session", self.bytes_per_session),
            ("messages_per_identity", self.messages_per_identity),
            ("bytes_per_identity", self.bytes_per_identity),
            ("messages_per_tenant", self.messages_per_tenant),
            ("bytes_per_tenant", self.bytes_per_tenant),
        ];
        for (name, rate) in rates {
            if let Some(rate) = rate.filter(|rate| !rate.is_valid()) {
                return refused(format!(
                    "limits.{name} must be between 1 and {} a second with a burst of at least 1, \
                     or None (in a file \"off\") for no limit; got {} and {}",
                    Rate::MAX,
                    rate.per_second,
                    rate.burst
                ));
            }
        }
        let narrow = |count: u32| count as usize;
        let counts = [
            (
                "max_connections_per_identity",
                self.max_connections_per_identity,
            ),
            (
                "max_connections_per_address",
                self.max_connections_per_address,
            ),
            (
                "max_upgrades_per_second",
                self.max_upgrades_per_second.map(narrow),
            ),
            (
                "failed_authentications_per_minute",
                self.failed_authentications_per_minute.map(narrow),
            ),
        ];
        for (name, count) in counts {
            if count == Some(0) {
                return refused(format!(
                    "limits.{name} must be at least 1, or None (in a file \"off\") for no limit; \
                     got 0"
                ));
            }
        }
        for (name, rate) in [
            ("max_upgrades_per_second", self.max_upgrades_per_second),
            (
                "failed_authentications_per_minute",
                self.failed_authentications_per_minute,
            ),
        ] {
            if let Some(rate) = rate.filter(|rate| *rate > Rate::MAX) {
                let most = Rate::MAX;
                return refused(format!("limits.{name} must be at most {most}; got {rate}"));
            }
        }
        if self.max_connections_per_identity.is_none()
            && self.connection_policy != ConnectionPolicy::default()
        {
            return refused(
                "limits.connection_policy says who has to go where an identity has more than \
                 limits.max_connections_per_identity; got no such limit: set both, or neither"
                    .to_owned(),
            );
        }
        if let Some(patience) = self.flood_patience
            && !(LEAST_PATIENCE..=MOST_PATIENCE).contains(&patience)
        {
            return refused(format!(
                "limits.flood_patience must be between {LEAST_PATIENCE:?} and an hour, or None (in \
                 a file \"off\") to close nobody for it; got {patience:?}"
            ));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_is_off_and_written_as_such() {
        let limits = Limits::default();
        limits.check_ranges().unwrap();
        let json = serde_json::to_string(&limits).unwrap();
        assert!(json.contains(r#""messages_per_session":"off""#), "{json}");
        assert_eq!(serde_json::from_str::<Limits>(&json).unwrap(), limits);
        assert_eq!(serde_json::from_str::<Limits>("{}").unwrap(), limits);
        assert!(serde_json::from_str::<Limits>(r#"{"messages": 1}"#).is_err());
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        type Wrong = fn(&mut Limits);
        let rows: [(&str, Wrong); 7] = [
            ("messages_per_tenant", |limits| {
                limits.messages_per_tenant = Some(Rate::per_second(0));
            }),
            ("bytes_per_session", |limits| {
                limits.bytes_per_session = Some(Rate::per_second(5).with_burst(0));
            }),
            ("max_connections_per_identity", |limits| {
                limits.max_connections_per_identity = Some(0);
            }),
            ("max_upgrades_per_second", |limits| {
                limits.max_upgrades_per_second = Some(u32::MAX);
            }),
            ("failed_authentications_per_minute", |limits| {
                limits.failed_authentications_per_minute = Some(0);
            }),
            ("connection_policy", |limits| {
                limits.connection_policy = ConnectionPolicy::CloseOldest;
            }),
            ("flood_patience", |limits| {
                limits.flood_patience = Some(Duration::ZERO);
            }),
        ];
        for (name, wrong) in rows {
            let mut limits = Limits::default();
            wrong(&mut limits);
            let error = limits.check_ranges().unwrap_err();
            assert!(
                error.to_string().contains(&format!("limits.{name}")),
                "{error}"
            );
        }
    }
}
