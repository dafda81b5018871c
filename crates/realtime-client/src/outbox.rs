//! What was said to the server and isn't done with: requests that wait for their answers, and, while
//! there is no connection, what waits to be sent, in order.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use realtime_core::{Message, RoomName};
use tokio::{sync::oneshot, time::Instant};

use crate::RequestError;

pub(crate) type Answer = oneshot::Sender<Result<Message, RequestError>>;

/// Who wants to know what became of it.
pub(crate) enum Done {
    /// One who has asked.
    Answer(Answer),
    /// One who wants no answer.
    Sent(oneshot::Sender<Result<(), RequestError>>),
    /// A room that is being entered, and which object of its name.
    Room(RoomName, u64),
    /// A room that was left, and who wants to know when the server knows it.
    Left(Answer),
    /// A token was shown: in the first message, or later.
    Shown { first: bool },
}

impl Done {
    /// Nobody waits for it any more.
    fn is_given_up(&self) -> bool {
        match self {
            Self::Answer(answer) => answer.is_closed(),
            Self::Sent(sent) => sent.is_closed(),
            Self::Room(..) | Self::Left(_) | Self::Shown { .. } => false,
        }
    }

    /// What this client asks for itself takes no place of what its user asks. It is bounded by its
    /// rooms.
    const fn is_own(&self) -> bool {
        matches!(self, Self::Room(..) | Self::Left(_) | Self::Shown { .. })
    }
}

pub(crate) struct Entry {
    /// While it wasn't sent.
    pub(crate) message: Option<Message>,
    pub(crate) done: Done,
    deadline: Instant,
}

pub(crate) struct Outbox {
    entries: BTreeMap<u64, Entry>,
    deadlines: BTreeSet<(Instant, u64)>,
    waiting: VecDeque<u64>,
    last: u64,
    queue: usize,
    most: usize,
    /// How many of the entries are this client's own.
    own: usize,
    /// How many of these are of rooms that are being entered.
    entering: usize,
    /// How many of these are of rooms that were left.
    leaving: usize,
}

impl Outbox {
    pub(crate) const fn new(queue: usize, most: usize) -> Self {
        Self {
            entries: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            waiting: VecDeque::new(),
            last: 0,
            queue,
            most,
            own: 0,
            entering: 0,
            leaving: 0,
        }
    }

    /// How many rooms are being entered.
    pub(crate) const fn entering(&self) -> usize {
        self.entering
    }

    /// How many rooms were left of which the server hasn't said yet that it knows.
    pub(crate) const fn leaving(&self) -> usize {
        self.leaving
    }

    /// One that is about to be sent. Gives it back where there are as many as may be.
    pub(crate) fn add(&mut self, done: Done, deadline: Instant) -> Result<u64, Done> {
        if !done.is_own() && self.is_full() {
            return Err(done);
        }
        Ok(self.insert(None, done, deadline))
    }

    /// One that waits for a connection. Gives it back where there are as many as may be.
    pub(crate) fn keep(
        &mut self,
        message: Message,
        done: Done,
        deadline: Instant,
    ) -> Result<(), Done> {
        if self.waiting.len() >= self.queue {
            self.forget_given_up();
        }
        if self.waiting.len() >= self.queue || self.is_full() {
            return Err(done);
        }
        let id = self.insert(Some(message), done, deadline);
        self.waiting.push_back(id);
        Ok(())
    }

    /// Whether there are as many as may be that somebody waits for.
    fn is_full(&mut self) -> bool {
        if self.entries.len() - self.own >= self.most {
            self.forget_given_up();
        }
        self.entries.len() - self.own >= self.most
    }

    fn count(&mut self, done: &Done, up: bool) {
        let step = |count: &mut usize| match up {
            true => *count += 1,
            false => *count = count.saturating_sub(1),
        };
        if done.is_own() {
            step(&mut self.own);
        }
        match done {
            Done::Room(..) => step(&mut self.entering),
            Done::Left(_) => step(&mut self.leaving),
            _ => {}
        }
    }

    fn forget_given_up(&mut self) {
        let given_up = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.done.is_given_up());
        let given_up: Vec<u64> = given_up.map(|(id, _)| *id).collect();
        for id in given_up {
            self.take(id);
        }
    }

    fn insert(&mut self, message: Option<Message>, done: Done, deadline: Instant) -> u64 {
        self.last += 1;
        self.count(&done, true);
        self.deadlines.insert((deadline, self.last));
        self.entries.insert(
            self.last,
            Entry {
                message,
                done,
                deadline,
            },
        );
        self.last
    }

    pub(crate) fn take(&mut self, id: u64) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        self.count(&entry.done, false);
        self.deadlines.remove(&(entry.deadline, id));
        if entry.message.is_some() {
            self.waiting.retain(|waiting| *waiting != id);
        }
        Some(entry)
    }

    /// The next one that waits to be sent, and still makes sense. It stays an entry, as sent.
    pub(crate) fn next_waiting(&mut self) -> Option<(u64, Message)> {
        while let Some(id) = self.waiting.pop_front() {
            let Some(entry) = self.entries.get_mut(&id) else {
                continue;
            };
            let message = entry.message.take();
            if entry.done.is_given_up() {
                self.take(id);
            } else if let Some(message) = message {
                return Some((id, message));
            }
        }
        None
    }

    /// Whether nobody waits for an answer to it.
    pub(crate) fn is_post(&self, id: u64) -> bool {
        self.entries
            .get(&id)
            .is_some_and(|entry| matches!(entry.done, Done::Sent(_)))
    }

    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadlines.first().map(|(deadline, _)| *deadline)
    }

    /// One whose time is over.
    pub(crate) fn late(&mut self, now: Instant) -> Option<Entry> {
        let (deadline, id) = *self.deadlines.first()?;
        if deadline > now { None } else { self.take(id) }
    }

    /// The connection has ended. What wasn't sent waits for the next one, if there is to be one.
    pub(crate) fn lose(&mut self, is_over: bool) -> Vec<Entry> {
        let lost = self.entries.iter();
        let lost = lost.filter(|(_, entry)| is_over || entry.message.is_none());
        let lost: Vec<u64> = lost.map(|(id, _)| *id).collect();
        lost.into_iter().filter_map(|id| self.take(id)).collect()
    }
}
