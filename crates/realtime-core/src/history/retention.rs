//! How much of a stream is kept.

use std::time::Duration;

/// How many of a room's messages are kept, and for how long: what is beyond either bound goes,
/// the oldest first.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::history::Retention;
///
/// let retention = Retention::new(300, Duration::from_secs(3_600))?;
/// assert_eq!(retention.max_messages(), 300);
/// assert!(Retention::new(0, Duration::from_secs(3_600)).is_err());
/// # Ok::<(), realtime::history::InvalidRetention>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Retention {
    max_messages: usize,
    max_age: Duration,
}

/// A retention out of its bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected a retention of 1 to {} messages and 1 ms to {} days; got {max_messages} messages and \
     {max_age:?}",
    Retention::MAX_MESSAGES,
    Retention::MAX_AGE.as_secs() / 86_400
)]
pub struct InvalidRetention {
    max_messages: usize,
    max_age: Duration,
}

impl Retention {
    /// The most messages that are kept of a room.
    pub const MAX_MESSAGES: usize = 100_000;
    /// The longest time for which a message is kept: 366 days.
    pub const MAX_AGE: Duration = Duration::from_secs(366 * 86_400);

    /// Keeps so many messages, each for so long.
    ///
    /// # Errors
    /// When it isn't 1 to [`MAX_MESSAGES`](Self::MAX_MESSAGES) messages, and 1 ms to
    /// [`MAX_AGE`](Self::MAX_AGE).
    pub fn new(max_messages: usize, max_age: Duration) -> Result<Self, InvalidRetention> {
        let is_count = (1..=Self::MAX_MESSAGES).contains(&max_messages);
        let is_age = (Duration::from_millis(1)..=Self::MAX_AGE).contains(&max_age);
        if !is_count || !is_age {
            return Err(InvalidRetention {
                max_messages,
                max_age,
            });
        }
        Ok(Self {
            max_messages,
            max_age,
        })
    }

    /// How many messages are kept, at least one.
    #[must_use]
    pub const fn max_messages(&self) -> usize {
        self.max_messages
    }

    /// How long a message is kept, at least 1 ms. A store may round it up to whole milliseconds.
    #[must_use]
    pub const fn max_age(&self) -> Duration {
        self.max_age
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_and_too_much_are_refused() {
        let age = Duration::from_secs(1);
        assert!(Retention::new(1, Duration::from_millis(1)).is_ok());
        assert!(Retention::new(Retention::MAX_MESSAGES, Retention::MAX_AGE).is_ok());
        let more = Retention::MAX_AGE + Duration::from_nanos(1);
        for (messages, age) in [
            (0, age),
            (Retention::MAX_MESSAGES + 1, age),
            (1, Duration::ZERO),
            (1, Duration::from_micros(999)),
            (1, more),
        ] {
            let refused = Retention::new(messages, age).unwrap_err().to_string();
            assert!(refused.contains("100000 messages"), "{refused}");
        }
    }
}
