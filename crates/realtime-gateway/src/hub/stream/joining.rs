//! Somebody is about to join, and misses nothing of what is handed over meanwhile.

use std::sync::Arc;

use bytes::Bytes;
use realtime_core::{broker::envelope::Except, history::Position};

use super::{Publication, Stream};
use crate::{dialects::DialectId, outbound::Offset};

/// Keeps what is handed over, for one who is about to join, until it is dropped.
#[derive(Debug)]
pub(crate) struct Joining(pub(super) Arc<Stream>);

impl Joining {
    /// Joins at this moment, where everything behind `at` is known: `join` gets the frames, in its
    /// dialect, that came since, and the offset that the member is at with them. Nothing is handed
    /// over meanwhile. `None` where that isn't known, or the position is of another life of the
    /// history.
    pub(crate) fn join<R>(
        &self,
        at: &Position,
        dialect: DialectId,
        excepted: impl Fn(&[Except]) -> bool,
        join: impl FnOnce(Vec<Bytes>, Offset) -> R,
    ) -> Option<R> {
        let mut state = self.0.state.lock();
        if state.epoch.as_ref() != Some(&at.epoch) {
            return None;
        }
        let since: Vec<&Publication> = state
            .recent
            .iter()
            .filter(|publication| publication.offset > at.offset)
            .collect();
        // One that is being handed over is among them.
        let known = state.last.saturating_sub(at.offset);
        if since.len() as u64 != known {
            return None;
        }
        let meant = since.into_iter().filter(|p| !excepted(&p.except));
        // Nothing is compressed while it is locked.
        let frames = meant.map(|publication| publication.frames.ready(dialect).clone());
        let frames = frames.filter(|frame| !frame.is_empty()).collect();
        let after = Offset {
            life: state.life,
            offset: state.last.max(at.offset),
        };
        state.told = state.told.max(after.offset);
        Some(join(frames, after))
    }
}

impl Drop for Joining {
    fn drop(&mut self) {
        let mut state = self.0.state.lock();
        state.joining = state.joining.saturating_sub(1);
        if state.joining == 0 {
            state.forget_recent();
        }
    }
}
