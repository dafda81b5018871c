//! What other nodes sent and did not arrive, on its way to the sessions that may have lost it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// For how long it is gathered: each time that sessions are told, all of them are.
const GATHERED: Duration = Duration::from_millis(250);

/// Messages that were missed and that no session has been told of.
#[derive(Debug, Default)]
pub(super) struct Missed {
    messages: u64,
    due: Option<Instant>,
}

impl Missed {
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
}
