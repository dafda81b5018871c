//! What is seen of a session by somebody who looks at its node: nothing, without the feature `admin`.

use realtime_core::Message;

use super::Session;

#[cfg(feature = "admin")]
pub(super) use on::Observed;

#[cfg(not(feature = "admin"))]
impl Session {
    /// Whoever looks at its identity looks at it, too.
    #[inline(always)]
    pub(crate) const fn join_taps(&self) {}

    /// Its client has said something; `hidden` is what nobody is to see of it.
    #[inline(always)]
    pub(crate) fn heard(&self, _: &Message, _: impl FnOnce() -> bool) {}

    /// Its client has answered a ping.
    #[inline(always)]
    pub(crate) const fn took(&self, _: Option<std::time::Duration>) {}
}

#[cfg(feature = "admin")]
mod on {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
        },
        time::Duration,
    };

    use super::{Message, Session};
    use crate::tap::Line;

    /// What is kept of a session.
    #[derive(Debug, Default)]
    pub(in crate::session) struct Observed {
        /// In microseconds, and one more; 0 is nothing.
        round_trip: AtomicU32,
        /// Somebody looks at its messages. Written under the outbox's lock.
        tapped: AtomicBool,
    }

    impl Session {
        /// Whoever looks at its identity looks at it, too.
        pub(crate) fn join_taps(&self) {
            for line in self.env().taps.of(self.identity_key()) {
                self.tap(line);
            }
        }

        /// Somebody begins to look.
        pub(crate) fn tap(&self, line: Arc<Line>) {
            self.outbox().tap(self.id(), line, &self.0.observed.tapped);
        }

        /// Its client has said something; `hidden` is what nobody is to see of it.
        #[inline]
        pub(crate) fn heard(&self, message: &Message, hidden: impl FnOnce() -> bool) {
            let tapped = &self.0.observed.tapped;
            if tapped.load(Relaxed) {
                self.outbox().heard(message, hidden(), tapped);
            }
        }

        /// Its client has answered a ping.
        pub(crate) fn took(&self, took: Option<Duration>) {
            if let Some(took) = took {
                let micros = u32::try_from(took.as_micros()).unwrap_or(u32::MAX);
                let kept = micros.saturating_add(1);
                self.0.observed.round_trip.store(kept, Relaxed);
            }
        }

        /// How long the answer to its last ping has taken.
        pub(crate) fn round_trip(&self) -> Option<Duration> {
            let kept = self.0.observed.round_trip.load(Relaxed);
            Some(Duration::from_micros(kept.checked_sub(1)?.into()))
        }
    }
}
