//! Positions, and streams that begin or are removed.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use realtime_core::history::{Append, History, Page, Since};

use super::{
    at, complete, count, keep, key, latest, long, lost, named, numbered, ok, position, room, since,
};
use crate::wait::until;

/// A new stream has offset 0, and the next append continues it.
pub async fn a_new_stream_has_offset_0_and_is_continued<H: History>(mut handle: impl FnMut() -> H) {
    let (here, there) = (handle(), handle());
    let begin = position(&here, &room()).await;
    assert_eq!(begin.offset, 0);
    assert_eq!(
        since(&there, &room(), &begin, 10).await,
        complete(Vec::new(), &begin)
    );
    let empty = Page::new(Vec::new(), Some(begin.clone()), None);
    assert_eq!(latest(&there, &room(), 10).await, empty);
    assert_eq!(count(&there, &room(), 1..=1, long()).await, at(&begin, 1));
    let answer = since(&here, &room(), &begin, 10).await;
    assert_eq!(answer, complete(numbered(1..=1), &at(&begin, 1)));
}

/// Asked again, a position is the same, on every node, and also when all entries have gone. Where
/// many ask at once, one stream begins.
pub async fn a_position_is_the_same_for_all<H: History>(mut handle: impl FnMut() -> H) {
    let handles: Vec<H> = (0..8).map(|_| handle()).collect();
    let room = room();
    let asked = join_all(handles.iter().map(|history| position(history, &room))).await;
    let different: HashSet<_> = asked.iter().collect();
    assert_eq!(different.len(), 1, "{asked:?}");
    let short = keep(10, Duration::from_millis(200));
    let end = count(&handles[0], &room, 1..=4, short).await;
    assert_eq!(end, at(&asked[0], 4));
    until("all are too old", async || {
        latest(&handles[1], &room, 100).await.entries.is_empty()
    })
    .await;
    for history in &handles {
        assert_eq!(position(history, &room).await, end);
    }
    assert_eq!(count(&handles[2], &room, 5..=5, short).await, at(&end, 5));
}

/// Asking for a position keeps the entries as they are, whatever retention is given with it.
pub async fn asking_for_a_position_keeps_the_entries_as_they_are<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let history = handle();
    let end = count(&history, &room(), 1..=10, long()).await;
    let least = keep(1, Duration::from_millis(1));
    assert_eq!(ok(history.position(&room(), least).await), end);
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(
        latest(&history, &room(), 100).await.entries,
        numbered(1..=10)
    );
    let answer = since(&history, &room(), &at(&end, 0), 10).await;
    assert_eq!(answer, complete(numbered(1..=10), &end));
}

/// What was removed is not given any more, its keys are forgotten, and the next stream of the room
/// has another epoch and begins at offset 1.
pub async fn a_removed_stream_is_gone_and_begins_again_with_another_epoch<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (here, there) = (handle(), handle());
    let append = |number: u64| Append::new(number.to_string(), long()).with_key(key("k"));
    ok(here.append(&room(), append(1)).await);
    let end = count(&here, &room(), 2..=5, long()).await;
    ok(there.remove(&room()).await);
    let gone = since(&here, &room(), &at(&end, 1), 10).await;
    assert_eq!(gone, Since::Lost { position: None });
    assert_eq!(latest(&here, &room(), 10).await, Page::default());
    let first = ok(here.append(&room(), append(1)).await);
    assert_eq!((first.is_duplicate, first.position.offset), (false, 1));
    assert_ne!(first.position.epoch, end.epoch);
    assert_eq!(since(&here, &room(), &end, 10).await, lost(&first.position));
    let old = at(&end, 1);
    assert_eq!(since(&here, &room(), &old, 10).await, lost(&first.position));
    assert_eq!(latest(&there, &room(), 10).await.entries, numbered(1..=1));
    ok(here.remove(&room()).await);
    let third = position(&there, &room()).await;
    assert!(third.offset == 0 && third.epoch != first.position.epoch);
}

/// Removing what is not there is fine, and other rooms stay.
pub async fn removing_what_is_not_there_is_fine_and_other_rooms_stay<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (history, other) = (handle(), named("order:43"));
    let end = count(&history, &other, 1..=3, long()).await;
    for _ in 0..2 {
        ok(history.remove(&room()).await);
    }
    assert_eq!(position(&history, &other).await, end);
    assert_eq!(latest(&history, &other, 10).await.entries, numbered(1..=3));
}
