//! The numbers that are sent to and fro on a connection, which show what the server has read.
//!
//! One is under way for all who wait: one for each message of a burst would be as many more, and a
//! client library may drop what comes faster than it is taken. Nobody waits for anybody to send it,
//! who may be a future that is not polled: where none has come for a moment, whoever waits sends the next.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, timeout_at},
};

use super::requests::{ANSWER, failed};
use crate::{broker::BrokerError, patient_until};

/// For how long one that is under way is waited for, before another is sent.
const AGAIN: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(super) struct Echoes(watch::Sender<Numbers>);

#[derive(Debug, Default, Clone, Copy)]
struct Numbers {
    /// The last that was sent.
    sent: u64,
    /// The last that has come back.
    back: u64,
    /// When the last was sent.
    at: Option<Instant>,
}

impl Numbers {
    /// Until when nobody else sends one.
    fn under_way(&self) -> Option<Instant> {
        self.at
            .filter(|_| self.back < self.sent)
            .map(|at| at + AGAIN)
    }
}

impl Echoes {
    pub(super) fn new() -> Self {
        Self(watch::Sender::default())
    }

    /// One has come back, and with it all before it.
    pub(super) fn came(&self, number: u64) {
        self.0.send_if_modified(|numbers| {
            let is_news = number > numbers.back;
            numbers.back = numbers.back.max(number);
            is_news
        });
    }

    /// Waits until a number has come back that was sent after this was called. The server has its
    /// time, however long it took to send the first of one's own.
    ///
    /// # Cancel safety
    /// Dropped before it returns, the next who waits sends another.
    pub(super) async fn round_trip<F>(&self, send: impl Fn(u64) -> F) -> Result<(), BrokerError>
    where
        F: Future<Output = Result<(), BrokerError>>,
    {
        let mut numbers = self.0.subscribe();
        let before = numbers.borrow().sent;
        let (mut end, mut has_sent) = (Instant::now() + ANSWER, false);
        loop {
            if let Some(number) = self.turn() {
                let begun = Instant::now();
                tokio::select! {
                    biased;
                    () = back(&mut numbers, before) => {
                        self.unsent(number);
                        return Ok(());
                    }
                    sent = send(number) => sent?,
                }
                if !std::mem::replace(&mut has_sent, true) {
                    end += begun.elapsed();
                }
            }
            let seen = *numbers.borrow_and_update();
            if seen.back > before {
                return Ok(());
            }
            if Instant::now() >= end {
                // Where this process was stopped, it may just not have been read.
                let came = patient_until(end.into_std(), back(&mut numbers, before)).await;
                let context = format!("what was sent did not come back in {ANSWER:?}");
                return came.ok_or_else(|| failed(context));
            }
            if let Some(until) = seen.under_way() {
                // Its end is as good as news: then another is sent.
                let _over = timeout_at(until.min(end), numbers.changed()).await;
            }
        }
    }

    /// The next number, where none is under way.
    fn turn(&self) -> Option<u64> {
        let mut turn = None;
        self.0.send_if_modified(|numbers| {
            let now = Instant::now();
            if numbers.under_way().is_none_or(|until| until <= now) {
                numbers.sent += 1;
                numbers.at = Some(now);
                turn = Some(numbers.sent);
            }
            false
        });
        turn
    }

    /// One that may not have been sent is waited for by nobody.
    fn unsent(&self, number: u64) {
        self.0.send_if_modified(|numbers| {
            let is_last = numbers.sent == number;
            if is_last {
                numbers.at = None;
            }
            is_last
        });
    }
}

/// Waits until a number has come back that is behind this one.
async fn back(numbers: &mut watch::Receiver<Numbers>, before: u64) {
    // Who waits has what sends, so it can't be gone.
    drop(numbers.wait_for(|numbers| numbers.back > before).await);
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::atomic::{AtomicU64, Ordering::SeqCst},
    };

    use futures::{FutureExt, future::join_all};
    use tokio::time::sleep;

    use super::*;

    /// A server that sends back what it gets, after a while.
    async fn echoed(echoes: &Echoes, number: u64, sent: &AtomicU64) -> Result<(), BrokerError> {
        sent.fetch_add(1, SeqCst);
        sleep(Duration::from_millis(5)).await;
        echoes.came(number);
        Ok(())
    }

    #[tokio::test(start_paused = true)]
    async fn one_is_under_way_for_all_who_wait() {
        let (echoes, sent) = (Echoes::new(), AtomicU64::new(0));
        let all = (0..100).map(|_| echoes.round_trip(|number| echoed(&echoes, number, &sent)));
        for done in join_all(all).await {
            assert!(done.is_ok());
        }
        assert!(sent.load(SeqCst) <= 3, "{sent:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_sent_one_and_is_not_polled_holds_up_nobody() {
        let (echoes, sent) = (Echoes::new(), AtomicU64::new(0));
        let stuck = |_: u64| std::future::pending::<Result<(), BrokerError>>();
        let mut first = pin!(echoes.round_trip(stuck));
        assert!(first.as_mut().now_or_never().is_none());
        let begun = Instant::now();
        let second = echoes.round_trip(|number| echoed(&echoes, number, &sent));
        assert!(second.await.is_ok());
        assert!(begun.elapsed() < 2 * AGAIN, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_back_while_another_is_sent_is_heard() {
        let (echoes, sent) = (Echoes::new(), AtomicU64::new(0));
        let stuck = |number: u64| async move {
            if number > 1 {
                std::future::pending::<()>().await;
            }
            Ok::<(), BrokerError>(())
        };
        let begun = Instant::now();
        let late = async {
            sleep(AGAIN * 3 / 2).await;
            echoes.came(1);
        };
        let (heard, ()) = tokio::join!(echoes.round_trip(stuck), late);
        assert!(heard.is_ok());
        assert!(begun.elapsed() < 2 * AGAIN, "{:?}", begun.elapsed());
        // Nobody waits for the one that was not sent.
        let begun = Instant::now();
        let next = echoes.round_trip(|number| echoed(&echoes, number, &sent));
        assert!(next.await.is_ok());
        assert!(begun.elapsed() < AGAIN, "{:?}", begun.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_has_the_turn_late_has_waited_for_others_numbers_meanwhile() {
        let echoes = Echoes::new();
        let trip = || {
            let begun = Instant::now();
            let trip = echoes.round_trip(|_| std::future::ready(Ok(())));
            trip.map(move |done| (done.is_err(), begun.elapsed()))
        };
        for (is_late, waited) in join_all((0..20).map(|_| trip())).await {
            assert!(is_late && waited < ANSWER + AGAIN, "{waited:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_time_of_the_server_begins_when_it_was_sent() {
        let echoes = Echoes::new();
        let slow = |_: u64| sleep(ANSWER).map(Ok);
        let late = async {
            sleep(ANSWER + AGAIN).await;
            echoes.came(1);
        };
        let (heard, ()) = tokio::join!(echoes.round_trip(slow), late);
        assert!(heard.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn what_came_while_this_process_was_stopped_is_looked_at() {
        let echoes = Echoes::new();
        let late = async {
            sleep(ANSWER + Duration::from_millis(5)).await;
            echoes.came(1);
        };
        let gone = |_: u64| std::future::ready(Ok(()));
        let (heard, ()) = tokio::join!(echoes.round_trip(gone), late);
        assert!(heard.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_come_back_is_an_error_and_a_few_are_tried() {
        let (echoes, sent) = (Echoes::new(), AtomicU64::new(0));
        let lost = |_: u64| {
            sent.fetch_add(1, SeqCst);
            std::future::ready(Ok(()))
        };
        assert!(echoes.round_trip(lost).await.is_err());
        assert!((2..=21).contains(&sent.load(SeqCst)), "{sent:?}");
    }
}
