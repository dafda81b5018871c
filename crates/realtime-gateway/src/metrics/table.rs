//! All metrics: their names, kinds, units and labels, and what they mean.

/// What sort of metric it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricKind {
    /// It only grows, from 0 at the start of the gateway.
    Counter,
    /// What is so now.
    Gauge,
    /// How long things took.
    Histogram,
}

/// What it is counted in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum MetricUnit {
    /// Bytes.
    Bytes,
    /// A plain number.
    Count,
    /// Seconds.
    Seconds,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metric {
    /// Its name, by the conventions of Prometheus.
    pub name: &'static str,
    /// What sort of metric it is.
    pub kind: MetricKind,
    /// What it is counted in.
    pub unit: MetricUnit,
    /// Its labels, beside `gateway`, which all have: [`Config::name`](crate::Config::name).
    pub labels: &'static [&'static str],
    /// What it means.
    pub help: &'static str,
}

macro_rules! table {
    ($($id:ident: $kind:ident $unit:ident $name:literal [$($label:literal),*] $help:literal;)*) => {
        $(pub(super) const $id: Metric = Metric {
            name: $name,
            kind: MetricKind::$kind,
            unit: MetricUnit::$unit,
            labels: &[$($label),*],
            help: $help,
        };)*

        /// All metrics, in the order of docs/metrics.md.
        ///
        /// ```
        /// use realtime::metrics::{METRICS, MetricKind};
        ///
        /// let counters = METRICS.iter().filter(|metric| metric.kind == MetricKind::Counter);
        /// assert!(counters.into_iter().all(|metric| metric.name.ends_with("_total")));
        /// ```
        pub const METRICS: &[Metric] = &[$($id),*];
    };
}

table! {
    SESSIONS: Gauge Count "realtime_sessions" []
        "Sessions that are open.";
    SESSIONS_OPENED: Counter Count "realtime_sessions_opened_total" []
        "Connections that became a session.";
    SESSIONS_CLOSED: Counter Count "realtime_sessions_closed_total" ["initiator", "code"]
        "Sessions that ended, by who ended them and the close code.";
    SESSIONS_FAILED: Counter Count "realtime_sessions_failed_total" ["cause"]
        "Those of them that ended by a failure or a limit.";
    SESSIONS_ENDED: Counter Count "realtime_sessions_ended_total" ["outcome"]
        "Sessions whose last step is done, or that the shutdown deadline cut off.";
    SESSIONS_OUTLIVED: Gauge Count "realtime_sessions_outlived" []
        "Sessions without a connection of which a handler or a hook still runs.";
    AUTHENTICATING: Gauge Count "realtime_connections_authenticating" []
        "Connections that are authenticating, or have not shown yet who they are.";
    CONNECTIONS_FAILED: Counter Count "realtime_connections_failed_total" ["cause"]
        "Connections that failed before there was a session.";
    REFUSALS: Counter Count "realtime_refusals_total" ["reason"]
        "Requests and upgraded connections that were refused, by the reason.";
    REFUSALS_BY_CLOSE: Counter Count "realtime_refusals_by_close_total" []
        "Refused requests that were answered with 101 and a close frame.";
    AUTHENTICATION_DURATION: Histogram Seconds "realtime_authentication_duration_seconds" ["outcome"]
        "How long it took to find out who somebody is, by the outcome.";
    AUTHENTICATIONS_RENEWED: Counter Count "realtime_authentications_renewed_total" []
        "Fresh tokens that clients of open sessions have shown and that were right.";
    AUTHENTICATIONS_UNCHECKED: Counter Count "realtime_authentications_unchecked_total" []
        "Identities that were admitted though the store of revocations was away.";
    LIMITS_HIT: Counter Count "realtime_limits_hit_total" ["limit"]
        "What was refused because a limit was reached.";
    LIMITS_KEPT: Gauge Count "realtime_limits_kept" []
        "Identities, tenants and addresses of which a limit keeps something.";

    MESSAGES_RECEIVED: Counter Count "realtime_messages_received_total" ["result"]
        "Messages of clients, by what became of them.";
    MESSAGES_FAILED: Counter Count "realtime_messages_failed_total" []
        "Messages whose handling failed, whoever is to blame.";
    RECEIVED_BYTES: Counter Bytes "realtime_received_bytes_total" ["result"]
        "Bytes of messages of clients, by what became of them.";
    HANDLER_DURATION: Histogram Seconds "realtime_handler_duration_seconds" ["route", "outcome"]
        "How long messages took from their turn to the end of their handler, layers included.";
    MESSAGES_SENT: Counter Count "realtime_messages_sent_total" []
        "Messages that were written or queued for a session.";
    SENT_BYTES: Counter Bytes "realtime_sent_bytes_total" []
        "Bytes that the sockets of sessions have accepted.";
    MESSAGES_COMPRESSED: Counter Count "realtime_messages_compressed_total" ["outcome"]
        "Messages that were to be compressed, each once however many sessions it was for.";
    COMPRESSED_BYTES: Counter Bytes "realtime_compressed_bytes_total" ["side"]
        "Bytes of those that have become smaller, before and after it.";
    MESSAGES_DROPPED: Counter Count "realtime_messages_dropped_total" ["policy"]
        "Messages for clients that were dropped, by the backpressure policy.";
    DROPPED_BYTES: Counter Bytes "realtime_dropped_bytes_total" ["policy"]
        "Bytes of messages for clients that were dropped, by the backpressure policy.";
    MESSAGES_UNSENT: Counter Count "realtime_messages_unsent_total" []
        "Messages among those that were queued that still waited when their session's connection ended.";
    UNSENT_BYTES: Counter Bytes "realtime_unsent_bytes_total" []
        "Bytes of these.";
    QUEUED_MESSAGES: Gauge Count "realtime_queued_messages" []
        "Messages that wait in the queues of all sessions.";
    QUEUED_BYTES: Gauge Bytes "realtime_queued_bytes" []
        "Memory of what waits in the queues of all sessions.";
    HELD_BYTES: Gauge Bytes "realtime_held_bytes" []
        "Memory of messages that are unfinished or wait for their handlers.";
    BROADCAST_DURATION: Histogram Seconds "realtime_broadcast_duration_seconds" []
        "How long broadcasts and messages to rooms took until the last session of a shard had them in its socket, or in its queue where that was full.";
    DISPATCHER_LAG: Histogram Seconds "realtime_dispatcher_lag_seconds" []
        "How long the oldest message waited when a dispatcher began with a round.";
    DISPATCHER_OLDEST: Gauge Seconds "realtime_dispatcher_oldest_seconds" []
        "How long the oldest message has waited that some session of its shard hasn't got yet; 0 without one.";
    HEARTBEAT_DURATION: Histogram Seconds "realtime_heartbeat_duration_seconds" []
        "How long after a ping its pong came.";

    ANSWERS_LOST: Counter Count "realtime_answers_lost_total" ["cause"]
        "Answers of clients to requests of the server that nobody has received.";
    CONTROLS_REFUSED: Counter Count "realtime_controls_refused_total" []
        "Controls of other nodes that were not done.";
    RECEIPTS_UNMATCHED: Counter Count "realtime_receipts_unmatched_total" []
        "Receipts of other nodes that nobody waits for.";

    ROOMS: Gauge Count "realtime_rooms" []
        "Rooms that have members on this node.";
    ROOM_JOINS: Counter Count "realtime_room_joins_total" ["outcome"]
        "Wishes to come into a room, by the outcome.";
    ROOM_RECOVERIES: Counter Count "realtime_room_recoveries_total" ["outcome"]
        "Wishes for what was missed in a room, by the outcome.";

    BACKEND_STATE: Gauge Count "realtime_backend_state" ["backend", "state"]
        "1 for the state in which the link to a backend is, 0 for the others.";
    BACKEND_OUTAGES: Counter Count "realtime_backend_outages_total" ["backend"]
        "How often the link to a backend went down.";
    BACKEND_CALL_DURATION: Histogram Seconds "realtime_backend_call_duration_seconds" ["backend", "call", "outcome"]
        "How long calls of backends took; a publish until the broker has confirmed it.";
    BROKER_NODES: Gauge Count "realtime_broker_nodes" []
        "Other nodes that are there.";
    BROKER_MESSAGES: Counter Count "realtime_broker_messages_total" ["result"]
        "Messages of other nodes, by what became of them.";
    BROKER_LOOPBACK: Gauge Seconds "realtime_broker_loopback_seconds" []
        "How long what this node published for itself took to come back, the last time; 0 while that isn't known.";
    PRESENCE_LEASES: Counter Count "realtime_presence_leases_total" ["outcome"]
        "Leases that were due, by what became of them.";
    PRESENCE_UNSETTLED: Gauge Count "realtime_presence_unsettled" []
        "Open sessions that presence may not know.";
    PRESENCE_DEPARTURES: Gauge Count "realtime_presence_departures" []
        "Sessions that have ended and whose removal from presence is tried again.";
    PRESENCE_DEPARTURES_GIVEN_UP: Counter Count "realtime_presence_departures_given_up_total" []
        "Sessions that have ended and that presence may show until their leases end.";

    BACKGROUND_RESTARTS: Counter Count "realtime_background_restarts_total" []
        "Background tasks that died and were started again.";
    HOOKS_ABANDONED: Counter Count "realtime_hooks_abandoned_total" []
        "Hooks that took too long and were dropped.";
    ERRORS_UNREPORTED: Counter Count "realtime_errors_unreported_total" []
        "Errors that were not passed to the error hooks, because too many were under way.";
    METRICS_TOLD: Gauge Seconds "realtime_metrics_told_timestamp_seconds" []
        "When counters and gauges were told last, in seconds since 1970; 0 once the gateway has ended.";
    DRAINING: Gauge Count "realtime_draining" []
        "1 once the gateway accepts no more connections.";
    DRAIN_SESSIONS: Gauge Count "realtime_drain_sessions" []
        "Sessions that have yet to be closed by the shutdown.";
}

/// For what happens inside a process.
const INSIDE: &[f64] = &[
    0.000_025, 0.000_1, 0.000_25, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0,
    2.5, 5.0, 10.0,
];
/// For what goes over a network.
const OUTSIDE: &[f64] = &[
    0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0,
];

/// The upper bounds of the buckets that go with each histogram, in seconds, for exporters that want
/// to be told.
///
/// ```
/// let buckets: Vec<_> = realtime::metrics::buckets().collect();
/// let handlers = buckets.iter().find(|(name, _)| *name == "realtime_handler_duration_seconds");
/// assert!(handlers.is_some_and(|(_, bounds)| bounds.is_sorted()));
/// ```
pub fn buckets() -> impl Iterator<Item = (&'static str, &'static [f64])> {
    let histograms = METRICS.iter().filter(|of| of.kind == MetricKind::Histogram);
    histograms.map(|of| {
        let inside = [
            HANDLER_DURATION,
            BROADCAST_DURATION,
            DISPATCHER_LAG,
            BACKEND_CALL_DURATION,
        ];
        let is_inside = inside.iter().any(|inside| inside.name == of.name);
        (of.name, if is_inside { INSIDE } else { OUTSIDE })
    })
}
