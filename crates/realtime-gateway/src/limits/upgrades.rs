//! How many upgrades a second there may be, and the line of those that wait for their turn.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{sleep, timeout},
};

use super::{Bucket, Moment};
use crate::config::Rate;

/// How many may wait where fewer than that are let in in a second.
const LEAST_WAITING: usize = 64;
/// The same where no more are accepted while somebody waits: then only those do that were accepted
/// just before.
const LEAST_ACCEPTED: usize = 1_024;
/// No more wait than have their turn in so many seconds: who waits for longer gives up.
const LONGEST: u32 = 10;
/// For how long nobody is accepted since others wait, or until the next of them has its turn. Not
/// until all have: those that are connected can come again at once, and would hold up everybody
/// else for as long as they like.
const CALM: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Upgrades {
    per_second: u32,
    bucket: Bucket,
    /// Has one permit, for the first of those that wait. They get it in the order in which they
    /// came.
    first: Semaphore,
    waiting: AtomicUsize,
    most_waiting: AtomicUsize,
}

/// One that waits, until this is dropped.
struct Waiting<'u>(&'u AtomicUsize);

impl Upgrades {
    pub(super) fn new(per_second: u32) -> Self {
        Self {
            per_second,
            bucket: Bucket::new(Rate::per_second(per_second), Moment::now()),
            first: Semaphore::new(1),
            waiting: AtomicUsize::new(0),
            most_waiting: AtomicUsize::new(longest(per_second, LEAST_WAITING)),
        }
    }

    /// Waits for its turn. Returns whether it came: not where too many wait already.
    ///
    /// # Cancel safety
    /// Safe: dropped while it waits, it takes nobody's turn.
    pub(crate) async fn turn(&self) -> bool {
        if self.turn_now() {
            return true;
        }
        let Some(_waiting) = Waiting::among(&self.waiting, self.most_waiting.load(SeqCst)) else {
            return false;
        };
        let Ok(_first) = self.first.acquire().await else {
            return false;
        };
        while let Err(wait) = self.bucket.take(1, Moment::now()) {
            sleep(wait).await;
        }
        true
    }

    /// Whether it is its turn at once.
    pub(crate) fn turn_now(&self) -> bool {
        self.waiting.load(SeqCst) == 0 && self.bucket.take(1, Moment::now()).is_ok()
    }

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

/// How long the line is.
fn longest(per_second: u32, least: usize) -> usize {
    let in_time = per_second.saturating_mul(LONGEST) as usize;
    least.max(per_second as usize).min(in_time)
}

impl<'u> Waiting<'u> {
    fn among(waiting: &'u AtomicUsize, most: usize) -> Option<Self> {
        let one_more = |count: usize| (count < most).then_some(count + 1);
        let entered = waiting.fetch_update(SeqCst, SeqCst, one_more);
        entered.is_ok().then(|| Self(waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use std::time::Instant;

    use futures::{FutureExt, future::join_all};

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

    #[tokio::test]
    async fn those_beyond_wait_and_those_beyond_the_line_are_refused() {
        let upgrades = Upgrades::new(50);
        assert!(
            join_all((0..50).map(|_| upgrades.turn()))
                .await
                .into_iter()
                .all(|turn| turn)
        );
        let begun = Instant::now();
        let mut waiting: Vec<_> = (0..64).map(|_| Box::pin(upgrades.turn())).collect();
        for turn in &mut waiting {
            assert!(turn.now_or_never().is_none() || begun.elapsed() > Duration::from_millis(19));
        }
        if begun.elapsed() < Duration::from_millis(19) {
            assert!(!upgrades.turn().await, "the line is full");
        }
        waiting.truncate(5);
        let calm = upgrades.calm();
        assert!(join_all(waiting).await.into_iter().all(|turn| turn));
        calm.await;
        assert_eq!(upgrades.waiting.load(SeqCst), 0);
        assert!(begun.elapsed() > Duration::from_millis(60));
    }
}
