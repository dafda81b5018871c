//! What an outbox holds and has written, for who counts it.

/// That at one moment. Where nobody counts it, it has no size.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Noted {
    #[cfg(any(feature = "admin", feature = "metrics"))]
    frames: usize,
    #[cfg(feature = "metrics")]
    pub(super) written: u64,
}

impl Noted {
    #[inline(always)]
    #[allow(
        unused_variables,
        reason = "which of them are of interest depends on the features"
    )]
    pub(crate) const fn new(frames: usize, written: u64) -> Self {
        Self {
            #[cfg(any(feature = "admin", feature = "metrics"))]
            frames,
            #[cfg(feature = "metrics")]
            written,
        }
    }

    /// How many frames more it holds than before.
    #[cfg(any(feature = "admin", feature = "metrics"))]
    #[inline]
    pub(crate) const fn more_than(self, before: Self) -> isize {
        self.frames.cast_signed() - before.frames.cast_signed()
    }

    /// None that anybody counts.
    #[cfg(not(any(feature = "admin", feature = "metrics")))]
    #[inline(always)]
    pub(crate) const fn more_than(self, _: Self) -> isize {
        0
    }
}
