//! How many upgrades a second there may be, and the line of those that wait for their turn.

#[cfg(feature = "server")]
mod calm;

use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

use tokio::{sync::Semaphore, time::sleep};

use super::{Bucket, Moment};
use crate::config::Rate;

/// How many may wait where fewer than that are let in in a second.
const LEAST_WAITING: usize = 64;
/// No more wait than have their turn in so many seconds: who waits for longer gives up.
const LONGEST: u32 = 10;
#[derive(Debug)]
pub(crate) struct Upgrades {
    #[cfg(feature = "server")]
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
            #[cfg(feature = "server")]
            per_second,
            bucket: Bucket::new(Rate::per_second(per_second)),
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
    use std::time::{Duration, Instant};

    use futures::{FutureExt, future::join_all};

    use super::*;

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
