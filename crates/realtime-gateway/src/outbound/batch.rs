//! What a dispatcher takes from a log in one round.

use std::{borrow::Cow, sync::Arc};

use bytes::{Bytes, BytesMut};

use super::{
    log::{Entry, Reader},
    room::{Audience, Room},
};
use crate::metrics::Stamps;

/// Up to this much is copied into one piece, so that each session's write has one slice.
const JOINED_BYTES: usize = 64 * 1024;

/// Consecutive messages of a log.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    first: u64,
    frames: Vec<Bytes>,
    /// For each message whom it is for; empty where all are for everybody.
    to: Vec<Option<Arc<Audience>>>,
    /// All frames, one behind the other; empty where that would be too much.
    joined: Bytes,
    /// What is for everybody, where a part isn't: for the many who are in none of its rooms.
    for_all: Option<Box<Batch>>,
    /// When its messages came.
    stamps: Stamps,
}

/// What of a batch is for one session.
pub(super) struct Part<'b> {
    pub(super) frames: Cow<'b, [Bytes]>,
    /// The same in one piece, where there is one.
    pub(super) joined: Option<&'b [u8]>,
}

impl Batch {
    pub(super) fn new(first: u64, entries: Vec<Entry>) -> Self {
        let stamps = Stamps::of(entries.iter().map(|entry| entry.at));
        let is_for_all = |entry: &&Entry| entry.to.is_none();
        let (mut to, mut for_all) = (Vec::new(), None);
        let common = entries.iter().filter(is_for_all).count();
        if common < entries.len() {
            to = entries.iter().map(|entry| entry.to.clone()).collect();
            if common > 0 {
                let entries = entries.iter().filter(is_for_all).cloned();
                for_all = Some(Box::new(Self::new(first, entries.collect())));
            }
        }
        let frames: Vec<Bytes> = entries.into_iter().map(|entry| entry.frame).collect();
        let joined = match frames.as_slice() {
            [one] => one.clone(),
            many if is_worth_joining(&to) && bytes(many) <= JOINED_BYTES => {
                let mut joined = BytesMut::with_capacity(bytes(many));
                many.iter()
                    .for_each(|frame| joined.extend_from_slice(frame));
                joined.freeze()
            }
            _ => Bytes::new(),
        };
        Self {
            first,
            frames,
            to,
            joined,
            for_all,
            stamps,
        }
    }

    /// When its messages came, in their order.
    pub(crate) const fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    /// Its bytes.
    pub(crate) fn bytes(&self) -> usize {
        bytes(&self.frames)
    }

    /// The position behind its last message.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.frames.len() as u64
    }

    /// The rooms that it is for, each once; `None` where a part of it is for everybody.
    pub(crate) fn rooms(&self) -> Option<Vec<Arc<Room>>> {
        if self.to.is_empty() {
            return None;
        }
        let mut rooms: Vec<Arc<Room>> = Vec::new();
        for to in &self.to {
            for room in to.as_ref()?.rooms() {
                // One after the other is mostly the same one.
                if !rooms.last().is_some_and(|last| last.is(room)) {
                    rooms.push(Arc::clone(room));
                }
            }
        }
        rooms.sort_unstable_by_key(|room| room.id());
        rooms.dedup_by(|a, b| a.is(b));
        Some(rooms)
    }

    /// What of its messages from a cursor on is for a reader.
    pub(super) fn part(&self, cursor: u64, reader: Reader<'_>) -> Part<'_> {
        if let (Some(for_all), true, None) = (&self.for_all, cursor <= self.first, reader.rooms) {
            return for_all.part(0, reader);
        }
        let all = self.after(cursor);
        let skipped = self.frames.len() - all.len();
        let is_whole = self.to.is_empty() || {
            let to = self.places().skip(skipped);
            to.clone().all(|(place, to)| reader.gets(to, place))
        };
        if is_whole {
            return Part {
                frames: Cow::Borrowed(all),
                joined: self.joined_from(skipped),
            };
        }
        let its = self.places().zip(&self.frames).skip(skipped);
        let its = its.filter(|((place, to), _)| reader.gets(*to, *place));
        Part {
            frames: its.map(|(_, frame)| frame.clone()).collect(),
            joined: None,
        }
    }

    /// Each message's place in the log, and whom it is for.
    fn places(&self) -> impl Iterator<Item = (u64, Option<&Arc<Audience>>)> + Clone {
        (self.first..).zip(self.to.iter().map(Option::as_ref))
    }

    pub(super) fn after(&self, cursor: u64) -> &[Bytes] {
        let skipped = usize::try_from(cursor.saturating_sub(self.first)).unwrap_or(usize::MAX);
        self.frames.get(skipped..).unwrap_or_default()
    }

    fn joined_from(&self, skipped: usize) -> Option<&[u8]> {
        if self.joined.is_empty() {
            return None;
        }
        self.joined.get(bytes(&self.frames[..skipped])..)
    }
}

/// Whether somebody gets all of it: where it is for everybody, or for one room.
fn is_worth_joining(to: &[Option<Arc<Audience>>]) -> bool {
    let room = |to: &Option<Arc<Audience>>| match to.as_deref().map(Audience::rooms) {
        Some([room]) => Some(Arc::clone(room)),
        _ => None,
    };
    let Some(first) = to.first() else {
        return true;
    };
    let first = room(first);
    first.is_some_and(|first| {
        to.iter()
            .all(|to| room(to).is_some_and(|room| room.is(&first)))
    })
}

fn bytes(frames: &[Bytes]) -> usize {
    frames.iter().map(Bytes::len).sum()
}

#[cfg(all(test, not(realtime_loom)))]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use realtime_core::RoomName;

    use super::{
        super::room::{Memberships, Offset},
        *,
    };
    use crate::metrics::Stamp;

    const NO_ROOMS: Reader<'_> = Reader {
        outbox: 1,
        rooms: None,
    };

    fn entry(frame: &'static str, to: Option<&Arc<Audience>>) -> Entry {
        Entry {
            frame: Bytes::from(frame),
            to: to.cloned(),
            at: Stamp::now(),
        }
    }

    fn room(name: &str) -> Arc<Room> {
        Arc::new(Room::new(RoomName::try_from(name).unwrap(), 1))
    }

    fn read(batch: &Batch, cursor: u64, reader: Reader<'_>) -> String {
        let part = batch.part(cursor, reader);
        let text = String::from_utf8(part.frames.concat()).unwrap();
        if let Some(joined) = part.joined {
            assert_eq!(joined, text.as_bytes());
        }
        text
    }

    #[test]
    fn it_has_the_same_bytes_in_one_piece_and_in_several() {
        let entries = ["a", "bc", "def"].map(|frame| entry(frame, None));
        let batch = Batch::new(7, entries.into());
        assert_eq!((batch.end(), batch.rooms().is_none()), (10, true));
        for cursor in 0..12 {
            let several: Vec<u8> = batch.after(cursor).concat();
            assert_eq!(read(&batch, cursor, NO_ROOMS).as_bytes(), several);
            assert!(batch.part(cursor, NO_ROOMS).joined.is_some());
        }
        assert_eq!(read(&batch, 7, NO_ROOMS), "abcdef");
        assert_eq!(read(&batch, 9, NO_ROOMS), "def");
    }

    #[test]
    fn what_is_large_is_not_copied() {
        let large = Bytes::from(vec![0; JOINED_BYTES]);
        let entry = Entry {
            frame: large.clone(),
            to: None,
            at: Stamp::now(),
        };
        let batch = Batch::new(0, vec![entry.clone(), entry.clone()]);
        assert_eq!(batch.part(0, NO_ROOMS).joined, None);
        let batch = Batch::new(0, vec![entry]);
        let joined = batch.part(0, NO_ROOMS).joined.unwrap();
        assert_eq!(joined.as_ptr(), large.as_ptr());
    }

    #[test]
    fn each_reader_gets_what_is_for_its_rooms_since_it_came() {
        let (a, b) = (room("a"), room("b"));
        let to = |rooms: &[&Arc<Room>], except: &[usize]| {
            let rooms = rooms.iter().map(|room| Arc::clone(room)).collect();
            Arc::new(Audience::new(rooms, except.into()))
        };
        let entries = vec![
            entry("1", None),
            entry("2", Some(&to(&[&a], &[]))),
            entry("3", Some(&to(&[&b], &[]))),
            entry("4", Some(&to(&[&a, &b], &[7]))),
            entry("5", None),
        ];
        let batch = Batch::new(10, entries);
        assert!(batch.rooms().is_none(), "a part is for everybody");
        let member_of = |rooms: &[(&Arc<Room>, u64)]| {
            let mut memberships = Memberships::default();
            for (room, since) in rooms {
                memberships.insert(Arc::clone(room), 0, *since, Offset::default());
            }
            memberships
        };
        let read = |rooms: &[(&Arc<Room>, u64)], cursor: u64, outbox: usize| {
            let rooms = Some(&member_of(rooms));
            read(&batch, cursor, Reader { outbox, rooms })
        };
        assert_eq!(super::tests::read(&batch, 0, NO_ROOMS), "15");
        assert_eq!(super::tests::read(&batch, 11, NO_ROOMS), "5");
        assert!(batch.part(10, NO_ROOMS).joined.is_some());
        assert_eq!(read(&[(&a, 0)], 0, 1), "1245");
        assert_eq!(read(&[(&b, 0)], 0, 1), "1345");
        assert_eq!(read(&[(&a, 0), (&b, 0)], 0, 1), "12345");
        assert_eq!(
            read(&[(&a, 0), (&b, 0)], 0, 7),
            "1235",
            "it is an exception"
        );
        assert_eq!(read(&[(&a, 12)], 0, 1), "145", "it joined at the third");
        assert_eq!(read(&[(&a, 0)], 12, 1), "45");
    }

    #[test]
    fn its_rooms_are_named_once() {
        let (a, b) = (room("a"), room("b"));
        let to = |room: &Arc<Room>| Arc::new(Audience::new(vec![Arc::clone(room)], Vec::new()));
        let (to_a, to_b) = (to(&a), to(&b));
        let entries = [&to_b, &to_a, &to_b, &to_b].map(|to| entry("x", Some(to)));
        let rooms = Batch::new(0, entries.into()).rooms().unwrap();
        let names: Vec<&str> = rooms.iter().map(|room| room.name().as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        let one = Batch::new(0, vec![entry("x", Some(&to_a)), entry("y", Some(&to_a))]);
        assert_eq!(one.joined, "xy", "all of it goes to the same sessions");
    }
}
