//! What is recorded where it happens.

use std::{
    fmt,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use metrics::Histogram;
use realtime_core::DisconnectInfo;

use super::{
    Call, Noted, Outcome, Patterns, Received, RouteNumber, Size, Stamp, Stamps, Timing,
    events::Events,
    export::Exported,
    facade::{Facade, label},
    names::Named,
    table,
};
use crate::{quiet::quietly, sync::Mutex};

/// What is measured of one gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<Inner>);

pub(super) struct Inner {
    pub(super) facade: Facade,
    /// What happens to messages for which there is no room.
    pub(super) policy: &'static str,
    routes: Box<[Route]>,
    unknown: Route,
    calls: [Calls; Call::COUNT],
    carried: Lazy,
    taken: Lazy,
    heartbeat: Lazy,
    pub(super) traffic: Traffic,
    pub(super) events: Events,
    pub(super) exported: Mutex<Exported>,
}

/// What goes through all sessions.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    pub(super) received_bytes: ReceivedBytes,
    pub(super) sent_bytes: AtomicU64,
    pub(super) dropped_bytes: AtomicU64,
    pub(super) unsent_bytes: AtomicU64,
    pub(super) relayed: AtomicU64,
}

/// Of messages of clients, by what has become of them.
#[derive(Debug, Default)]
pub(super) struct ReceivedBytes {
    pub(super) answer: AtomicU64,
    pub(super) handled: AtomicU64,
    pub(super) malformed: AtomicU64,
    pub(super) rate_limited: AtomicU64,
    pub(super) unhandled: AtomicU64,
}

struct Route {
    pattern: Arc<str>,
    outcomes: Outcomes,
}

/// How handlers of a route ended.
#[derive(Default)]
struct Outcomes {
    ok: Lazy,
    refused: Lazy,
    failed: Lazy,
}

/// How calls of a backend ended.
#[derive(Default)]
struct Calls {
    ok: Lazy,
    failed: Lazy,
}

/// A histogram that is asked for once, when something is first recorded in it.
#[derive(Default)]
struct Lazy(OnceLock<Histogram>);

impl Outcomes {
    const fn of(&self, outcome: Outcome) -> (&Lazy, &'static str) {
        match outcome {
            Outcome::Ok => (&self.ok, "ok"),
            Outcome::Refused => (&self.refused, "refused"),
            Outcome::Failed => (&self.failed, "failed"),
        }
    }
}

impl Calls {
    const fn of(&self, ok: bool) -> (&Lazy, &'static str) {
        match ok {
            true => (&self.ok, "ok"),
            false => (&self.failed, "failed"),
        }
    }
}

impl Lazy {
    /// A recorder is somebody else's: where it panics, this is missing in it, and nothing else.
    #[inline]
    fn record(&self, took: Duration, make: impl FnOnce() -> Histogram) {
        quietly(|| self.0.get_or_init(make).record(took.as_secs_f64()));
    }
}

impl Route {
    fn new(pattern: &str) -> Self {
        Self {
            pattern: pattern.into(),
            outcomes: Outcomes::default(),
        }
    }
}

impl Metrics {
    pub(crate) fn new(gateway: &str, policy: &'static str, patterns: Patterns) -> Self {
        let routes = patterns.0.iter().map(|pattern| Route::new(pattern));
        Self(Arc::new(Inner {
            facade: Facade::new(gateway),
            policy,
            routes: routes.collect(),
            unknown: Route::new("unknown"),
            calls: std::array::from_fn(|_| Calls::default()),
            carried: Lazy::default(),
            taken: Lazy::default(),
            heartbeat: Lazy::default(),
            traffic: Traffic::default(),
            events: Events::new(),
            exported: Mutex::new(Exported::new(Named::new(gateway))),
        }))
    }

    pub(super) fn inner(&self) -> &Inner {
        &self.0
    }

    /// A message comes to its handler, by this pattern.
    #[inline]
    pub(crate) fn begin(
        &self,
        size: Size,
        pattern: impl FnOnce() -> Option<RouteNumber>,
    ) -> Timing {
        Timing {
            begun: Some((Instant::now(), pattern())),
            size,
        }
    }

    /// It was handled, refused, or that has failed.
    pub(crate) fn handled(&self, timing: &Timing, outcome: impl FnOnce() -> Outcome) {
        let Some((begun, number)) = timing.begun else {
            return;
        };
        let inner = &*self.0;
        let route = number.and_then(|RouteNumber(number)| inner.routes.get(number as usize));
        let Route { pattern, outcomes } = route.unwrap_or(&inner.unknown);
        let (histogram, outcome) = outcomes.of(outcome());
        histogram.record(begun.elapsed(), || {
            let labels = [
                label("route", Arc::clone(pattern)),
                label("outcome", outcome),
            ];
            inner.facade.histogram(&table::HANDLER_DURATION, labels)
        });
    }

    /// This has become of what a client has sent.
    #[inline]
    pub(crate) fn received(&self, became: Received, size: Size) {
        let received = &self.0.traffic.received_bytes;
        let bytes = match became {
            Received::Answer => &received.answer,
            Received::Handled => &received.handled,
            Received::Malformed => &received.malformed,
            Received::RateLimited => &received.rate_limited,
            Received::Unhandled => &received.unhandled,
        };
        bytes.fetch_add(size.bytes, Relaxed);
    }

    /// Clients don't get messages of this size.
    pub(crate) fn dropped(&self, size: Size) {
        let dropped = &self.0.traffic.dropped_bytes;
        dropped.fetch_add(size.bytes, Relaxed);
    }

    /// Messages of this size still waited when their session's connection ended.
    pub(crate) fn unsent(&self, size: Size) {
        let unsent = &self.0.traffic.unsent_bytes;
        unsent.fetch_add(size.bytes, Relaxed);
    }

    /// An outbox had written this before, and that now.
    #[inline]
    pub(crate) fn moved(&self, before: Noted, after: Noted) {
        if after.written != before.written {
            let written = after.written.saturating_sub(before.written);
            self.0.traffic.sent_bytes.fetch_add(written, Relaxed);
        }
    }

    /// A dispatcher begins with what waited for it since then.
    pub(crate) fn taken(&self, stamps: &Stamps) {
        if let Some(oldest) = stamps.0.first() {
            let make = || self.0.facade.histogram(&table::DISPATCHER_LAG, []);
            self.0.taken.record(oldest.elapsed(), make);
        }
    }

    /// Its sessions have got all of it.
    pub(crate) fn carried(&self, stamps: &Stamps) {
        let now = Instant::now();
        for at in &stamps.0 {
            let make = || self.0.facade.histogram(&table::BROADCAST_DURATION, []);
            self.0
                .carried
                .record(now.saturating_duration_since(*at), make);
        }
    }

    /// The answer to a ping has taken so long, where it is known.
    pub(crate) fn round_trip(&self, took: Option<Duration>) {
        if let Some(took) = took {
            let make = || self.0.facade.histogram(&table::HEARTBEAT_DURATION, []);
            self.0.heartbeat.record(took, make);
        }
    }

    /// A message of another node has come, and can be used.
    pub(crate) fn relayed(&self) {
        self.0.traffic.relayed.fetch_add(1, Relaxed);
    }

    /// Measures a call of a backend.
    pub(crate) async fn call<T, E>(
        &self,
        of: Call,
        call: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        let begun = Instant::now();
        let result = call.await;
        let (histogram, outcome) = self.0.calls[of as usize].of(result.is_ok());
        histogram.record(begun.elapsed(), || {
            let (backend, call) = of.names();
            let labels = [("backend", backend), ("call", call), ("outcome", outcome)];
            let labels = labels.map(|(name, value)| label(name, value));
            self.0
                .facade
                .histogram(&table::BACKEND_CALL_DURATION, labels)
        });
        result
    }

    /// It was found out who somebody is, or why they are refused.
    pub(crate) fn authenticated(&self, since: Stamp, refused: Option<&'static str>) {
        let labels = [label("outcome", refused.unwrap_or("ok"))];
        let facade = &self.0.facade;
        quietly(|| {
            let histogram = facade.histogram(&table::AUTHENTICATION_DURATION, labels);
            histogram.record(since.0.elapsed().as_secs_f64());
        });
    }

    /// A request, or a connection behind its 101, was refused.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.0.events.refusals.add(reason, 1);
    }

    /// A session has ended.
    pub(crate) fn closed(&self, info: &DisconnectInfo) {
        self.0.events.closed(info);
    }

    /// A session wanted to come into a room.
    pub(crate) fn joined(&self, outcome: &'static str) {
        self.0.events.joins.add(outcome, 1);
    }

    /// A session wanted what it has missed.
    pub(crate) fn recovered(&self, outcome: &'static str) {
        self.0.events.recoveries.add(outcome, 1);
    }

    /// This has become of so many leases.
    pub(crate) fn leases(&self, outcome: &'static str, count: usize) {
        self.0.events.leases.add(outcome, count as u64);
    }
}

impl Default for Metrics {
    /// Those of a gateway without a name.
    fn default() -> Self {
        Self::new("", "", Patterns::default())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_round_trip_that_is_known_is_recorded() {
        let metrics = Metrics::default();
        let is_recorded = || metrics.0.heartbeat.0.get().is_some();
        metrics.round_trip(None);
        assert!(!is_recorded());
        metrics.round_trip(Some(Duration::from_millis(1)));
        assert!(is_recorded());
    }
}
