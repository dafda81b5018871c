//! What `Stats` counts, and what is so now, told to the recorder.
//!
//! What is told are the differences since the last time: two gateways of one name are added up, and
//! one that is built anew goes on where the one before it has ended.

use std::{sync::atomic::Ordering::Relaxed, time::Duration};

use super::{
    Metrics,
    facade::{Value, describe},
    on::{Inner, Traffic},
    table::{self, Metric},
};
use crate::stats::Stats;

/// How a gateway is now.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) stats: Stats,
    pub(crate) rooms: usize,
    /// Other nodes that are there.
    pub(crate) nodes: usize,
    pub(crate) draining: bool,
    /// How long what it publishes for itself takes to come back.
    pub(crate) loopback: Option<Duration>,
    /// The links to the backends, each with its name and how it is.
    pub(crate) links: [Value; 4],
}

/// What was told last.
#[derive(Debug, Default)]
pub(super) struct Exported {
    stats: Stats,
    received_bytes: u64,
    sent_bytes: u64,
    relayed: u64,
}

/// How a link may be.
const STATES: [&str; 4] = ["blocked", "down", "not_started", "up"];

/// Each field of `Stats`, and the metric that it becomes. One that is new doesn't compile until it
/// stands here.
macro_rules! fields {
    (
        counters { $($counter:ident => $metric:ident $([$label:literal = $value:expr])?,)* }
        gauges { $($gauge:ident => $gauged:ident,)* }
        told_elsewhere { $($elsewhere:ident,)* }
    ) => {
        fn tell_stats(inner: &Inner, now: &Stats, before: &Stats) {
            let Stats { $($counter: _,)* $($gauge: _,)* $($elsewhere: _,)* } = now;
            $(
                let labels: &[Value] = &[$(($label, $value(inner)))?];
                count(inner, &table::$metric, labels, now.$counter, before.$counter);
            )*
            $(set(inner, &table::$gauged, &[], now.$gauge);)*
        }
    };
}

/// A label with always the same value.
macro_rules! is {
    ($value:literal) => {
        |_: &Inner| $value
    };
}

fields! {
    counters {
        aborted => SESSIONS_ENDED["outcome" = is!("aborted")],
        answers_dropped => ANSWERS_LOST["cause" = is!("dropped")],
        answers_unmatched => ANSWERS_LOST["cause" = is!("unmatched")],
        authenticated_again => AUTHENTICATIONS_RENEWED,
        authentications_limited => LIMITS_HIT["limit" = is!("authentications")],
        background_restarts => BACKGROUND_RESTARTS,
        broker_outages => BACKEND_OUTAGES["backend" = is!("broker")],
        closed => SESSIONS_ENDED["outcome" = is!("closed")],
        connections_failed => CONNECTIONS_FAILED["cause" = is!("http")],
        connections_limited => LIMITS_HIT["limit" = is!("connections")],
        connects_refused => SESSIONS_FAILED["cause" = is!("connect_refused")],
        controls_refused => CONTROLS_REFUSED,
        departures_given_up => PRESENCE_DEPARTURES_GIVEN_UP,
        dropped => MESSAGES_DROPPED["policy" = |inner: &Inner| inner.policy],
        errors_unreported => ERRORS_UNREPORTED,
        expired => SESSIONS_FAILED["cause" = is!("expired")],
        failed => MESSAGES_FAILED,
        first_messages_refused => CONNECTIONS_FAILED["cause" = is!("first_message")],
        history_outages => BACKEND_OUTAGES["backend" = is!("history")],
        hooks_abandoned => HOOKS_ABANDONED,
        invalid_broker_messages => BROKER_MESSAGES["result" = is!("invalid")],
        lost => SESSIONS_FAILED["cause" = is!("lost")],
        malformed => MESSAGES_RECEIVED["result" = is!("malformed")],
        missed_from_nodes => BROKER_MESSAGES["result" = is!("missed")],
        opened => SESSIONS_OPENED,
        panics => SESSIONS_FAILED["cause" = is!("panic")],
        pong_timeouts => SESSIONS_FAILED["cause" = is!("pong_timeout")],
        presence_outages => BACKEND_OUTAGES["backend" = is!("presence")],
        rate_limited => MESSAGES_RECEIVED["result" = is!("rate_limited")],
        receipts_unmatched => RECEIPTS_UNMATCHED,
        received => MESSAGES_RECEIVED["result" = is!("handled")],
        refused_by_close => REFUSALS_BY_CLOSE,
        revocation_outages => BACKEND_OUTAGES["backend" = is!("revocations")],
        revoked => SESSIONS_FAILED["cause" = is!("revoked")],
        sent => MESSAGES_SENT,
        slow_consumers => SESSIONS_FAILED["cause" = is!("slow_consumer")],
        unauthorized => SESSIONS_FAILED["cause" = is!("unauthorized")],
        unchecked => AUTHENTICATIONS_UNCHECKED,
        unhandled => MESSAGES_RECEIVED["result" = is!("unhandled")],
        upgrades_failed => CONNECTIONS_FAILED["cause" = is!("upgrade")],
        upgrades_limited => LIMITS_HIT["limit" = is!("upgrades")],
        violations => SESSIONS_FAILED["cause" = is!("violation")],
        write_timeouts => SESSIONS_FAILED["cause" = is!("write_timeout")],
    }
    gauges {
        assembling_bytes => HELD_BYTES,
        authenticating => AUTHENTICATING,
        departures_waiting => PRESENCE_DEPARTURES,
        limits_kept => LIMITS_KEPT,
        open => SESSIONS,
        outlived => SESSIONS_OUTLIVED,
        presence_unsettled => PRESENCE_UNSETTLED,
        queued_bytes => QUEUED_BYTES,
    }
    // By their reasons, where they are refused.
    told_elsewhere { refused, refused_origins, }
}

fn count(inner: &Inner, of: &Metric, labels: &[Value], now: u64, before: u64) {
    // Also where nothing is added, so that it is there, with 0, before the first time.
    let more = now.saturating_sub(before);
    inner.facade.counter(of, labels).increment(more);
}

fn set(inner: &Inner, of: &Metric, labels: &[Value], now: u64) {
    // Exact up to 2^53.
    inner.facade.gauge(of, labels).set(now as f64);
}

impl Metrics {
    /// Tells the recorder how the gateway is now, and what has happened since the last time.
    pub(crate) fn tell(&self, reading: &Reading) {
        let inner = self.inner();
        describe();
        // One at a time, so that nothing is told twice.
        let mut exported = inner.exported.lock();
        let Exported {
            stats,
            received_bytes,
            sent_bytes,
            relayed,
        } = &mut *exported;
        tell_stats(inner, &reading.stats, stats);
        stats.clone_from(&reading.stats);
        let Traffic {
            received_bytes: now_received,
            sent_bytes: now_sent,
            relayed: now_relayed,
            queued,
        } = &inner.traffic;
        let result: &[Value] = &[("result", "received")];
        for (of, labels, now, before) in [
            (
                &table::RECEIVED_BYTES,
                &[][..],
                now_received,
                received_bytes,
            ),
            (&table::SENT_BYTES, &[], now_sent, sent_bytes),
            (&table::BROKER_MESSAGES, result, now_relayed, relayed),
        ] {
            let now = now.load(Relaxed);
            count(inner, of, labels, now, *before);
            *before = now;
        }
        drop(exported);
        let queued = u64::try_from(queued.load(Relaxed)).unwrap_or(0);
        set(inner, &table::QUEUED_MESSAGES, &[], queued);
        set(inner, &table::ROOMS, &[], reading.rooms as u64);
        set(inner, &table::BROKER_NODES, &[], reading.nodes as u64);
        let loopback = reading.loopback.unwrap_or_default().as_secs_f64();
        inner
            .facade
            .gauge(&table::BROKER_LOOPBACK, &[])
            .set(loopback);
        set(inner, &table::DRAINING, &[], reading.draining.into());
        let left = if reading.draining {
            reading.stats.open
        } else {
            0
        };
        set(inner, &table::DRAIN_SESSIONS, &[], left);
        for (backend, state) in reading.links {
            for of in STATES {
                let labels = [("backend", backend), ("state", of)];
                set(inner, &table::BACKEND_STATE, &labels, (of == state).into());
            }
        }
    }
}
