//! What a server of ours does while others wait for their turn: it accepts nobody, for a moment.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use tokio::time::timeout;

use super::{Upgrades, longest};

/// How many may wait at the least where no more are accepted while somebody waits: then only those do
/// that were accepted just before.
const LEAST_ACCEPTED: usize = 1_024;
/// For how long nobody is accepted since others wait, or until the next of them has its turn. Not
/// until all have: those that are connected can come again at once, and would hold up everybody
/// else for as long as they like.
const CALM: Duration = Duration::from_millis(100);

impl Upgrades {
    /// From now on nobody is accepted without having waited for [`calm`](Self::calm).
    pub(crate) fn are_accepted_in_calm(&self) {
        let most = longest(self.per_second, LEAST_ACCEPTED);
        self.most_waiting.fetch_max(most, SeqCst);
    }

    /// Waits until those that wait now have had their turn, though for no longer than one turn, or a
    /// tenth of a second.
    ///
    /// # Cancel safety
    /// Safe.
    pub(crate) async fn calm(&self) {
        if self.waiting.load(SeqCst) > 0 {
            let turn = Duration::from_secs(1) / self.per_second.max(1);
            let _not_all_of_them = timeout(turn.max(CALM), self.first.acquire()).await;
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn those_that_wait_hold_up_others_for_a_moment_only() {
        let upgrades = Upgrades::new(1);
        assert!(upgrades.turn().await);
        let mut waiting: Vec<_> = (0..10).map(|_| Box::pin(upgrades.turn())).collect();
        for turn in &mut waiting {
            assert!(turn.now_or_never().is_none());
        }
        assert!(!upgrades.turn().await, "more than have their turn in 10 s");
        let begun = tokio::time::Instant::now();
        upgrades.calm().await;
        assert!(begun.elapsed() <= Duration::from_millis(1_010));
        drop(waiting);
        upgrades.calm().await;
        assert_eq!((longest(500, 64), longest(500, 1_024)), (500, 1_024));
    }
}
