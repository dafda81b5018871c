//! Foreign values, dropped so that a panic in their `Drop` gets no further, and calls that are not
//! worth an error.

use std::{
    any::Any,
    error::Error,
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
};

use realtime_core::BoxError;

/// How many payloads of panics are dropped, each of which was thrown by the drop of the one before.
const PAYLOADS: usize = 4;

/// Drops a foreign value. Where that panics, the rest of it is lost and nothing else.
pub fn drop_quietly<T>(value: T) {
    quietly(|| drop(value));
}

/// Does what may panic because it drops something.
#[inline]
pub(crate) fn quietly(drops: impl FnOnce()) {
    let _done = survive(drops);
}

/// What a foreign call gives; nothing where it panics.
#[inline]
pub fn survive<T>(call: impl FnOnce() -> T) -> Option<T> {
    match catch_unwind(AssertUnwindSafe(call)) {
        Ok(given) => Some(given),
        Err(panic) => {
            drop_payload(panic);
            None
        }
    }
}

#[cold]
fn drop_payload(mut panic: Box<dyn Any + Send>) {
    for _ in 0..PAYLOADS {
        match catch_unwind(AssertUnwindSafe(|| drop(panic))) {
            Ok(()) => return,
            Err(another) => panic = another,
        }
    }
    // It has to end somewhere.
    std::mem::forget(panic);
}

/// An error of somebody else's, which whoever drops it last survives.
#[derive(Debug)]
pub(crate) struct QuietError(BoxError);

impl QuietError {
    pub(crate) fn new(error: impl Into<BoxError>) -> Self {
        Self(error.into())
    }

    pub(crate) fn get(&self) -> &(dyn Error + 'static) {
        &*self.0
    }
}

impl fmt::Display for QuietError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for QuietError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}

impl Drop for QuietError {
    fn drop(&mut self) {
        // One without a size, so that nothing is allocated for it.
        drop_quietly(std::mem::replace(&mut self.0, Box::new(fmt::Error)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("loud")]
    struct Loud;

    impl Drop for Loud {
        fn drop(&mut self) {
            std::panic::panic_any("on purpose");
        }
    }

    #[test]
    fn a_panic_in_a_drop_ends_here() {
        drop_quietly(Loud);
        struct Again(u32);
        impl Drop for Again {
            fn drop(&mut self) {
                if self.0 < 3 {
                    std::panic::panic_any(Again(self.0 + 1));
                }
            }
        }
        drop_quietly(Again(0));
        let error = QuietError::new(Loud);
        assert_eq!(error.get().to_string(), "loud");
        drop(error);
    }
}
