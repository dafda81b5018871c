//! When clients came back, in tenths of a second since the end of their node began.

use std::time::Duration;

const TENTH: Duration = Duration::from_millis(100);

/// How many came in each tenth of a second.
#[derive(Debug)]
pub(super) struct Returns(Vec<u32>);

impl Returns {
    pub(super) fn new(moments: impl IntoIterator<Item = Duration>) -> Self {
        let mut tenths = Vec::new();
        for moment in moments {
            let tenth = (moment.as_millis() / TENTH.as_millis()) as usize;
            if tenths.len() <= tenth {
                tenths.resize(tenth + 1, 0);
            }
            tenths[tenth] += 1;
        }
        Self(tenths)
    }

    /// Seconds, and how many a second came then.
    pub(super) fn rates(&self) -> impl Iterator<Item = (f64, f64)> {
        let rate = |(tenth, count): (usize, &u32)| (tenth as f64 / 10.0, f64::from(*count) * 10.0);
        self.0.iter().enumerate().map(rate)
    }

    /// The most that came in a tenth of a second, as a rate.
    pub(super) fn peak(&self) -> f64 {
        self.rates().map(|(_, rate)| rate).fold(0.0, f64::max)
    }

    /// When the last of them came.
    pub(super) fn last(&self) -> Duration {
        TENTH * self.0.len() as u32
    }
}
