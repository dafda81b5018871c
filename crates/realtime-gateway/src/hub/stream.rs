//! The messages of one room with a history, on their way to its members here: in the order of their
//! offsets, each once, whatever the order in which nodes have published them.
//!
//! A message is appended to the history before it is published, so a hole is either about to be
//! filled, or was lost on its way between nodes and is read from the history.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use bytes::Bytes;
use realtime_core::{
    RoomName,
    broker::envelope::Except,
    history::{Epoch, Position},
};
use tokio::{sync::Notify, time::Instant};

use crate::{
    outbound::{Offset, Room},
    sync::Mutex,
};

/// How many messages wait for one that is missing, or for the beginning, at the most. What is
/// beyond is read from the history again.
const HELD: usize = 1_024;
/// How many bytes they have at the most.
const HELD_BYTES: usize = 4 * 1024 * 1024;
/// How many messages are kept for those who are about to join, at the most.
const RECENT: usize = 1_024;
/// How many earlier lives of the history are told from new ones.
const PAST: usize = 4;
/// For how long a missing message is waited for before it is read from the history: another node
/// may be about to publish it.
const HOLE: Duration = Duration::from_millis(200);

/// A message of the room, ready to be written.
#[derive(Debug, Clone)]
pub(crate) struct Publication {
    pub(crate) offset: u64,
    pub(crate) frame: Bytes,
    pub(crate) except: Vec<Except>,
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

/// Streams that have something to do.
#[derive(Debug, Default)]
pub(crate) struct StreamQueue {
    ready: Mutex<VecDeque<Arc<Stream>>>,
    there: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Which life of the history; not known before the first member has come.
    epoch: Option<Epoch>,
    past: VecDeque<Epoch>,
    /// How many lives there were.
    life: u64,
    /// The offset of the last message that was handed over, or is being handed over now.
    last: u64,
    handing: bool,
    /// Messages behind a hole.
    held: BTreeMap<u64, Publication>,
    held_bytes: usize,
    /// Messages from before the beginning is known, and of which life of the history.
    early: Vec<(Epoch, Publication)>,
    hole_since: Option<Instant>,
    /// The history may have more than has come.
    doubtful: bool,
    /// Who is about to join.
    joining: usize,
    recent: VecDeque<Publication>,
    recent_bytes: usize,
    queued: bool,
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

/// Keeps what is handed over, for one who is about to join, until it is dropped.
#[derive(Debug)]
pub(crate) struct Joining(Arc<Stream>);

impl StreamQueue {
    /// The next stream that has something to do. Cancel safe.
    pub(crate) async fn next(&self) -> Arc<Stream> {
        loop {
            let there = self.there.notified();
            tokio::pin!(there);
            there.as_mut().enable();
            let next = self.ready.lock().pop_front();
            match next {
                Some(stream) => return stream,
                None => there.await,
            }
        }
    }

    fn push(&self, stream: Arc<Stream>) {
        self.ready.lock().push_back(stream);
        self.there.notify_one();
    }
}

impl State {
    fn hold(&mut self, publication: Publication) {
        if publication.offset <= self.last {
            return;
        }
        self.held_bytes += publication.frame.len();
        if let Some(twice) = self.held.insert(publication.offset, publication) {
            self.held_bytes -= twice.frame.len();
        }
        while self.held.len() > HELD || self.held_bytes > HELD_BYTES {
            let Some((_, last)) = self.held.pop_last() else {
                break;
            };
            self.held_bytes -= last.frame.len();
            self.doubtful = true;
        }
    }

    /// Keeps it for those who are about to join.
    fn remember(&mut self, publication: Publication) {
        self.recent_bytes += publication.frame.len();
        self.recent.push_back(publication);
        while self.recent.len() > RECENT || self.recent_bytes > HELD_BYTES {
            let Some(oldest) = self.recent.pop_front() else {
                break;
            };
            self.recent_bytes -= oldest.frame.len();
        }
    }

    fn forget_recent(&mut self) {
        self.recent = VecDeque::new();
        self.recent_bytes = 0;
    }

    /// Begins a life of the history at this offset.
    fn begin(&mut self, position: Position) {
        let Position { epoch, offset, .. } = position;
        if let Some(before) = self.epoch.replace(epoch) {
            self.past.push_back(before);
            if self.past.len() > PAST {
                self.past.pop_front();
            }
        }
        self.life += 1;
        self.last = offset;
        self.held.clear();
        self.held_bytes = 0;
        self.forget_recent();
        self.hole_since = None;
    }
}

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

    /// Where it is; `None` before the beginning is known.
    pub(crate) fn position(&self) -> Option<Position> {
        let state = self.state.lock();
        let epoch = state.epoch.clone()?;
        Some(Position::new(epoch, state.last))
    }

    /// It begins here, where that wasn't known yet.
    pub(crate) fn begin(self: &Arc<Self>, position: Position) {
        {
            let mut state = self.state.lock();
            if state.epoch.is_some() {
                return;
            }
            state.begin(position);
        }
        loop {
            let early = std::mem::take(&mut self.state.lock().early);
            if early.is_empty() {
                break;
            }
            for (epoch, publication) in early {
                self.offer(&epoch, publication);
            }
        }
        let mut state = self.state.lock();
        if state.doubtful {
            self.queue_if_needed(&mut state);
        }
        drop(state);
        self.moved.notify_waiters();
    }

    /// A message has come: of this node's, of another's, or from the history. Returns whether the
    /// history has begun anew with it, so that members have lost what came before.
    pub(crate) fn offer(self: &Arc<Self>, epoch: &Epoch, publication: Publication) -> bool {
        let mut state = self.state.lock();
        let mut anew = false;
        match &state.epoch {
            None => {
                let bytes: usize = state.early.iter().map(|(_, early)| early.frame.len()).sum();
                // What is left out is read from the history.
                if state.early.len() < HELD && bytes < HELD_BYTES {
                    state.early.push((epoch.clone(), publication));
                } else {
                    state.doubtful = true;
                }
                return false;
            }
            Some(_) if state.past.contains(epoch) => return false,
            Some(known) if known != epoch => {
                // From the beginning of the new one, whatever of it comes first.
                state.begin(Position::new(epoch.clone(), 0));
                anew = true;
            }
            Some(_) => {}
        }
        state.hold(publication);
        self.queue_if_needed(&mut state);
        anew
    }

    /// The history may have more than has come: messages were lost on their way between nodes.
    pub(crate) fn doubt(stream: &Arc<Self>) {
        let mut state = stream.state.lock();
        if state.epoch.is_some() {
            state.doubtful = true;
            stream.queue_if_needed(&mut state);
        }
    }

    /// The task that works on it has begun anew, and knows nothing of it.
    pub(crate) fn restart(stream: &Arc<Self>) {
        stream.state.lock().queued = false;
        Self::doubt(stream);
    }

    /// The history has not answered: it is to be asked again. For the task that works on it.
    pub(crate) fn doubt_again(&self) {
        self.state.lock().doubtful = true;
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
        let Some(epoch) = state.epoch.clone() else {
            state.queued = false;
            return Step::Idle;
        };
        let next = state.last + 1;
        if let Some(publication) = state.held.remove(&next) {
            state.held_bytes -= publication.frame.len();
            state.hole_since = None;
            state.last = next;
            state.handing = true;
            if state.joining > 0 {
                state.remember(publication.clone());
            }
            return Step::Hand(state.life, publication);
        }
        let position = Position::new(epoch, state.last);
        if std::mem::take(&mut state.doubtful) {
            return Step::Read(position);
        }
        if state.held.is_empty() {
            state.hole_since = None;
            state.queued = false;
            return Step::Idle;
        }
        let since = *state.hole_since.get_or_insert(now);
        match since + HOLE {
            due if due <= now => {
                // Again after as long, should the history not know it yet.
                state.hole_since = Some(now);
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

    /// What came after this position can't be had: goes on from there. Returns whether anything
    /// was skipped.
    pub(crate) fn skip_to(&self, from: &Position, to: Option<Position>) -> bool {
        let mut state = self.state.lock();
        if state.epoch.as_ref() != Some(&from.epoch) {
            return false;
        }
        match to {
            Some(to) if to.epoch == from.epoch => {
                let skipped = to.offset > state.last;
                if skipped {
                    state.last = to.offset;
                    state.forget_recent();
                    let held = state.held.split_off(&(to.offset + 1));
                    state.held_bytes = held.values().map(|held| held.frame.len()).sum();
                    state.held = held;
                }
                skipped
            }
            Some(to) => {
                state.begin(to);
                true
            }
            // There is no stream: the next message begins one.
            None => {
                let past = Epoch::random();
                state.begin(Position::new(past, 0));
                true
            }
        }
    }

    /// The history is known to be in another life, though no message of it has come. Returns whether
    /// that was new here, so that members have lost what came before.
    pub(crate) fn move_to(&self, position: &Position) -> bool {
        let mut state = self.state.lock();
        let is_other = |known: &Epoch| *known != position.epoch;
        let moves =
            state.epoch.as_ref().is_some_and(is_other) && !state.past.contains(&position.epoch);
        if moves {
            state.begin(position.clone());
        }
        moves
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

impl Joining {
    /// Joins at this moment, where everything behind `after` is known: `join` gets the frames that
    /// came since, and the offset that the member is at with them. Nothing is handed over
    /// meanwhile. `None` where that isn't known, or the position is of another life of the history.
    pub(crate) fn join<R>(
        &self,
        at: &Position,
        excepted: impl Fn(&[Except]) -> bool,
        join: impl FnOnce(Vec<Bytes>, Offset) -> R,
    ) -> Option<R> {
        let state = self.0.state.lock();
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
        let frames = meant.map(|publication| publication.frame.clone()).collect();
        let after = Offset {
            life: state.life,
            offset: state.last.max(at.offset),
        };
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

#[cfg(all(test, not(realtime_loom)))]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use super::*;

    fn stream() -> (Arc<Stream>, Epoch) {
        let room = Room::new(RoomName::try_from("a").unwrap(), 1);
        let stream = Arc::new(Stream::new(Arc::new(room), Arc::default()));
        let epoch = Epoch::random();
        stream.begin(Position::new(epoch.clone(), 10));
        (stream, epoch)
    }

    fn message(offset: u64) -> Publication {
        Publication {
            offset,
            frame: Bytes::from(offset.to_string()),
            except: Vec::new(),
        }
    }

    /// Does all that can be done now.
    fn handed(stream: &Stream, now: Instant) -> (Vec<u64>, Step) {
        let mut offsets = Vec::new();
        loop {
            match stream.step(now) {
                Step::Hand(_, publication) => offsets.push(publication.offset),
                other => return (offsets, other),
            }
            stream.was_handed();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn messages_are_handed_over_in_the_order_of_their_offsets_and_once() {
        let (stream, epoch) = stream();
        let now = Instant::now();
        for offset in [9, 12, 13, 12, 10] {
            stream.offer(&epoch, message(offset));
        }
        let (offsets, step) = handed(&stream, now);
        assert!(offsets.is_empty());
        assert!(matches!(step, Step::Wait(due) if due == now + HOLE));
        stream.offer(&epoch, message(11));
        stream.offer(&epoch, message(15));
        let (offsets, step) = handed(&stream, now);
        assert_eq!(offsets, [11, 12, 13]);
        let Step::Wait(due) = step else {
            panic!("{step:?}");
        };
        let (_, step) = handed(&stream, due);
        assert!(matches!(step, Step::Read(position) if position.offset == 13));
        stream.offer(&epoch, message(14));
        assert_eq!(handed(&stream, due).0, [14, 15]);
        assert!(matches!(stream.step(due), Step::Idle));
    }

    #[test]
    fn what_comes_before_the_beginning_is_known_isnt_lost() {
        let room = Room::new(RoomName::try_from("a").unwrap(), 1);
        let stream = Arc::new(Stream::new(Arc::new(room), Arc::default()));
        let epoch = Epoch::random();
        for offset in [8, 7, 6] {
            stream.offer(&epoch, message(offset));
        }
        stream.begin(Position::new(epoch, 6));
        assert_eq!(handed(&stream, Instant::now()).0, [7, 8]);
    }

    #[test]
    fn a_new_life_of_the_history_begins_at_its_first_message() {
        let (stream, old) = stream();
        let new = Epoch::random();
        assert!(stream.offer(&new, message(2)));
        assert!(!stream.offer(&new, message(1)));
        assert!(!stream.offer(&old, message(11)), "it is over");
        assert_eq!(handed(&stream, Instant::now()).0, [1, 2]);
    }

    #[test]
    fn it_moves_to_a_life_of_the_history_that_somebody_else_has_seen() {
        let (stream, old) = stream();
        let new = Position::new(Epoch::random(), 3);
        assert!(stream.move_to(&new));
        assert!(!stream.move_to(&new));
        assert!(!stream.move_to(&Position::new(old, 10)), "it is over");
        assert_eq!(stream.position(), Some(new.clone()));
        stream.offer(&new.epoch, message(4));
        assert_eq!(handed(&stream, Instant::now()).0, [4]);
    }

    #[test]
    fn who_joins_gets_what_came_since_the_answer_was_made() {
        let (stream, epoch) = stream();
        let joining = stream.joining();
        let at = Position::new(epoch.clone(), 10);
        let join = |at: &Position| {
            let frames = |frames: Vec<Bytes>, after: Offset| (frames.concat(), after.offset);
            joining.join(at, |_| false, frames)
        };
        assert_eq!(join(&at), Some((vec![], 10)));
        for offset in 11..14 {
            stream.offer(&epoch, message(offset));
        }
        assert_eq!(handed(&stream, Instant::now()).0, [11, 12, 13]);
        assert_eq!(join(&at), Some((b"111213".to_vec(), 13)));
        let read = Position::new(epoch.clone(), 12);
        assert_eq!(join(&read), Some((b"13".to_vec(), 13)));
        let ahead = Position::new(epoch, 20);
        assert_eq!(join(&ahead), Some((vec![], 20)), "the history has more");
        assert_eq!(join(&Position::new(Epoch::random(), 10)), None);
        drop(joining);
        let late = stream.joining();
        let known = late.join(&at, |_| false, |frames: Vec<Bytes>, _| frames.len());
        assert_eq!(known, None, "it isn't known what came in between");
    }
}
