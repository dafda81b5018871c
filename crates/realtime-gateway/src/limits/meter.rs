//! Messages and bytes, each with a bucket.

use std::time::Duration;

use super::{
    Moment,
    bucket::{Capacity, Left, Level},
    own::Amount,
};
use crate::config::Rate;

/// How much may come.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rates {
    pub(super) messages: Option<Rate>,
    pub(super) bytes: Option<Rate>,
}

impl Rates {
    /// How long it takes from nothing to all.
    pub(super) fn refill(&self) -> Duration {
        let rates = [self.messages, self.bytes].into_iter().flatten();
        let seconds = rates.map(|rate| rate.burst.div_ceil(rate.per_second.max(1)));
        Duration::from_secs(seconds.max().unwrap_or_default().into())
    }
}

/// What meters of one kind hold. A bucket that isn't limited isn't there.
#[derive(Debug)]
pub(super) struct Capacities {
    messages: Option<Capacity>,
    bytes: Option<Capacity>,
}

/// How much has come.
#[derive(Debug, Default)]
pub(super) struct Meter {
    messages: Level,
    bytes: Level,
}

impl Capacities {
    pub(super) fn new(rates: Rates) -> Self {
        Self {
            messages: rates.messages.map(Capacity::new),
            bytes: rates.bytes.map(Capacity::new),
        }
    }

    /// Whether they hold everything.
    pub(super) const fn are_endless(&self) -> bool {
        self.messages.is_none() && self.bytes.is_none()
    }

    fn buckets<'m>(&'m self, meter: &'m Meter) -> [Option<Bucket<'m>>; 2] {
        let bucket = |capacity: &'m Option<Capacity>, level| {
            let capacity = capacity.as_ref()?;
            Some(Bucket { capacity, level })
        };
        [
            bucket(&self.messages, &meter.messages),
            bucket(&self.bytes, &meter.bytes),
        ]
    }

    /// A message of so many bytes. Where one of the buckets refuses it, the other one is asked all
    /// the same, so that the wait is long enough for both, and gets back what it gave.
    #[inline(always)]
    pub(super) fn take(&self, meter: &Meter, bytes: usize, now: Moment) -> Result<Lefts, Duration> {
        let [messages, all_bytes] = self.buckets(meter);
        let took = take(messages, 1, now);
        let took_bytes = take(all_bytes, counted(bytes), now);
        match (took, took_bytes) {
            (Ok(messages), Ok(bytes)) => Ok(Lefts(messages, bytes)),
            (Err(wait), Err(longer)) => Err(wait.max(longer)),
            (Err(wait), Ok(left)) => Err(refused(wait, all_bytes, left)),
            (Ok(left), Err(wait)) => Err(refused(wait, messages, left)),
        }
    }

    /// How long it takes until a message of so many bytes would be accepted.
    pub(super) fn wait(&self, meter: &Meter, bytes: usize, now: Moment) -> Duration {
        let wait = |bucket: Option<Bucket<'_>>, count| {
            let Bucket { capacity, level } = bucket?;
            capacity.has(level, count, now).err()
        };
        let [messages, all_bytes] = self.buckets(meter);
        let (messages, bytes) = (wait(messages, 1), wait(all_bytes, counted(bytes)));
        messages.max(bytes).unwrap_or_default()
    }

    /// So many have come, of which it is known that they were there.
    pub(super) fn book(&self, meter: &Meter, taken: Amount, at: Moment) {
        let [messages, bytes] = self.buckets(meter);
        for (bucket, count) in [(messages, taken.messages), (bytes, taken.bytes)] {
            let _were_there = take(bucket, count, at);
        }
    }
}

/// One of a meter.
#[derive(Clone, Copy)]
struct Bucket<'m> {
    capacity: &'m Capacity,
    level: &'m Level,
}

fn counted(bytes: usize) -> u32 {
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

#[inline(always)]
fn take(bucket: Option<Bucket<'_>>, count: u32, now: Moment) -> Result<Option<Left>, Duration> {
    let Some(Bucket { capacity, level }) = bucket else {
        return Ok(None);
    };
    capacity.take(level, count, now).map(Some)
}

/// One of the buckets has refused what the other one accepted.
#[cold]
fn refused(wait: Duration, other: Option<Bucket<'_>>, left: Option<Left>) -> Duration {
    if let Some((Bucket { capacity, level }, left)) = other.zip(left) {
        capacity.give_back(level, &left);
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
