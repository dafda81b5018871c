//! The requests that the session's task answers for: their repliers were dropped, or have taken too
//! long.

use std::sync::Arc;

use realtime_core::MessageId;

use super::asked::{Kept, Repliers, Stage};
use crate::{HandlerError, HandlerErrorKind, Session, clock::Millis};

/// Requests that the session's task answers for.
#[derive(Default)]
pub(crate) struct Unanswered {
    /// Their repliers were dropped.
    pub(crate) dropped: Vec<MessageId>,
    /// Their repliers have had their time.
    pub(crate) late: Vec<MessageId>,
    /// When to look again.
    pub(crate) next: Option<Millis>,
}

impl Session {
    fn repliers(&self) -> Option<Arc<Repliers>> {
        let kept = self.extensions().get::<Kept>();
        kept.map(|Kept(repliers)| repliers)
    }

    /// Whether the request whose handler has just failed was answered by its replier.
    #[cold]
    pub(crate) fn has_answered(&self, id: &MessageId) -> bool {
        let current = self.repliers().and_then(|repliers| {
            let current = repliers.0.lock().current.take();
            current.filter(|asked| asked.id == *id)
        });
        current.is_some_and(|asked| *asked.stage.lock() == Stage::Answered)
    }

    /// Whether requests wait for answers that come later.
    #[cold]
    pub(crate) fn has_open_repliers(&self) -> bool {
        self.repliers()
            .is_some_and(|repliers| repliers.0.lock().is_busy())
    }

    /// The requests whose repliers were dropped, or have had their time, for them to be answered.
    pub(crate) fn take_unanswered(&self) -> Unanswered {
        let Some(repliers) = self.repliers() else {
            return Unanswered::default();
        };
        let now = self.env().clock.now();
        let mut table = repliers.0.lock();
        let mut unanswered = Unanswered {
            dropped: std::mem::take(&mut table.dropped),
            ..Unanswered::default()
        };
        // Each has as much time, so they are late in the order in which their handlers returned, which
        // is that of their numbers.
        while let Some(first) = table.waiting.first_entry() {
            if first.get().0 > now {
                unanswered.next = Some(first.get().0);
                break;
            }
            let (_, asked) = first.remove();
            let mut stage = asked.stage.lock();
            if *stage == Stage::Deferred {
                *stage = Stage::Failed;
                unanswered.late.push(asked.id.clone());
            }
        }
        unanswered
    }
}

/// What became of a request whose replier was dropped.
pub(crate) fn unanswered() -> HandlerError {
    let context = "expected an answer by the `Replier` that the handler has taken; it was dropped: \
                   use `reply` or `refuse` on every way, also where the task that has it fails";
    HandlerError::new(HandlerErrorKind::Unanswered, context)
}

/// What became of a request whose replier has taken too long.
pub(crate) fn too_late() -> HandlerError {
    let context = "expected an answer by the `Replier` that the handler has taken, within \
                   `replier_timeout`; there was none: give up what takes longer, and drop it";
    HandlerError::new(HandlerErrorKind::TimedOut, context)
}
