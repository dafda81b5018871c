//! All streams, and which of them goes when there is no room.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
};

use tokio::time::Instant;

use super::stream::{self, Stream};
use crate::{
    RoomName,
    history::{Append, Appended, HistoryError, HistoryErrorKind, Position, Retention},
};

/// What a stream takes beside its name and what it holds.
const STREAM: usize = 512;

/// How many streams of which something has ended are cleaned up with each call: more than begin.
const SWEPT: usize = 2;

pub(super) struct Store {
    max_bytes: usize,
    max_streams: usize,
    streams: HashMap<RoomName, Held>,
    /// The one that nobody has used for longest is the first.
    used: BTreeMap<u64, RoomName>,
    /// By when there is something to clean up, together with the number of the last use.
    due: BTreeMap<(Instant, u64), RoomName>,
    bytes: usize,
    uses: u64,
}

struct Held {
    stream: Stream,
    used: u64,
    due: Option<Instant>,
}

impl fmt::Debug for Store {
    /// Names and data are the users' own.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("streams", &self.streams.len())
            .field("bytes", &self.bytes)
            .finish_non_exhaustive()
    }
}

fn size(room: &RoomName, stream: &Stream) -> usize {
    STREAM + room.as_str().len() + stream.bytes()
}

impl Store {
    pub(super) fn new(max_bytes: usize, max_streams: usize) -> Self {
        Self {
            max_bytes,
            max_streams,
            streams: HashMap::new(),
            used: BTreeMap::new(),
            due: BTreeMap::new(),
            bytes: 0,
            uses: 0,
        }
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn streams(&self) -> usize {
        self.streams.len()
    }

    pub(super) fn append(
        &mut self,
        room: &RoomName,
        append: Append,
        now: Instant,
    ) -> Result<Appended, HistoryError> {
        let needed = STREAM + room.as_str().len() + stream::size(&append);
        if needed > self.max_bytes {
            let most = self.max_bytes;
            return Err(HistoryError::new(
                HistoryErrorKind::TooLarge,
                format!("the history holds {most} bytes in all; the entry would take {needed}"),
            ));
        }
        let retention = append.retention;
        Ok(self.change(room, retention, now, |stream| stream.append(append, now)))
    }

    pub(super) fn position(
        &mut self,
        room: &RoomName,
        retention: Retention,
        now: Instant,
    ) -> Position {
        self.change(room, retention, now, |stream| {
            stream.know(retention, now);
            stream.position()
        })
    }

    /// Changes a stream, which begins where there is none, and makes room for it.
    fn change<T>(
        &mut self,
        room: &RoomName,
        retention: Retention,
        now: Instant,
        change: impl FnOnce(&mut Stream) -> T,
    ) -> T {
        self.sweep(now);
        let (name, mut stream) = match self.take(room) {
            Some((name, stream)) if stream.is_known(now) => (name, stream),
            // The name may be a small part of something large, which would stay with it.
            _ => (copy(room), Stream::new(retention, now)),
        };
        stream.expire(now);
        let changed = change(&mut stream);
        // Under a retention that is another one now.
        stream.expire(now);
        self.put(name, stream);
        self.make_room();
        changed
    }

    /// Looks at a stream, without what has ended.
    pub(super) fn look<T>(
        &mut self,
        room: &RoomName,
        now: Instant,
        look: impl FnOnce(&Stream) -> T,
    ) -> Option<T> {
        let (name, mut stream) = self.take(room)?;
        if !stream.is_known(now) {
            return None;
        }
        stream.expire(now);
        let seen = look(&stream);
        self.put(name, stream);
        Some(seen)
    }

    pub(super) fn remove(&mut self, room: &RoomName) {
        self.take(room);
    }

    /// Takes a stream out of everything.
    fn take(&mut self, room: &RoomName) -> Option<(RoomName, Stream)> {
        let (name, held) = self.streams.remove_entry(room)?;
        self.bytes -= size(&name, &held.stream);
        self.used.remove(&held.used);
        if let Some(due) = held.due {
            self.due.remove(&(due, held.used));
        }
        Some((name, held.stream))
    }

    /// Puts it back, as the one that was used last.
    fn put(&mut self, name: RoomName, stream: Stream) {
        self.uses += 1;
        let (used, due) = (self.uses, stream.ends());
        self.bytes += size(&name, &stream);
        self.used.insert(used, name.clone());
        if let Some(due) = due {
            self.due.insert((due, used), name.clone());
        }
        self.streams.insert(name, Held { stream, used, due });
    }

    /// Frees what has ended in streams that nobody asks for. Such a stream stays as long unused as
    /// it is.
    fn sweep(&mut self, now: Instant) {
        for _ in 0..SWEPT {
            let Some(first) = self.due.first_entry().filter(|first| first.key().0 <= now) else {
                return;
            };
            let ((_, used), name) = first.remove_entry();
            let Some(held) = self.streams.get_mut(&name) else {
                continue;
            };
            held.due = None;
            if !held.stream.is_known(now) {
                self.take(&name);
                continue;
            }
            self.bytes -= held.stream.bytes();
            held.stream.expire(now);
            self.bytes += held.stream.bytes();
            held.due = held.stream.ends();
            if let Some(due) = held.due {
                self.due.insert((due, used), name);
            }
        }
    }

    /// Gives up what was not used for longest, and of the last that is left, its oldest entries.
    fn make_room(&mut self) {
        while self.streams.len() > 1
            && (self.bytes > self.max_bytes || self.streams.len() > self.max_streams)
        {
            let Some(oldest) = self.used.values().next().cloned() else {
                return;
            };
            self.take(&oldest);
        }
        let Some(left) = self.used.values().next_back().cloned() else {
            return;
        };
        let Some(held) = self.streams.get_mut(&left) else {
            return;
        };
        while self.bytes > self.max_bytes {
            let before = held.stream.bytes();
            if !held.stream.shed() {
                return;
            }
            self.bytes -= before - held.stream.bytes();
        }
    }
}

fn copy(room: &RoomName) -> RoomName {
    // A name that is one stays one.
    RoomName::try_from(room.as_str()).unwrap_or_else(|_| room.clone())
}
