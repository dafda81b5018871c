//! Memory that all sessions of a gateway share.

use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

/// Counts bytes against a limit.
#[derive(Debug)]
pub(crate) struct Budget {
    limit: usize,
    used: AtomicUsize,
}

impl Budget {
    pub(crate) const fn new(limit: usize) -> Self {
        Self {
            limit,
            used: AtomicUsize::new(0),
        }
    }

    /// One session's share went from `before` to `after`.
    pub(crate) fn moved(&self, before: usize, after: usize) {
        if after > before {
            self.used.fetch_add(after - before, Relaxed);
        } else if after < before {
            self.used.fetch_sub(before - after, Relaxed);
        }
    }

    pub(crate) fn used(&self) -> usize {
        self.used.load(Relaxed)
    }

    pub(crate) fn is_over(&self) -> bool {
        self.used() > self.limit
    }
}
