//! What a link's consumer tells its publisher: which beacons came back, and what others ask for.
//!
//! A node's own beacons come back to it, or the link is down.

use std::sync::atomic::{
    AtomicBool, AtomicU64,
    Ordering::{AcqRel, Acquire, Relaxed, Release},
};

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
#[derive(Debug, Default)]
pub(crate) struct Beacons {
    out: AtomicU64,
    back: AtomicU64,
    /// The consumer waits for the gateway to take a message: it is not the link that is slow.
    stalled: AtomicBool,
    /// Something was delivered: what is missing may stand behind more of it.
    delivered: AtomicBool,
}

impl Beacons {
    /// A beacon is about to be published.
    pub(crate) fn sent(&self) {
        self.out.fetch_add(1, Relaxed);
    }

    /// One has come back, and with it all before it.
    pub(crate) fn returned(&self) {
        self.back.store(self.out.load(Relaxed), Release);
    }

    pub(crate) fn set_stalled(&self, stalled: bool) {
        self.stalled.store(stalled, Release);
    }

    pub(crate) fn delivered(&self) {
        self.delivered.store(true, Release);
    }

    /// Whether so many are missing that the link is down. Asked before each one: a time in which
    /// anything was delivered doesn't count.
    pub(crate) fn are_missing(&self) -> bool {
        if self.delivered.swap(false, AcqRel) || self.stalled.load(Acquire) {
            self.returned();
        }
        self.out.load(Relaxed) - self.back.load(Acquire) >= MISSING
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_missing_beacons_mean_down_unless_it_is_we_who_do_not_read() {
        let beacons = Beacons::default();
        beacons.sent();
        assert!(!beacons.are_missing());
        beacons.sent();
        assert!(beacons.are_missing());
        beacons.set_stalled(true);
        assert!(!beacons.are_missing());
        beacons.set_stalled(false);
        assert!(!beacons.are_missing());
        beacons.sent();
        beacons.sent();
        beacons.returned();
        assert!(!beacons.are_missing());
    }

    #[test]
    fn a_backlog_is_no_reason_to_give_a_link_up() {
        let beacons = Beacons::default();
        for _ in 0..10 {
            beacons.sent();
            beacons.delivered();
            assert!(!beacons.are_missing());
        }
        beacons.sent();
        assert!(!beacons.are_missing());
        beacons.sent();
        assert!(beacons.are_missing(), "nothing comes any more");
    }
}
