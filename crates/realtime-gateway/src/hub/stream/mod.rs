//! The messages of one room with a history, on their way to its members here: in the order of their
//! offsets, each once, whatever the order in which nodes have published them.
//!
//! A message is appended to the history before it is published, so a hole is either about to be
//! filled, or was lost on its way between nodes and is read from the history.

mod joining;
mod queue;
mod state;

use std::{sync::Arc, time::Duration};

use realtime_core::{
    RoomName,
    broker::envelope::Except,
    history::{Epoch, Position},
};
use tokio::{sync::Notify, time::Instant};

use self::state::{HELD, HELD_BYTES, State};
use crate::{dialects::Frames, outbound::Room, sync::Mutex, traces::Traced};

pub(crate) use joining::Joining;
pub(crate) use queue::StreamQueue;

/// For how long a missing message is waited for before it is read from the history: another node
/// may be about to publish it.
const HOLE: Duration = Duration::from_millis(200);

/// A message of the room, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) offset: u64,
    pub(crate) frames: Frames,
    pub(crate) except: Vec<Except>,
    /// That it comes from another node.
    pub(crate) traced: Traced,
}

impl Publication {
    /// One that is kept, and can't be read: nobody gets it.
    pub(crate) fn unreadable(offset: u64) -> Self {
        Self {
            offset,
            frames: Frames::none(),
            except: Vec::new(),
            traced: Traced::default(),
        }
    }
}

/// The messages of one room.
#[derive(Debug)]
pub(crate) struct Stream {
    /// Its members are those of this one, and not of a later one of the name.
    room: Arc<Room>,
    state: Mutex<State>,
    /// Notified when a message was handed over, or the beginning has become known.
    moved: Notify,
    queue: Arc<StreamQueue>,
}

/// What is to be done next.
#[derive(Debug)]
pub(crate) enum Step {
    /// Hand this over, in this life of the history, and then say that it was.
    Hand(u64, Publication),
    /// Ask the history what came after this.
    Read(Position),
    /// There is a hole: look again then.
    Wait(Instant),
    /// Nothing.
    Idle,
}

/// Something can't be had any more. Nothing is handed over until it is dropped, so that members are
/// told first.
#[derive(Debug)]
#[must_use]
pub(crate) struct Skipped(Arc<Stream>);

impl Stream {
    pub(crate) fn new(room: Arc<Room>, queue: Arc<StreamQueue>) -> Self {
        Self {
            room,
            state: Mutex::default(),
            moved: Notify::new(),
            queue,
        }
    }

    pub(crate) fn room(&self) -> &Arc<Room> {
        &self.room
    }

    pub(crate) fn name(&self) -> &RoomName {
        self.room.name()
    }

    /// Where a member is that has got all that was handed over; `None` before the beginning is
    /// known.
    pub(crate) fn settled(&self) -> Option<Position> {
        let state = self.state.lock();
        let offset = state.last.saturating_sub(u64::from(state.handing));
        Some(Position::new(state.epoch.clone()?, offset))
    }

    /// Where it is; `None` before the beginning is known.
    pub(crate) fn position(&self) -> Option<Position> {
        let state = self.state.lock();
        let epoch = state.epoch.clone()?;
        Some(Position::new(epoch, state.last))
    }

    /// Where somebody is who comes in: behind all that was handed over, and behind what another one who
    /// came in has read of the history before that came here. Who leaves and comes in again gets nothing
    /// twice.
    pub(crate) fn entrance(&self) -> Option<Position> {
        let state = self.state.lock();
        let epoch = state.epoch.clone()?;
        Some(Position::new(epoch, state.last.max(state.told)))
    }

    /// It begins here, where that wasn't known yet.
    pub(crate) fn begin(self: &Arc<Self>, position: Position) {
        {
            let mut state = self.state.lock();
            if state.epoch.is_some() {
                return;
            }
            state.begin(position);
            state.settle();
            self.queue_if_needed(&mut state);
        }
        self.moved.notify_waiters();
    }

    /// A message has come: of this node's, of another's, or from the history.
    ///
    /// One of another life of the history is no proof that this one is over: it may be older. The
    /// history is asked, and the message waits.
    pub(crate) fn offer(self: &Arc<Self>, epoch: &Epoch, publication: Publication) {
        let mut state = self.state.lock();
        if state.epoch.as_ref() == Some(epoch) {
            state.hold(publication);
        } else {
            let bytes: usize = state
                .early
                .iter()
                .map(|(_, early)| early.frames.bytes())
                .sum();
            // What is left out is read from the history.
            if state.early.len() < HELD && bytes < HELD_BYTES {
                state.early.push((epoch.clone(), publication));
            }
            state.doubtful = true;
        }
        self.queue_if_needed(&mut state);
    }

    /// The history may have more than has come: messages were lost on their way between nodes.
    pub(crate) fn doubt(stream: &Arc<Self>) {
        let mut state = stream.state.lock();
        state.doubtful = true;
        stream.queue_if_needed(&mut state);
    }

    /// The task that works on it has begun anew, and knows nothing of it. Returns whether a message
    /// may have been handed to some and not to others.
    pub(crate) fn restart(stream: &Arc<Self>) -> bool {
        let mut state = stream.state.lock();
        (state.queued, state.reading, state.doubtful) = (false, false, true);
        stream.queue_if_needed(&mut state);
        std::mem::take(&mut state.handing)
    }

    /// The history was asked, and has answered or not. For the task that works on it.
    pub(crate) fn was_read(&self, answered: bool) {
        let mut state = self.state.lock();
        state.reading = false;
        if answered {
            state.settle();
        } else {
            state.doubtful = true;
        }
    }

    fn queue_if_needed(self: &Arc<Self>, state: &mut State) {
        if !std::mem::replace(&mut state.queued, true) {
            self.queue.push(Arc::clone(self));
        }
    }

    /// What is to be done next, for the one task that does it. After [`Step::Idle`] the stream is
    /// queued again when something comes.
    pub(crate) fn step(&self, now: Instant) -> Step {
        let mut state = self.state.lock();
        let Some(epoch) = state.epoch.clone().filter(|_| state.telling == 0) else {
            state.queued = false;
            return Step::Idle;
        };
        let next = state.last + 1;
        if let Some(publication) = state.held.remove(&next) {
            state.held_bytes -= publication.frames.bytes();
            state.hole_since = None;
            state.last = next;
            state.handing = true;
            if state.joining > 0 {
                state.remember(publication.clone());
            }
            return Step::Hand(state.life, publication);
        }
        let position = Position::new(epoch, state.last);
        // While it is asked, what is in order goes on.
        if state.reading {
            state.queued = false;
            return Step::Idle;
        }
        if std::mem::take(&mut state.doubtful) {
            (state.reading, state.queued) = (true, false);
            return Step::Read(position);
        }
        // Queued again by the next message, which may fill the hole.
        state.queued = false;
        if state.held.is_empty() {
            state.hole_since = None;
            return Step::Idle;
        }
        let since = *state.hole_since.get_or_insert(now);
        match since + HOLE {
            due if due <= now => {
                // Again after as long, should the history not know it yet.
                state.hole_since = Some(now);
                state.reading = true;
                Step::Read(position)
            }
            due => Step::Wait(due),
        }
    }

    /// What was to be handed over is in the logs.
    pub(crate) fn was_handed(&self) {
        self.state.lock().handing = false;
        self.moved.notify_waiters();
    }

    /// What came after this position can't be had: goes on from there, and in another life of the
    /// history from its beginning. `None` where nothing was skipped.
    pub(crate) fn skip_to(self: &Arc<Self>, from: &Position, to: Position) -> Option<Skipped> {
        let mut state = self.state.lock();
        if state.epoch.as_ref() != Some(&from.epoch) {
            return None;
        }
        let skipped = if to.epoch == from.epoch {
            let skipped = to.offset > state.last;
            if skipped {
                state.last = to.offset;
                state.forget_recent();
                let held = state.held.split_off(&(to.offset + 1));
                state.held_bytes = held.values().map(|held| held.frames.bytes()).sum();
                state.held = held;
            }
            skipped
        } else {
            state.begin(Position::new(to.epoch, 0));
            state.doubtful = true;
            true
        };
        state.telling += usize::from(skipped);
        drop(state);
        self.moved.notify_waiters();
        skipped.then(|| Skipped(Arc::clone(self)))
    }

    /// Waits until a message is on its way to the members here, or the stream isn't the one it was
    /// sent to. Cancel safe.
    pub(crate) async fn has_handed(&self, epoch: &Epoch, offset: u64) {
        loop {
            let moved = self.moved.notified();
            tokio::pin!(moved);
            moved.as_mut().enable();
            {
                let state = self.state.lock();
                let is_of_it = state.epoch.as_ref() == Some(epoch);
                if !is_of_it || state.last > offset || (state.last == offset && !state.handing) {
                    return;
                }
            }
            moved.await;
        }
    }

    /// Somebody is about to join: what is handed over from now on is kept for them.
    pub(crate) fn joining(self: &Arc<Self>) -> Joining {
        self.state.lock().joining += 1;
        Joining(Arc::clone(self))
    }
}

impl Drop for Skipped {
    fn drop(&mut self) {
        let stream = &self.0;
        let mut state = stream.state.lock();
        state.telling = state.telling.saturating_sub(1);
        stream.queue_if_needed(&mut state);
    }
}

#[cfg(all(test, not(realtime_loom)))]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests;
