//! What other nodes sent and did not arrive, on its way to the sessions that may have lost it.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use crate::{hub::Hub, room_topics::RoomTopic};

/// For how long it is gathered: each time that sessions are told, all of them are.
const GATHERED: Duration = Duration::from_millis(250);
/// How often they are told sooner, since something comes that was sent after what is missing: so
/// often in a row, and again after each of these times.
const SOONER: u32 = 8;
const AGAIN: Duration = Duration::from_millis(50);

/// Messages that were missed and that no session has been told of.
#[derive(Debug)]
pub(super) struct Missed {
    lost: Lost,
    due: Option<Instant>,
    /// How often sessions may be told sooner, and since when this is so.
    sooner: u32,
    since: Instant,
}

/// How many messages were lost, and to whom.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Lost {
    /// Anybody may have lost these.
    for_all: u64,
    /// The members of rooms on this topic may have lost these.
    in_rooms: Vec<(RoomTopic, u64)>,
    /// The members of any rooms may have lost these.
    in_all_rooms: u64,
}

impl Lost {
    /// Tells those sessions.
    pub(super) async fn tell(&self, hub: &Hub) {
        if self.for_all > 0 {
            hub.note_missed(self.for_all).await;
        }
        for (topic, messages) in &self.in_rooms {
            hub.note_missed_in_rooms(Some(*topic), *messages).await;
        }
        if self.in_all_rooms > 0 {
            hub.note_missed_in_rooms(None, self.in_all_rooms).await;
        }
    }
}

impl Missed {
    pub(super) fn new() -> Self {
        Self {
            lost: Lost::default(),
            due: None,
            sooner: SOONER,
            since: Instant::now(),
        }
    }

    pub(super) fn add(&mut self, messages: u64) {
        if messages > 0 {
            self.lost.for_all = self.lost.for_all.saturating_add(messages);
            self.is_due();
        }
    }

    /// They were on a topic of rooms: they concern nobody else.
    pub(super) fn add_in_rooms(&mut self, topic: RoomTopic, messages: u64) {
        let known = self.lost.in_rooms.iter_mut().find(|(of, _)| *of == topic);
        match known {
            Some((_, lost)) => *lost = lost.saturating_add(messages),
            None => self.lost.in_rooms.push((topic, messages)),
        }
        self.is_due();
    }

    /// This node was cut off. What was on topics of rooms meanwhile is counted by nobody.
    pub(super) fn add_in_all_rooms(&mut self) {
        self.lost.in_all_rooms = self.lost.in_all_rooms.saturating_add(1);
        self.is_due();
    }

    fn is_due(&mut self) {
        self.due.get_or_insert_with(|| Instant::now() + GATHERED);
    }

    /// Waits until it is time to tell, which never comes while nothing is missed. Cancel safe.
    pub(super) async fn due(&self) {
        match self.due {
            Some(due) => sleep_until(due).await,
            None => std::future::pending().await,
        }
    }

    /// How many there are, for those who are told now.
    pub(super) fn take(&mut self) -> Lost {
        self.due = None;
        std::mem::take(&mut self.lost)
    }

    /// How many there are, before something is delivered that came after them: a session hears of
    /// the gap first, unless that has happened too often just now.
    pub(super) fn take_before_a_message(&mut self) -> Option<Lost> {
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
        assert_eq!(missed.take().for_all, u64::from(100 - SOONER));
        advance(3 * AGAIN).await;
        for _ in 0..100 {
            missed.add(1);
            told += u32::from(missed.take_before_a_message().is_some());
        }
        assert_eq!(told, 2 * SOONER, "after a while as often as at first");
    }
}
