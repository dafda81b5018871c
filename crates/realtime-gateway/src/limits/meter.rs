//! Messages and bytes, each with a bucket.

use std::time::Duration;

use super::{Bucket, Moment, bucket::Left, own::Amount};
use crate::config::Rate;

/// How much may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) messages: Option<Rate>,
    pub(super) bytes: Option<Rate>,
}

impl Rates {
    pub(super) const fn are_off(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }

    /// How long it takes from nothing to all.
    pub(super) fn refill(&self) -> Duration {
        let rates = [self.messages, self.bytes].into_iter().flatten();
        let seconds = rates.map(|rate| rate.burst.div_ceil(rate.per_second.max(1)));
        Duration::from_secs(seconds.max().unwrap_or_default().into())
    }
}

/// How much has come.
#[derive(Debug)]
pub(super) struct Meter {
    messages: Option<Bucket>,
    bytes: Option<Bucket>,
}

impl Meter {
    pub(super) fn new(rates: Rates, now: Moment) -> Self {
        let bucket = |rate: Option<Rate>| rate.map(|rate| Bucket::new(rate, now));
        Self {
            messages: bucket(rates.messages),
            bytes: bucket(rates.bytes),
        }
    }

    /// A message of so many bytes. Where one of the buckets refuses it, the other one is asked all
    /// the same, so that the wait is long enough for both, and gets back what it gave.
    #[inline(always)]
    pub(super) fn take(&self, bytes: usize, now: Moment) -> Result<Lefts, Duration> {
        let bytes = counted(bytes);
        let messages = take(self.messages.as_ref(), 1, now);
        let bytes = take(self.bytes.as_ref(), bytes, now);
        match (messages, bytes) {
            (Ok(messages), Ok(bytes)) => Ok(Lefts(messages, bytes)),
            (Err(wait), Err(longer)) => Err(wait.max(longer)),
            (Err(wait), Ok(left)) => Err(refused(wait, self.bytes.as_ref(), left, now)),
            (Ok(left), Err(wait)) => Err(refused(wait, self.messages.as_ref(), left, now)),
        }
    }

    /// How long it takes until a message of so many bytes would be accepted.
    pub(super) fn wait(&self, bytes: usize, now: Moment) -> Duration {
        let wait = |bucket: &Option<Bucket>, count| {
            let bucket = bucket.as_ref()?;
            bucket.has(count, now).err()
        };
        let (messages, bytes) = (wait(&self.messages, 1), wait(&self.bytes, counted(bytes)));
        messages.max(bytes).unwrap_or_default()
    }

    /// So many have come, of which it is known that they were there.
    pub(super) fn book(&self, taken: Amount, at: Moment) {
        let buckets = [(&self.messages, taken.messages), (&self.bytes, taken.bytes)];
        for (bucket, count) in buckets {
            let _were_there = bucket.as_ref().map(|bucket| bucket.take(count, at));
        }
    }
}

fn counted(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[inline(always)]
fn take(bucket: Option<&Bucket>, count: u32, now: Moment) -> Result<Option<Left>, Duration> {
    bucket.map(|bucket| bucket.take(count, now)).transpose()
}

/// One of the buckets has refused what the other one accepted.
#[cold]
fn refused(wait: Duration, other: Option<&Bucket>, left: Option<Left>, now: Moment) -> Duration {
    if let Some((other, left)) = other.zip(left) {
        other.give_back(&left, now);
    }
    wait
}

/// What was left of messages and of bytes.
#[derive(Debug)]
pub(super) struct Lefts(Option<Left>, Option<Left>);

impl Lefts {
    /// How much can be taken now.
    pub(super) fn amount(&self) -> Amount {
        let amount = |left: &Option<Left>| left.as_ref().map_or(u32::MAX, Left::amount);
        Amount {
            messages: amount(&self.0),
            bytes: amount(&self.1),
        }
    }

    /// How long it takes until the same message could be taken again.
    pub(super) fn again(&self) -> Duration {
        let again = |left: &Option<Left>| left.as_ref().map(Left::again);
        again(&self.0).max(again(&self.1)).unwrap_or_default()
    }
}
