//! All values that labels may have, and that a test moves each of them.

use std::collections::BTreeSet;

use realtime::metrics::METRICS;

use super::table::{page, sources};

/// Metrics with labels, these, and their values. Of `route` there are as many as the application has
/// patterns, and one is ours.
pub(crate) const VALUES: &[(&[&str], &str, &[&str])] = &[
    (
        &["realtime_sessions_closed_total"],
        "initiator",
        &["backpressure", "client", "error", "server", "shutdown"],
    ),
    (
        &["realtime_sessions_closed_total"],
        "code",
        &[
            "none", "1000", "1001", "1002", "1003", "1007", "1008", "1009", "1010", "1011", "1012",
            "1013", "1014", "3005", "3011", "3012", "3013", "3500", "3502", "3503", "3504", "3506",
            "other",
        ],
    ),
    (
        &["realtime_sessions_failed_total"],
        "cause",
        &[
            "connect_refused",
            "expired",
            "lost",
            "panic",
            "pong_timeout",
            "revoked",
            "slow_consumer",
            "unauthorized",
            "violation",
            "write_timeout",
        ],
    ),
    (
        &["realtime_sessions_ended_total"],
        "outcome",
        &["closed", "aborted"],
    ),
    (
        &["realtime_connections_failed_total"],
        "cause",
        &["http", "upgrade", "first_message"],
    ),
    (
        &["realtime_refusals_total"],
        "reason",
        &[
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
        ],
    ),
    (
        &["realtime_authentication_duration_seconds"],
        "outcome",
        &[
            "ok",
            "auth_failed",
            "auth_unavailable",
            "expired",
            "revoked",
            "unauthorized",
        ],
    ),
    (
        &["realtime_limits_hit_total"],
        "limit",
        &["authentications", "connections", "upgrades"],
    ),
    (
        &[
            "realtime_messages_received_total",
            "realtime_received_bytes_total",
        ],
        "result",
        &[
            "answer",
            "handled",
            "malformed",
            "rate_limited",
            "unhandled",
        ],
    ),
    (
        &["realtime_handler_duration_seconds"],
        "outcome",
        &["ok", "refused", "failed"],
    ),
    (
        &["realtime_handler_duration_seconds"],
        "route",
        &["unknown"],
    ),
    (
        &["realtime_messages_compressed_total"],
        "outcome",
        &["smaller", "in_vain"],
    ),
    (
        &["realtime_compressed_bytes_total"],
        "side",
        &["before", "after"],
    ),
    (
        &[
            "realtime_messages_dropped_total",
            "realtime_dropped_bytes_total",
        ],
        "policy",
        &["close", "drop-newest", "drop-oldest"],
    ),
    (
        &["realtime_answers_lost_total"],
        "cause",
        &["dropped", "unmatched"],
    ),
    (
        &["realtime_room_joins_total"],
        "outcome",
        &[
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
        ],
    ),
    (
        &["realtime_room_recoveries_total"],
        "outcome",
        &["complete", "lost", "failed"],
    ),
    (
        &["realtime_backend_state", "realtime_backend_outages_total"],
        "backend",
        &["broker", "history", "presence", "revocations"],
    ),
    (
        &["realtime_backend_state"],
        "state",
        &["up", "down", "blocked", "not_started"],
    ),
    (
        &["realtime_backend_call_duration_seconds"],
        "backend",
        &["broker", "history", "presence", "revocations", "roster"],
    ),
    (
        &["realtime_backend_call_duration_seconds"],
        "call",
        &[
            "append",
            "changes",
            "confirm",
            "enter",
            "is_revoked",
            "join",
            "latest",
            "leave",
            "members",
            "nodes",
            "online",
            "position",
            "publish",
            "register",
            "renew",
            "revoke",
            "sessions",
            "since",
            "subscribe",
            "unregister",
        ],
    ),
    (
        &["realtime_backend_call_duration_seconds"],
        "outcome",
        &["ok", "failed"],
    ),
    (
        &["realtime_broker_messages_total"],
        "result",
        &["received", "invalid", "missed"],
    ),
    (
        &["realtime_presence_leases_total"],
        "outcome",
        &["renewed", "lost", "failed"],
    ),
];

/// Those of which the page says what they are, and has no list.
const TOLD: &[&str] = &["call"];

#[test]
fn all_labels_have_their_values() {
    let labelled: BTreeSet<_> = METRICS
        .iter()
        .flat_map(|metric| metric.labels.iter().map(|label| (metric.name, *label)))
        .collect();
    let listed: BTreeSet<_> = VALUES
        .iter()
        .flat_map(|(metrics, label, _)| metrics.iter().map(|metric| (*metric, *label)))
        .collect();
    assert_eq!(listed, labelled);
}

/// The values in backticks of the page's row of this metric and label.
fn said(page: &str, metric: &str, label: &str) -> Vec<String> {
    let (_, labels) = page.split_once("## Labels").unwrap();
    let mut of = String::new();
    for row in labels.lines().filter(|line| line.starts_with("| ")) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        if cells[2] != "the same" {
            of = cells[2].to_owned();
        }
        let prefix = of.trim_matches('`').strip_suffix('*');
        let is_of = of.contains(&format!("`{metric}`"))
            || prefix.is_some_and(|prefix| metric.starts_with(prefix));
        if is_of && cells[1].contains(&format!("`{label}`")) {
            let words = cells[3].split('`').skip(1).step_by(2);
            return words.map(str::to_owned).collect();
        }
    }
    panic!("the page has no row for {label} of {metric}");
}

#[test]
fn the_page_names_them() {
    let Some(page) = page() else { return };
    for (metrics, label, values) in VALUES {
        for metric in *metrics {
            if TOLD.contains(label) {
                continue;
            }
            let said = said(&page, metric, label);
            for value in *values {
                assert!(
                    said.iter().any(|is| is == value),
                    "{metric} {label} {value}"
                );
            }
        }
    }
}

/// What tests move: by `.moves(metric, label, &[values])`, which waits until it isn't 0 any more.
fn moved(tests: &str) -> BTreeSet<(String, String, String)> {
    let mut moved = BTreeSet::new();
    for call in tests.split(".moves(").skip(1) {
        let (arguments, _) = call.split_once(']').unwrap();
        let mut words = arguments.split('"').skip(1).step_by(2).map(str::to_owned);
        let (metric, label) = (words.next().unwrap(), words.next().unwrap());
        moved.extend(words.map(|value| (metric.clone(), label.clone(), value)));
    }
    moved
}

#[test]
fn each_is_moved_by_a_test() {
    let moved = moved(&sources());
    let mut unmoved = Vec::new();
    for (metrics, label, values) in VALUES {
        for metric in *metrics {
            for value in *values {
                let is = (
                    (*metric).to_owned(),
                    (*label).to_owned(),
                    (*value).to_owned(),
                );
                if !moved.contains(&is) {
                    unmoved.push(is);
                }
            }
        }
    }
    assert!(unmoved.is_empty(), "{unmoved:#?}");
}
