//! What other nodes sent and did not arrive, on its way to the sessions that may have lost it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// For how long it is gathered: each time that sessions are told, all of them are.
const GATHERED: Duration = Duration::from_millis(250);
/// How often they are told sooner, since something comes that was sent after what is missing: so
/// often in a row, and again after each of these times.
const SOONER: u32 = 8;
const AGAIN: Duration = Duration::from_millis(50);

/// Messages that were missed and that no session has been told of.
#[derive(Debug)]
pub(super) struct Missed {
    messages: u64,
    due: Option<Instant>,
    /// How often sessions may be told sooner, and since when this is so.
    sooner: u32,
    since: Instant,
}

impl Missed {
    pub(super) fn new() -> Self {
        Self {
            messages: 0,
            due: None,
            sooner: SOONER,
            since: Instant::now(),
        }
    }

    pub(super) fn add(&mut self, messages: u64) {
        if messages > 0 {
            self.messages = self.messages.saturating_add(messages);
            self.due.get_or_insert_with(|| Instant::now() + GATHERED);
        }
    }

    /// Waits until it is time to tell, which never comes while nothing is missed. Cancel safe.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// How many there are, for those who are told now.
    pub(super) fn take(&mut self) -> u64 {
        self.due = None;
        std::mem::take(&mut self.messages)
    }

    /// How many there are, before something is delivered that came after them: a session hears of
    /// the gap first, unless that has happened too often just now.
    pub(super) fn take_before_a_message(&mut self) -> Option<u64> {
        self.due?;
        let now = Instant::now();
        let earned = (now - self.since).as_millis() / AGAIN.as_millis();
        if earned > 0 {
            self.sooner = SOONER.min(self.sooner.saturating_add(earned as u32));
            self.since = now;
        }
        self.sooner = self.sooner.checked_sub(1)?;
        Some(self.take())
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_told_before_what_follows_but_not_again_and_again() {
        let mut missed = Missed::new();
        assert_eq!(missed.take_before_a_message(), None);
        let mut told = 0;
        for _ in 0..100 {
            missed.add(1);
            told += u32::from(missed.take_before_a_message().is_some());
        }
        assert_eq!(told, SOONER);
        missed.due().await;
        assert_eq!(missed.take(), u64::from(100 - SOONER));
        advance(3 * AGAIN).await;
        for _ in 0..100 {
            missed.add(1);
            told += u32::from(missed.take_before_a_message().is_some());
        }
        assert_eq!(told, 2 * SOONER, "after a while as often as at first");
    }
}
