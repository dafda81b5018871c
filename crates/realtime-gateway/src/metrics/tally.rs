//! What is counted by a label that has few values, until it is told.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// So many of each of these values.
#[derive(Debug)]
pub(super) struct Tally<const N: usize> {
    values: &'static [&'static str; N],
    counts: [AtomicU64; N],
}

impl<const N: usize> Tally<N> {
    /// The last of the values is that of whatever isn't among them.
    pub(super) fn new(values: &'static [&'static str; N]) -> Self {
        Self {
            values,
            counts: std::array::from_fn(|_| AtomicU64::new(0)),
        }
    }

    pub(super) fn add(&self, value: &str, more: u64) {
        let number = self.values.iter().position(|is| *is == value);
        debug_assert!(number.is_some(), "{value} is one of {:?}", self.values);
        if let Some(count) = number.map_or(self.counts.last(), |number| self.counts.get(number)) {
            count.fetch_add(more, Relaxed);
        }
    }

    /// All values, with what has come to each since the last time.
    pub(super) fn take(&self) -> impl Iterator<Item = (&'static str, u64)> {
        let counts = self.counts.iter().map(|count| count.swap(0, Relaxed));
        self.values.iter().copied().zip(counts)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    #[test]
    fn each_is_taken_once_and_those_at_0_too() {
        let tally = Tally::new(&["one", "two", "other"]);
        tally.add("two", 1);
        tally.add("two", 2);
        let taken = || tally.take().collect::<Vec<_>>();
        assert_eq!(taken(), [("one", 0), ("two", 3), ("other", 0)]);
        assert_eq!(taken(), [("one", 0), ("two", 0), ("other", 0)]);
    }
}
