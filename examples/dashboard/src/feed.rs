//! The measurements on their way: one after the other to those who look, and the last half minute
//! for those who come.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use realtime::{Gateway, Json, State, error::DeliverErrorKind};
use serde::Serialize;
use tokio::time::MissedTickBehavior;

use crate::machines::{MACHINES, loads, tenths};

/// The room of those who look.
pub(crate) const ROOM: &str = "fleet";
/// How far back a page can look.
const WINDOW: Duration = Duration::from_secs(30);
/// How far apart the points are that a page gets when it comes: it begins with a coarse picture,
/// which a slow link carries soon.
const STEP: Duration = Duration::from_millis(200);

/// One moment of the whole fleet.
#[derive(Clone, Copy, Serialize)]
pub(crate) struct Moment {
    /// From 0: who knows the last one sees what is missing.
    n: u64,
    /// When that was, in milliseconds since the start: who knows the clock sees how old it is.
    at: u64,
    low: f32,
    mean: f32,
    high: f32,
}

/// A moment, and the load of each machine.
#[derive(Serialize)]
struct Point {
    #[serde(flatten)]
    moment: Moment,
    loads: [f32; MACHINES],
}

/// What is measured, and what was.
#[derive(Clone)]
pub(crate) struct Feed {
    every: Duration,
    begun: Instant,
    /// The window in steps, the oldest first.
    recent: Arc<Mutex<VecDeque<Moment>>>,
}

impl Feed {
    pub(crate) fn new(every: Duration) -> Self {
        Self {
            every,
            begun: Instant::now(),
            recent: Arc::default(),
        }
    }

    /// Measures and sends until the gateway is closed.
    pub(crate) async fn run(self, gateway: Gateway) {
        let mut beat = tokio::time::interval(self.every);
        // What wasn't measured in its time isn't measured later.
        beat.set_missed_tick_behavior(MissedTickBehavior::Skip);
        for n in 0.. {
            beat.tick().await;
            let point = self.measure(n);
            self.keep(point.moment);
            // Nobody waits for slow readers: their queues drop what is oldest.
            match gateway.room(ROOM).send("point", Json(&point)).await {
                Ok(_) => {}
                Err(error) if error.kind() == DeliverErrorKind::Closed => return,
                Err(error) => tracing::warn!(%error, "a point was not sent"),
            }
        }
    }

    fn measure(&self, n: u64) -> Point {
        let since = self.begun.elapsed();
        let loads = loads(since.as_secs_f64());
        let sum: f32 = loads.iter().sum();
        let moment = Moment {
            n,
            at: since.as_millis() as u64,
            low: loads.iter().copied().fold(f32::MAX, f32::min),
            mean: tenths(f64::from(sum) / MACHINES as f64),
            high: loads.iter().copied().fold(0.0, f32::max),
        };
        Point { moment, loads }
    }

    fn keep(&self, moment: Moment) {
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        let is_due = recent
            .back()
            .is_none_or(|last| moment.at >= last.at + STEP.as_millis() as u64);
        if is_due {
            recent.push_back(moment);
        }
        let oldest = moment.at.saturating_sub(WINDOW.as_millis() as u64);
        while recent.front().is_some_and(|first| first.at < oldest) {
            recent.pop_front();
        }
    }
}

/// The last half minute, for a page that has just come.
pub(crate) async fn recent(State(feed): State<Feed>) -> Json<Vec<Moment>> {
    let recent = feed.recent.lock().unwrap_or_else(PoisonError::into_inner);
    Json(recent.iter().copied().collect())
}
