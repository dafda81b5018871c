//! The trait, on scripts.

use std::{fmt, sync::Arc, time::Duration};

use fred::types::Value;
use realtime_core::{
    Events, RoomName,
    history::{
        Append, Appended, Epoch, History, HistoryError, HistoryEvent, HistoryEvents,
        IDEMPOTENCY_KEYS, IDEMPOTENCY_WINDOW, KNOWN_FOR, MAX_ANSWER, Page, Position, Retention,
        Since,
    },
};
use realtime_redis::pool::{Change, Command, Pool, Script};

use crate::{
    answer,
    config::RedisConfig,
    error::{history_error, unreadable},
    keys::Keys,
    probe::Probe,
    scripts::{APPEND, LATEST, POSITION, REMOVE, SINCE},
};

/// Beyond this offset numbers are not exact in a script; no stream gets there.
const LAST_OFFSET: u64 = 1 << 53;

/// Keeps the streams of rooms in Redis.
///
/// Building one opens no connection: the first call does, [`events`](History::events) on a Tokio
/// runtime included, and the connections live on the runtime of that call. They end with
/// [`close`](History::close), or when this is dropped. See the [crate's page](crate) for what is
/// stored, and for what happens when Redis fails.
pub struct RedisHistory {
    pool: Pool,
    config: RedisConfig,
    keys: Keys,
    events: Arc<Events<HistoryEvent>>,
}

impl RedisHistory {
    /// Histories in the Redis of this configuration.
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        let keys = Keys::new(config.namespace().as_str());
        let events = Arc::new(Events::new());
        let tell = {
            let events = Arc::clone(&events);
            move |change| tell(change, &events)
        };
        Self {
            pool: Pool::new(config.0.clone(), Probe::new(keys.clone()), tell),
            config,
            keys,
            events,
        }
    }

    /// Histories in the Redis at this URL; see [`RedisConfig::from_url`] for its forms.
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, HistoryError> {
        RedisConfig::from_url(url).map(Self::new)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Runs a script and reads its answer. One that appends is never sent twice: it could be there
    /// twice, or be told that it was a repetition.
    async fn run<T>(
        &self,
        script: &Script,
        room: &RoomName,
        arguments: Vec<Value>,
        is_once: bool,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, HistoryError> {
        let keys = self.keys.of(room);
        let command = Command::run(script, keys.all(), arguments);
        let command = if is_once { command.once() } else { command };
        let answer = self.pool.run(room, command).await.map_err(history_error)?;
        read(answer).ok_or_else(unreadable)
    }
}

impl fmt::Debug for RedisHistory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisHistory")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// Whole milliseconds, rounded up.
pub(crate) fn millis(duration: Duration) -> Value {
    let millis = duration.as_nanos().div_ceil(1_000_000);
    i64::try_from(millis).unwrap_or(i64::MAX).into()
}

/// A number that is small enough for a script.
fn count(number: usize) -> Value {
    // More entries than a stream ever has.
    let most = Retention::MAX_MESSAGES;
    i64::try_from(number.min(most)).unwrap_or(i64::MAX).into()
}

fn bytes() -> Value {
    i64::try_from(MAX_ANSWER).unwrap_or(i64::MAX).into()
}

/// The words of an append that begins a stream with this epoch where there is none.
pub(crate) fn append_words(append: Append, epoch: &Epoch, known_for: Duration) -> Vec<Value> {
    let key = append.key.as_ref().map_or("", |key| key.as_str());
    vec![
        Value::Bytes(append.data),
        count(append.retention.max_messages()),
        millis(append.retention.max_age()),
        millis(known_for),
        epoch.as_str().into(),
        key.into(),
        millis(IDEMPOTENCY_WINDOW),
        count(IDEMPOTENCY_KEYS),
    ]
}

/// The words of the question what came since a position.
pub(crate) fn since_words(after: &Position, limit: usize) -> Vec<Value> {
    let offset = after.offset.min(LAST_OFFSET).to_string();
    let epoch = after.epoch.as_str();
    vec![epoch.into(), offset.into(), count(limit), bytes()]
}

/// The words of the question for the newest entries.
pub(crate) fn latest_words(before: Option<u64>, most: usize) -> Vec<Value> {
    let before = before.map(|before| before.min(LAST_OFFSET).to_string());
    vec![before.unwrap_or_default().into(), count(most), bytes()]
}

/// The words of the question for the end of a stream.
pub(crate) fn position_words(epoch: &Epoch, known_for: Duration) -> Vec<Value> {
    vec![epoch.as_str().into(), millis(known_for)]
}

fn known_for(retention: Retention) -> Duration {
    retention.max_age() + KNOWN_FOR
}

impl History for RedisHistory {
    async fn append(&self, room: &RoomName, append: Append) -> Result<Appended, HistoryError> {
        HistoryError::check_length(&append.data)?;
        let known_for = known_for(append.retention);
        let words = append_words(append, &Epoch::random(), known_for);
        self.run(&APPEND, room, words, true, answer::appended).await
    }

    async fn since(
        &self,
        room: &RoomName,
        after: &Position,
        limit: usize,
    ) -> Result<Since, HistoryError> {
        let words = since_words(after, limit);
        let read = |answer| answer::since(answer, after.offset);
        self.run(&SINCE, room, words, false, read).await
    }

    async fn latest(
        &self,
        room: &RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Result<Page, HistoryError> {
        let words = latest_words(before, count);
        self.run(&LATEST, room, words, false, answer::page).await
    }

    async fn position(
        &self,
        room: &RoomName,
        retention: Retention,
    ) -> Result<Position, HistoryError> {
        let words = position_words(&Epoch::random(), known_for(retention));
        self.run(&POSITION, room, words, false, answer::position)
            .await
    }

    async fn remove(&self, room: &RoomName) -> Result<(), HistoryError> {
        self.run(&REMOVE, room, Vec::new(), false, |_| Some(()))
            .await
    }

    fn events(&self) -> HistoryEvents {
        let events = HistoryEvents::new(self.events.subscribe());
        // Elsewhere than on a runtime, the first call starts it.
        let _started = self.pool.start();
        events
    }

    async fn close(&self) {
        self.events.close();
        if !self.pool.close().await {
            tracing::warn!(target: realtime_core::log_targets::HISTORY, "a connection to Redis ends late");
        }
    }
}

/// Tells the listeners, and then the log, whose layers are the program's and may panic.
fn tell(change: Change, events: &Events<HistoryEvent>) {
    match change {
        Change::Up => {
            events.send(HistoryEvent::Up);
            tracing::debug!(target: realtime_core::log_targets::HISTORY, "Redis is up");
        }
        Change::Down { cause, .. } => {
            events.send(HistoryEvent::down(cause.as_str()));
            // Whoever hears the event says it louder.
            tracing::debug!(target: realtime_core::log_targets::HISTORY, cause, "Redis is down");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_whole_and_rounded_up() {
        assert_eq!(millis(Duration::from_micros(1_001)), Value::Integer(2));
        assert_eq!(millis(Duration::from_millis(1)), Value::Integer(1));
        assert_eq!(millis(Duration::MAX), Value::Integer(i64::MAX));
        assert_eq!(count(usize::MAX), Value::Integer(100_000));
    }
}
