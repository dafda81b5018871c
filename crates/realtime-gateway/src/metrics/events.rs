//! What happens seldom, counted by what it was, and told like all else: it is there, with 0, before
//! the first time, which a rate would not see otherwise.

use realtime_core::{CloseCode, DisconnectInfo, Initiator};

use super::tally::Tally;

/// Why a connection is refused, as `admission::Refusal` names it.
const REFUSALS: [&str; 21] = [
    "address_full",
    "auth_failed",
    "auth_unavailable",
    "bad_host",
    "bad_key",
    "draining",
    "expired",
    "full",
    "has_body",
    "http_version",
    "identity_full",
    "method",
    "not_upgradable",
    "not_upgrade",
    "origin",
    "revoked",
    "too_many_failures",
    "too_many_upgrades",
    "unauthorized",
    "version",
    OTHER,
];
/// What comes of joining: as `JoinErrorKind` names it, and of clients that don't get as far.
const JOINS: [&str; 13] = [
    "ok",
    "bad_data",
    "broker",
    "encode",
    "failed",
    "history",
    "invalid_room",
    "node_full",
    "refused",
    "session_closed",
    "too_many_rooms",
    "unknown_room",
    OTHER,
];
const RECOVERIES: [&str; 4] = ["complete", "lost", "failed", OTHER];
const LEASES: [&str; 4] = ["renewed", "lost", "failed", OTHER];
const INITIATORS: [&str; 6] = [
    "backpressure",
    "client",
    "error",
    "server",
    "shutdown",
    OTHER,
];
/// A client may close with any code, so only those count by themselves that have a name.
const CODES: [&str; 23] = [
    "none", "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012", "1013",
    "1014", "3005", "3011", "3012", "3013", "3500", "3502", "3503", "3504", "3506", OTHER,
];
/// What has no name of its own. It is told only where there is any.
const OTHER: &str = "other";

/// Who ends sessions with which codes, as a rule. The others are told once there are any.
const USUAL: &[(&str, &[&str])] = &[
    ("backpressure", &["1013"]),
    ("client", &["none", "1000", "1001"]),
    (
        "error",
        &[
            "none", "1002", "1003", "1007", "1008", "1009", "1011", "3012", "3013",
        ],
    ),
    (
        "server",
        &[
            "1000", "1008", "3005", "3011", "3500", "3503", "3504", "3506",
        ],
    ),
    ("shutdown", &["1001"]),
];

/// How often what has happened.
#[derive(Debug)]
pub(super) struct Events {
    pub(super) refusals: Tally<{ REFUSALS.len() }>,
    pub(super) joins: Tally<{ JOINS.len() }>,
    pub(super) recoveries: Tally<{ RECOVERIES.len() }>,
    pub(super) leases: Tally<{ LEASES.len() }>,
    /// By who ended the session, and the code.
    closed: [Tally<{ CODES.len() }>; INITIATORS.len()],
}

impl Events {
    pub(super) fn new() -> Self {
        Self {
            refusals: Tally::new(&REFUSALS),
            joins: Tally::new(&JOINS),
            recoveries: Tally::new(&RECOVERIES),
            leases: Tally::new(&LEASES),
            closed: std::array::from_fn(|_| Tally::new(&CODES)),
        }
    }

    pub(super) fn closed(&self, info: &DisconnectInfo) {
        use Initiator as By;
        // In the order of `INITIATORS`.
        let [backpressure, client, error, server, shutdown, other] = &self.closed;
        let tally = match info.initiator {
            By::Backpressure => backpressure,
            By::Client => client,
            By::Error => error,
            By::Server => server,
            By::Shutdown => shutdown,
            _ => other,
        };
        tally.add(code(info.code), 1);
    }

    /// Who has ended sessions and with which code, and how many since the last time.
    pub(super) fn take_closed(&self) -> impl Iterator<Item = (&'static str, &'static str, u64)> {
        let tallies = INITIATORS.into_iter().zip(&self.closed);
        let all = tallies.flat_map(|(by, tally)| tally.take().map(move |(code, n)| (by, code, n)));
        all.filter(|(by, code, count)| {
            let is_usual = |(who, codes): &(&str, &[&str])| who == by && codes.contains(code);
            *count > 0 || USUAL.iter().any(is_usual)
        })
    }
}

/// What has come to each since the last time, but for others of which there are none.
pub(super) fn named<const N: usize>(tally: &Tally<N>) -> impl Iterator<Item = (&'static str, u64)> {
    let all = tally.take();
    all.filter(|(value, count)| *count > 0 || *value != OTHER)
}

fn code(code: Option<CloseCode>) -> &'static str {
    let Some(code) = code else { return "none" };
    let code = Some(code.as_u16());
    let named = CODES.iter().find(|name| name.parse().ok() == code);
    named.copied().unwrap_or(OTHER)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_with_a_name_count_by_themselves() {
        assert_eq!(code(None), "none");
        assert_eq!(code(Some(CloseCode::RECONNECT)), "3011");
        assert_eq!(code(CloseCode::new(4_321).ok()), OTHER);
    }

    #[test]
    fn what_is_usual_has_names() {
        for (by, codes) in USUAL {
            assert!(INITIATORS.contains(by), "{by}");
            assert!(codes.iter().all(|code| CODES.contains(code)), "{codes:?}");
        }
        let events = Events::new();
        let usual = events.take_closed().count();
        events.closed(&DisconnectInfo::new(Initiator::Shutdown, None, ""));
        assert_eq!(events.take_closed().count(), usual + 1);
    }
}
