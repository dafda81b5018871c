//! Messages and bytes, each with a bucket.

use std::time::Duration;

use super::{Bucket, Moment};
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

    /// A message of so many bytes. As [`Bucket::take`], for both: where one of them refuses it, the
    /// other one is asked all the same, so that the wait is long enough for both.
    pub(super) fn take(&self, bytes: usize, now: Moment) -> Result<Duration, Duration> {
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let (mut wait, mut is_refused) = (Duration::ZERO, false);
        for (bucket, count) in [(&self.messages, 1), (&self.bytes, bytes)] {
            let Some(bucket) = bucket else {
                continue;
            };
            let taken = bucket.take(count, now);
            is_refused |= taken.is_err();
            wait = wait.max(taken.unwrap_or_else(|not_yet| not_yet));
        }
        if is_refused { Err(wait) } else { Ok(wait) }
    }
}
