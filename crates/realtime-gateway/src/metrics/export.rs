//! What `Stats` counts, and what is so now, told to the recorder.
//!
//! What is told are the differences since the last time: two gateways of one name are added up, and
//! one that is built anew goes on where the one before it has ended.

use std::{
    sync::atomic::Ordering::Relaxed,
    time::{Duration, SystemTime},
};

use super::{
    Metrics,
    events::named,
    facade::{Value, describe},
    names::Named,
    on::{Inner, Traffic},
    table::{self, Metric},
};
use crate::stats::Stats;

/// How a gateway is now.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) stats: Stats,
    /// How many messages wait in the queues of all sessions.
    pub(crate) queued: usize,
    pub(crate) rooms: usize,
    /// Other nodes that are there.
    pub(crate) nodes: usize,
    pub(crate) draining: bool,
    /// How long the oldest message has waited that a dispatcher has yet to carry to a session.
    pub(crate) oldest: Option<Duration>,
    /// How long what it publishes for itself takes to come back.
    pub(crate) loopback: Option<Duration>,
    /// How the links to the backends are, in the order of `BACKENDS`.
    pub(crate) links: [&'static str; 4],
}

/// What was told last.
#[derive(Debug)]
pub(super) struct Exported {
    stats: Stats,
    sent_bytes: u64,
    relayed: u64,
    /// Until the end is told. Another gateway may have the name from then on.
    name: Option<Named>,
}

impl Exported {
    pub(super) fn new(name: Named) -> Self {
        Self {
            stats: Stats::default(),
            sent_bytes: 0,
            relayed: 0,
            name: Some(name),
        }
    }
}

/// What there are links to.
const BACKENDS: [&str; 4] = ["broker", "history", "presence", "revocations"];
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
        fn count_stats(inner: &Inner, now: &Stats, before: &Stats) {
            let Stats { $($counter: _,)* $($gauge: _,)* $($elsewhere: _,)* } = now;
            $(
                let labels: &[Value] = &[$(($label, $value(inner)))?];
                count(inner, &table::$metric, labels, now.$counter, before.$counter);
            )*
        }

        fn set_stats(inner: &Inner, now: Option<&Stats>) {
            $(set(inner, &table::$gauged, &[], now.map_or(0, |now| now.$gauge));)*
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
        answered => MESSAGES_RECEIVED["result" = is!("answer")],
        answers_dropped => ANSWERS_LOST["cause" = is!("dropped")],
        answers_unmatched => ANSWERS_LOST["cause" = is!("unmatched")],
        authenticated_again => AUTHENTICATIONS_RENEWED,
        authentications_limited => LIMITS_HIT["limit" = is!("authentications")],
        background_restarts => BACKGROUND_RESTARTS,
        broker_outages => BACKEND_OUTAGES["backend" = is!("broker")],
        closed => SESSIONS_ENDED["outcome" = is!("closed")],
        compressed => MESSAGES_COMPRESSED["outcome" = is!("smaller")],
        compressed_from_bytes => COMPRESSED_BYTES["side" = is!("before")],
        compressed_in_vain => MESSAGES_COMPRESSED["outcome" = is!("in_vain")],
        compressed_to_bytes => COMPRESSED_BYTES["side" = is!("after")],
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
        unsent => MESSAGES_UNSENT,
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

fn add(inner: &Inner, of: &Metric, labels: &[Value], more: u64) {
    inner.facade.counter(of, labels).increment(more);
}

impl Metrics {
    /// Tells the recorder how the gateway is now, and what has happened since the last time.
    ///
    /// It is read and told by one at a time, so that nothing is told twice and what is told last was
    /// read last.
    pub(crate) fn tell(&self, read: impl FnOnce() -> Reading) {
        let inner = self.inner();
        describe();
        let mut exported = inner.exported.lock();
        let reading = read();
        tell_counters(inner, &mut exported, &reading.stats);
        // Of one that has ended nothing is so any more, and another may have its name.
        if exported.name.is_some() {
            tell_gauges(inner, Some(&reading));
        }
    }

    /// Tells it what has happened since the last time, and that the gateway has ended: whatever was
    /// so isn't any more. It is told once.
    pub(crate) fn tell_end(&self, read: impl FnOnce() -> Stats) {
        let inner = self.inner();
        describe();
        let mut exported = inner.exported.lock();
        let stats = read();
        tell_counters(inner, &mut exported, &stats);
        if exported.name.take().is_some() {
            tell_gauges(inner, None);
        }
    }
}

fn tell_counters(inner: &Inner, exported: &mut Exported, stats: &Stats) {
    // Noted first: a recorder that panics rather loses something than counts it twice.
    let before = std::mem::replace(&mut exported.stats, stats.clone());
    count_stats(inner, stats, &before);
    let Exported {
        sent_bytes,
        relayed,
        ..
    } = exported;
    let Traffic {
        received_bytes,
        dropped_bytes,
        unsent_bytes,
        sent_bytes: now_sent,
        relayed: now_relayed,
    } = &inner.traffic;
    let result: &[Value] = &[("result", "received")];
    for (of, labels, now, before) in [
        (&table::SENT_BYTES, &[][..], now_sent, sent_bytes),
        (&table::BROKER_MESSAGES, result, now_relayed, relayed),
    ] {
        let now = now.load(Relaxed);
        let before = std::mem::replace(before, now);
        count(inner, of, labels, now, before);
    }
    for (result, bytes) in [
        ("answer", &received_bytes.answer),
        ("handled", &received_bytes.handled),
        ("malformed", &received_bytes.malformed),
        ("rate_limited", &received_bytes.rate_limited),
        ("unhandled", &received_bytes.unhandled),
    ] {
        let more = bytes.swap(0, Relaxed);
        add(inner, &table::RECEIVED_BYTES, &[("result", result)], more);
    }
    let policy = [("policy", inner.policy)];
    let more = dropped_bytes.swap(0, Relaxed);
    add(inner, &table::DROPPED_BYTES, &policy, more);
    let more = unsent_bytes.swap(0, Relaxed);
    add(inner, &table::UNSENT_BYTES, &[], more);
    let events = &inner.events;
    for (reason, more) in named(&events.refusals) {
        add(inner, &table::REFUSALS, &[("reason", reason)], more);
    }
    for (outcome, more) in named(&events.joins) {
        add(inner, &table::ROOM_JOINS, &[("outcome", outcome)], more);
    }
    for (outcome, more) in named(&events.recoveries) {
        let labels = [("outcome", outcome)];
        add(inner, &table::ROOM_RECOVERIES, &labels, more);
    }
    for (outcome, more) in named(&events.leases) {
        let labels = [("outcome", outcome)];
        add(inner, &table::PRESENCE_LEASES, &labels, more);
    }
    for (by, code, more) in events.take_closed() {
        let labels = [("initiator", by), ("code", code)];
        add(inner, &table::SESSIONS_CLOSED, &labels, more);
    }
}

/// What is so now, or that nothing is so any more.
fn tell_gauges(inner: &Inner, now: Option<&Reading>) {
    set_stats(inner, now.map(|now| &now.stats));
    let number = |of: fn(&Reading) -> u64| now.map_or(0, of);
    let queued = number(|now| now.queued as u64);
    set(inner, &table::QUEUED_MESSAGES, &[], queued);
    set(inner, &table::ROOMS, &[], number(|now| now.rooms as u64));
    let nodes = number(|now| now.nodes as u64);
    set(inner, &table::BROKER_NODES, &[], nodes);
    for (of, time) in [
        (&table::DISPATCHER_OLDEST, now.and_then(|now| now.oldest)),
        (&table::BROKER_LOOPBACK, now.and_then(|now| now.loopback)),
    ] {
        let seconds = time.unwrap_or_default().as_secs_f64();
        inner.facade.gauge(of, &[]).set(seconds);
    }
    // The task that tells all this may be hung up with what it tells of: whoever looks sees how old it
    // is.
    let told = now.and_then(|_| SystemTime::UNIX_EPOCH.elapsed().ok());
    let told = told.unwrap_or_default().as_secs_f64();
    inner.facade.gauge(&table::METRICS_TOLD, &[]).set(told);
    let draining = now.filter(|now| now.draining);
    set(inner, &table::DRAINING, &[], draining.is_some().into());
    let left = draining.map_or(0, |now| now.stats.open);
    set(inner, &table::DRAIN_SESSIONS, &[], left);
    for (nth, backend) in BACKENDS.into_iter().enumerate() {
        let is = now.and_then(|now| now.links.get(nth));
        for state in STATES {
            let labels = [("backend", backend), ("state", state)];
            set(
                inner,
                &table::BACKEND_STATE,
                &labels,
                (is == Some(&state)).into(),
            );
        }
    }
}
