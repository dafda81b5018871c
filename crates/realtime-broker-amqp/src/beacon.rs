//! What a link's consumer passes to its publisher: which beacons came back, and what others ask
//! for.
//!
//! A node's own beacons come back to it, or the link is down. They stand in line with everything
//! else, so a backlog delays them: while it is worked off, nothing is missing yet.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

use realtime_core::broker::stream::BEACON_INTERVAL;
use tokio::sync::Notify;

/// How many beacons may be missing as the next is due.
const MISSING: u64 = 2;

/// What other nodes ask for.
#[derive(Debug, Default)]
pub(crate) struct Asked {
    /// Is another alive under this id?
    pub(crate) answer: Notify,
    /// Which numbers has this node reached?
    pub(crate) beacon: Notify,
}

/// Beacons out and in again, between a link's publisher and its consumer.
#[derive(Debug)]
pub(crate) struct Beacons {
    out: AtomicU64,
    back: AtomicU64,
    /// The consumer waits for the gateway to receive a message, or did since the last look.
    stalled: AtomicBool,
    was_stalled: AtomicBool,
    /// Something was delivered since the last look.
    delivered: AtomicBool,
    /// How many looks in a row found deliveries, and no beacon among them.
    behind: AtomicU64,
    /// How many may: nothing stands in a queue for longer.
    most_behind: u64,
}

impl Beacons {
    /// For a queue in which a message waits for at most so long.
    pub(crate) fn new(queue_ttl: Duration) -> Self {
        Self {
            out: AtomicU64::new(0),
            back: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            was_stalled: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
            behind: AtomicU64::new(0),
            most_behind: queue_ttl.as_secs().div_ceil(BEACON_INTERVAL.as_secs()),
        }
    }

    /// A beacon is about to be published.
    pub(crate) fn sent(&self) {
        self.out.fetch_add(1, Relaxed);
    }

    /// One has come back, and with it all before it.
    pub(crate) fn returned(&self) {
        self.behind.store(0, Relaxed);
        self.count_anew();
    }

    pub(crate) fn delivered(&self) {
        self.delivered.store(true, Release);
    }

    pub(crate) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Release);
        self.was_stalled.store(true, Release);
    }

    /// Whether so many are missing that the link is down. Asked as the next is due.
    ///
    /// A time in which the gateway received nothing doesn't count, and neither does one in which
    /// messages were delivered, which the beacon may stand behind; but that no longer than
    /// messages wait in a queue. Else a beacon that is lost would hide behind what others say.
    pub(crate) fn are_missing(&self) -> bool {
        let delivered = self.delivered.swap(false, AcqRel);
        let stalled = self.was_stalled.swap(false, AcqRel) || self.stalled.load(Acquire);
        let in_line = || delivered && self.behind.fetch_add(1, Relaxed) < self.most_behind;
        if stalled || in_line() {
            self.count_anew();
        }
        self.out.load(Relaxed) - self.back.load(Acquire) >= MISSING
    }

    fn count_anew(&self) {
        self.back.store(self.out.load(Relaxed), Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn beacons() -> Beacons {
        Beacons::new(Duration::from_secs(30))
    }

    /// Whether so many beacons, each after some deliveries or none, find the link down.
    fn down_after(beacons: &Beacons, count: usize, before: impl Fn(&Beacons)) -> bool {
        (0..count).any(|_| {
            before(beacons);
            let down = beacons.are_missing();
            beacons.sent();
            down
        })
    }

    #[test]
    fn two_missing_beacons_mean_down() {
        let beacons = beacons();
        assert!(!down_after(&beacons, 100, Beacons::returned));
        beacons.returned();
        assert!(!down_after(&beacons, 2, |_| {}));
        assert!(beacons.are_missing());
        beacons.returned();
        assert!(!beacons.are_missing());
    }

    #[test]
    fn they_are_not_missing_while_it_is_we_who_do_not_read() {
        let beacons = beacons();
        beacons.set_stalled(true);
        assert!(!down_after(&beacons, 100, |_| {}));
        beacons.set_stalled(false);
        assert!(!down_after(&beacons, 100, |beacons| {
            beacons.set_stalled(true);
            beacons.set_stalled(false);
        }));
        assert!(down_after(&beacons, 3, |_| {}));
    }

    #[test]
    fn a_backlog_is_no_reason_to_give_a_link_up() {
        let beacons = beacons();
        assert!(!down_after(&beacons, 10, Beacons::delivered));
        beacons.returned();
        assert!(!down_after(&beacons, 10, Beacons::delivered));
        assert!(down_after(&beacons, 3, |_| {}), "nothing comes any more");
    }

    #[test]
    fn what_others_say_does_not_hide_for_ever_that_nothing_of_this_node_comes() {
        assert!(down_after(&beacons(), 13, Beacons::delivered));
    }
}
