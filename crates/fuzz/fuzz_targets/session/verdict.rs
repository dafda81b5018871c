//! What must be true of a run when it has ended.

use realtime::{
    Initiator,
    report::{ShutdownReport, Stats},
};

use crate::{Run, books::Books, script::Policy};

impl Run<'_> {
    pub(super) fn verdict(&self, report: ShutdownReport) {
        assert_eq!(report.tasks_left, 0);
        let stats = self.gateway.stats();
        assert_eq!(
            (stats.open, stats.queued_bytes, stats.assembling_bytes),
            (0, 0, 0)
        );
        assert_eq!(stats.opened, stats.closed + stats.aborted, "{stats:?}");
        hooks_ran(&self.books, Some(&stats));
        self.check_order();
        if stats.aborted > 0 || self.has_left || self.was_deaf {
            return;
        }
        self.check_close(&stats);
    }

    /// Answers come once and in the order of the requests, and messages in that of their sending.
    fn check_order(&self) {
        let saw = &self.peer.saw;
        if !self.is_free {
            let mut asked = self.ids.iter();
            for id in &saw.ids {
                assert!(
                    asked.any(|other| other == id),
                    "{id} comes twice or too late"
                );
            }
        }
        for (route, numbers) in &saw.numbers {
            let mut sorted = numbers.clone();
            sorted.sort_unstable();
            sorted.dedup();
            // Several tasks may wait for room at once, and then have no order among them.
            let as_sent = if route == "w" {
                sorted.len() == numbers.len()
            } else {
                sorted == *numbers
            };
            assert!(as_sent, "{route}: {numbers:?}");
        }
    }

    /// A peer that reads to the end sees the close frame, and what it wasn't sent it was told of.
    fn check_close(&self, stats: &Stats) {
        let (saw, books) = (&self.peer.saw, self.books.open());
        let life = books.subject.and_then(|id| books.lives.get(&id));
        let Some(info) = life.and_then(|life| life.ends.first()) else {
            // It was refused.
            assert!(saw.close.is_some() || stats.write_timeouts + stats.lost > 0);
            return;
        };
        if stats.write_timeouts + stats.lost > 0 {
            return;
        }
        let close = saw
            .close
            .as_ref()
            .unwrap_or_else(|| panic!("no close frame: {info}"));
        let code = close.as_ref().map(|close| close.code);
        assert_eq!(code, info.code.map(|code| code.as_u16()), "{info}");
        // To a client that closes, or is too slow, nothing more is written.
        if matches!(info.initiator, Initiator::Client | Initiator::Backpressure) {
            return;
        }
        let came: usize = saw.numbers.values().map(Vec::len).sum();
        let missing = books
            .sent
            .len()
            .checked_sub(came)
            .expect("nothing comes unsent");
        assert_eq!(missing as u64, saw.missed, "missing, and told; {info}");
        assert!(missing == 0 || self.setup.policy != Policy::Close);
    }
}

/// Each session is connected once, and disconnected once if it was connected.
pub(super) fn hooks_ran(books: &Books, stats: Option<&Stats>) {
    let books = books.open();
    let mut without_end = 0;
    for life in books.lives.values() {
        assert_eq!(life.connects, 1);
        assert!(life.ends.len() <= usize::from(life.connected), "{life:?}");
        without_end += u64::from(life.connected && life.ends.is_empty());
    }
    let aborted = stats.map_or(0, |stats| stats.aborted);
    assert!(without_end <= aborted, "a session has no end");
}
