//! What is known of the messages of one room: where it stands, and what is held back.

use std::collections::{BTreeMap, VecDeque};

use realtime_core::history::{Epoch, Position};
use tokio::time::Instant;

use super::Publication;

/// How many messages wait for one that is missing, or for the beginning, at the most. What is
/// beyond is read from the history again.
pub(super) const HELD: usize = 1_024;
/// How many bytes they have at the most.
pub(super) const HELD_BYTES: usize = 4 * 1024 * 1024;
/// How many messages are kept for those who are about to join, at the most.
const RECENT: usize = 1_024;

/// What is known of the messages of a room.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Which life of the history; not known before the first member has come.
    pub(super) epoch: Option<Epoch>,
    /// How many lives there were.
    pub(super) life: u64,
    /// The offset of the last message that was handed over, or is being handed over now.
    pub(super) last: u64,
    /// The furthest that somebody was told to be who came in: the history has what is up to there.
    pub(super) told: u64,
    pub(super) handing: bool,
    /// Messages behind a hole.
    pub(super) held: BTreeMap<u64, Publication>,
    pub(super) held_bytes: usize,
    /// Messages that belong to another life of the history than is known, or from before one is.
    pub(super) early: Vec<(Epoch, Publication)>,
    pub(super) hole_since: Option<Instant>,
    /// The history may have more than has come.
    pub(super) doubtful: bool,
    /// Who is about to join.
    pub(super) joining: usize,
    pub(super) recent: VecDeque<Publication>,
    pub(super) recent_bytes: usize,
    pub(super) queued: bool,
    /// The history is being asked.
    pub(super) reading: bool,
    /// How many tell members that something is lost: nothing is handed over before they know.
    pub(super) telling: usize,
}

impl State {
    pub(super) fn hold(&mut self, publication: Publication) {
        if publication.offset <= self.last {
            return;
        }
        self.held_bytes += publication.frames.bytes();
        if let Some(twice) = self.held.insert(publication.offset, publication) {
            self.held_bytes -= twice.frames.bytes();
        }
        // The next one stays, however large it is.
        while self.held.len() > HELD || (self.held.len() > 1 && self.held_bytes > HELD_BYTES) {
            let Some((_, last)) = self.held.pop_last() else {
                break;
            };
            self.held_bytes -= last.frames.bytes();
            self.doubtful = true;
        }
    }

    /// Keeps it for those who are about to join.
    pub(super) fn remember(&mut self, publication: Publication) {
        self.recent_bytes += publication.frames.bytes();
        self.recent.push_back(publication);
        while self.recent.len() > RECENT || self.recent_bytes > HELD_BYTES {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.recent_bytes -= oldest.frames.bytes();
        }
    }

    pub(super) fn forget_recent(&mut self) {
        self.recent = VecDeque::new();
        self.recent_bytes = 0;
    }

    /// Begins a life of the history at this offset.
    pub(super) fn begin(&mut self, position: Position) {
        self.epoch = Some(position.epoch);
        self.life += 1;
        (self.last, self.told) = (position.offset, position.offset);
        self.held.clear();
        self.held_bytes = 0;
        self.forget_recent();
        self.hole_since = None;
    }

    /// Takes what has come too early, now that it is known what it belongs to.
    pub(super) fn settle(&mut self) {
        for (epoch, publication) in std::mem::take(&mut self.early) {
            if self.epoch.as_ref() == Some(&epoch) {
                self.hold(publication);
            }
        }
    }
}
