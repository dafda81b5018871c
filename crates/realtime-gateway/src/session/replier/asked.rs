//! The requests of a session that wait for their answers, as it keeps them.

use std::{collections::BTreeMap, sync::Arc};

use realtime_core::{MessageId, Text};

use crate::{clock::Millis, sync::Mutex};

/// What was asked. Without its session, by which it may be kept.
pub(super) struct Asked {
    pub(super) id: MessageId,
    pub(super) route: Text,
    pub(super) stage: Mutex<Stage>,
}

/// How far a request is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its handler runs.
    Handling,
    /// The same, and it has let go of its replier without an answer.
    LetGo,
    /// Its handler has returned.
    Deferred,
    /// The replier has answered it, or was dropped.
    Answered,
    /// The handler has failed, or was given up, or the replier has taken too long: that is the answer.
    Failed,
}

impl Asked {
    /// Its replier is gone. Returns whether nobody else answers.
    pub(super) fn let_go(&self) -> bool {
        let mut stage = self.stage.lock();
        match *stage {
            Stage::Handling => {
                *stage = Stage::LetGo;
                false
            }
            Stage::Deferred => {
                *stage = Stage::Answered;
                true
            }
            Stage::LetGo | Stage::Answered | Stage::Failed => false,
        }
    }
}

/// Those of one session.
#[derive(Default)]
pub(super) struct Repliers(pub(super) Mutex<Table>);

#[derive(Default)]
pub(super) struct Table {
    pub(super) open: usize,
    /// Of these no more, and their answers are just being made.
    pub(super) answering: usize,
    /// What the last handler has taken, until it has returned without an error.
    pub(super) current: Option<Arc<Asked>>,
    /// Dropped without an answer, and not answered for yet.
    pub(super) dropped: Vec<MessageId>,
    pub(super) last: u64,
    /// Those whose handlers have returned, by their numbers, and until when they may answer.
    pub(super) waiting: BTreeMap<u64, (Millis, Arc<Asked>)>,
}

impl Table {
    /// Whether there is something to wait for before the session ends.
    pub(super) fn is_busy(&self) -> bool {
        self.open + self.answering > 0 || !self.dropped.is_empty()
    }
}

/// As the session keeps them.
#[derive(Clone, Default)]
pub(super) struct Kept(pub(super) Arc<Repliers>);
