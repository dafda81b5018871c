//! Whether what a node publishes for itself comes back: if not, its link is down.
//!
//! What comes back stands in line with everything else, so a backlog delays it: while that is
//! worked off, nothing is missing yet.

use std::{
    sync::atomic::{
        AtomicBool, AtomicU64,
        Ordering::{AcqRel, Acquire, Relaxed, Release},
    },
    time::Duration,
};

use super::BEACON_INTERVAL;

/// How many may be missing as the next is due.
const MISSING: u64 = 2;

/// Out and in again on one topic, between the one who publishes and the one who reads.
#[derive(Debug)]
pub(super) struct Loopback {
    out: AtomicU64,
    back: AtomicU64,
    /// The reader waits for the gateway to receive a message, or did since the last look.
    stalled: AtomicBool,
    was_stalled: AtomicBool,
    /// Something was delivered since the last look.
    delivered: AtomicBool,
    /// How many looks in a row found deliveries, and nothing of this node among them.
    behind: AtomicU64,
    /// How many may: nothing stands in a queue for longer.
    most_behind: AtomicU64,
}

impl Default for Loopback {
    fn default() -> Self {
        let loopback = Self {
            out: AtomicU64::new(0),
            back: AtomicU64::new(0),
            stalled: AtomicBool::new(false),
            was_stalled: AtomicBool::new(false),
            delivered: AtomicBool::new(false),
            behind: AtomicU64::new(0),
            most_behind: AtomicU64::new(0),
        };
        loopback.set_longest_wait(Duration::from_secs(30));
        loopback
    }
}

impl Loopback {
    /// A message waits in a queue for at most so long.
    pub(super) fn set_longest_wait(&self, wait: Duration) {
        let looks = wait.as_secs().div_ceil(BEACON_INTERVAL.as_secs());
        self.most_behind.store(looks, Relaxed);
    }

    /// The link is new: nothing is on its way.
    pub(super) fn begin(&self) {
        self.behind.store(0, Relaxed);
        self.stalled.store(false, Relaxed);
        self.was_stalled.store(false, Relaxed);
        self.delivered.store(false, Relaxed);
        self.count_anew();
    }

    /// One is about to be published.
    pub(super) fn sent(&self) {
        self.out.fetch_add(1, Relaxed);
    }

    /// One has come back, and with it all before it.
    pub(super) fn returned(&self) {
        self.behind.store(0, Relaxed);
        self.count_anew();
    }

    pub(super) fn delivered(&self) {
        self.delivered.store(true, Release);
    }

    pub(super) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Release);
        self.was_stalled.store(true, Release);
    }

    /// Whether so many are missing that the link is down. Asked as the next is due.
    ///
    /// A time in which the gateway received nothing doesn't count, and neither does one in which
    /// messages were delivered, which this one may stand behind; but that no longer than messages
    /// wait in a queue. Else one that is lost would hide behind what others say.
    pub(super) fn is_broken(&self) -> bool {
        let delivered = self.delivered.swap(false, AcqRel);
        let stalled = self.was_stalled.swap(false, AcqRel) || self.stalled.load(Acquire);
        let most = self.most_behind.load(Relaxed);
        let in_line = || delivered && self.behind.fetch_add(1, Relaxed) < most;
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

    /// Whether so many, each after some deliveries or none, find the link down.
    fn down_after(loopback: &Loopback, count: usize, before: impl Fn(&Loopback)) -> bool {
        (0..count).any(|_| {
            before(loopback);
            let down = loopback.is_broken();
            loopback.sent();
            down
        })
    }

    #[test]
    fn two_missing_mean_down() {
        let loopback = Loopback::default();
        assert!(!down_after(&loopback, 100, Loopback::returned));
        loopback.returned();
        assert!(!down_after(&loopback, 2, |_| {}));
        assert!(loopback.is_broken());
        loopback.returned();
        assert!(!loopback.is_broken());
    }

    #[test]
    fn they_are_not_missing_while_it_is_we_who_do_not_read() {
        let loopback = Loopback::default();
        loopback.set_stalled(true);
        assert!(!down_after(&loopback, 100, |_| {}));
        loopback.set_stalled(false);
        assert!(!down_after(&loopback, 100, |loopback| {
            loopback.set_stalled(true);
            loopback.set_stalled(false);
        }));
        assert!(down_after(&loopback, 3, |_| {}));
    }

    #[test]
    fn a_backlog_is_no_reason_to_give_a_link_up() {
        let loopback = Loopback::default();
        assert!(!down_after(&loopback, 10, Loopback::delivered));
        loopback.returned();
        assert!(!down_after(&loopback, 10, Loopback::delivered));
        assert!(down_after(&loopback, 3, |_| {}), "nothing comes any more");
    }

    #[test]
    fn what_others_say_does_not_hide_for_ever_that_nothing_of_this_node_comes() {
        assert!(down_after(&Loopback::default(), 13, Loopback::delivered));
    }

    #[test]
    fn a_new_link_begins_with_nothing_missing() {
        let loopback = Loopback::default();
        assert!(down_after(&loopback, 3, |_| {}));
        loopback.begin();
        assert!(!down_after(&loopback, 2, |_| {}));
    }
}
