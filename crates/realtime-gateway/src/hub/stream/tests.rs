//! Orders of arrival, and what comes of them.

use bytes::Bytes;

use super::*;
use crate::{dialects::DialectId, outbound::Offset};

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
        frames: Frames::of_codec(Bytes::from(offset.to_string())),
        except: Vec::new(),
        traced: Traced::default(),
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
    stream.was_read(true);
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
fn whether_another_life_of_the_history_has_begun_is_for_the_history_to_say() {
    let (stream, old) = stream();
    let (new, now) = (Epoch::random(), Instant::now());
    stream.offer(&new, message(2));
    let (offsets, step) = handed(&stream, now);
    assert!(offsets.is_empty());
    let Step::Read(from) = step else {
        panic!("{step:?}");
    };
    assert_eq!(from, Position::new(old.clone(), 10));
    // It was: from its first message on.
    let skipped = stream.skip_to(&from, Position::new(new.clone(), 2));
    assert!(skipped.is_some());
    stream.offer(&new, message(1));
    stream.was_read(true);
    let (offsets, step) = handed(&stream, now);
    assert!(offsets.is_empty(), "before its members know");
    assert!(matches!(step, Step::Idle));
    drop(skipped);
    let (offsets, step) = handed(&stream, now);
    assert_eq!(offsets, [1, 2]);
    assert!(matches!(step, Step::Read(_)), "what else there is of it");
    stream.was_read(true);
    // It wasn't: what came is of an earlier one, however often.
    for _ in 0..3 {
        stream.offer(&old, message(11));
        stream.offer(&new, message(stream.position().unwrap().offset + 1));
        let (offsets, step) = handed(&stream, now);
        assert_eq!(offsets.len(), 1);
        assert!(matches!(step, Step::Read(at) if at.epoch == new));
        stream.was_read(true);
    }
    assert_eq!(handed(&stream, now).0, Vec::<u64>::new());
}

#[test]
fn one_that_is_larger_than_what_is_held_is_handed_over() {
    let (stream, epoch) = stream();
    let mut large = message(11);
    large.frames = Frames::of_codec(Bytes::from(vec![0; HELD_BYTES + 1]));
    stream.offer(&epoch, large);
    assert_eq!(handed(&stream, Instant::now()).0, [11]);
}

#[test]
fn what_is_in_order_goes_on_while_the_history_is_asked() {
    let (stream, epoch) = stream();
    let now = Instant::now();
    Stream::doubt(&stream);
    assert!(matches!(stream.step(now), Step::Read(_)));
    stream.offer(&epoch, message(11));
    assert_eq!(handed(&stream, now).0, [11]);
    stream.was_read(false);
    assert!(matches!(stream.step(now), Step::Read(at) if at.offset == 11));
}

#[test]
fn who_joins_gets_what_came_since_the_answer_was_made() {
    let (stream, epoch) = stream();
    let joining = stream.joining();
    let at = Position::new(epoch.clone(), 10);
    let join = |at: &Position| {
        let frames = |frames: Vec<Bytes>, after: Offset| (frames.concat(), after.offset);
        joining.join(at, DialectId::CODEC, |_| false, frames)
    };
    assert_eq!(join(&at), Some((vec![], 10)));
    for offset in 11..14 {
        stream.offer(&epoch, message(offset));
    }
    assert_eq!(handed(&stream, Instant::now()).0, [11, 12, 13]);
    assert_eq!(join(&at), Some((b"111213".to_vec(), 13)));
    let read = Position::new(epoch.clone(), 12);
    assert_eq!(join(&read), Some((b"13".to_vec(), 13)));
    let ahead = Position::new(epoch.clone(), 20);
    assert_eq!(stream.entrance().unwrap().offset, 13);
    assert_eq!(join(&ahead), Some((vec![], 20)), "the history has more");
    // Whoever was told so may leave, and comes in behind it.
    assert_eq!(stream.entrance(), Some(ahead));
    assert_eq!(stream.position().unwrap().offset, 13);
    assert_eq!(join(&Position::new(Epoch::random(), 10)), None);
    drop(joining);
    let late = stream.joining();
    let known = late.join(
        &at,
        DialectId::CODEC,
        |_| false,
        |frames: Vec<Bytes>, _| frames.len(),
    );
    assert_eq!(known, None, "it isn't known what came in between");
}
