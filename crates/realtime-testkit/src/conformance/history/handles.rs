//! Calls that are dropped, events, and handles that are closed.

use std::{collections::HashSet, time::Duration};

use futures::{FutureExt, StreamExt};
use realtime_core::history::{Append, Epoch, History, HistoryErrorKind, Position};

use super::{all_of, count, keep, latest, long, numbered, position, room, say, since};
use crate::wait::within;

/// A call may be dropped at any time: what it was asked is then done or not, and the stream stays
/// whole.
pub async fn calls_that_are_dropped_leave_the_stream_whole<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (history, other, room) = (handle(), handle(), room());
    let begin = position(&history, &room).await;
    for n in 0..200_usize {
        let append = || Append::new(format!("{n}"), keep(500, Duration::from_secs(300)));
        // Polled no times, once, or for a moment.
        match n % 4 {
            0 => drop(history.append(&room, append())),
            1 => drop(history.append(&room, append()).now_or_never()),
            2 => {
                let moment = Duration::from_micros(n as u64);
                let append = history.append(&room, append());
                drop(tokio::time::timeout(moment, append).await);
            }
            _ => drop(history.since(&room, &begin, 500).now_or_never()),
        }
    }
    let told = say(&other, &room, "end").await;
    assert_eq!(told.epoch, begin.epoch);
    let (entries, position) = all_of(since(&other, &room, &begin, 500).await);
    let offsets: Vec<u64> = entries.iter().map(|entry| entry.offset).collect();
    assert_eq!(offsets, (1..=position.offset).collect::<Vec<_>>());
    let at_its_place = &entries[told.offset as usize - 1];
    assert_eq!(at_its_place.data, "end", "what was told is there");
    // Each that was dropped is there once, or not at all.
    let different: HashSet<_> = entries.iter().map(|entry| &entry.data).collect();
    assert_eq!(different.len(), entries.len());
}

/// Every caller gets a stream of events of its own.
pub async fn every_caller_gets_a_stream_of_events_of_its_own<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (open, closed) = (handle(), handle());
    let unread = open.events();
    let mut ends = closed.events();
    closed.close().await;
    within("the end of one stream", async {
        while ends.next().await.is_some() {}
    })
    .await;
    say(&open, &room(), "1").await;
    drop(unread);
}

/// The stream ends after `close`, also one that is asked for afterwards.
pub async fn streams_of_events_end_after_close<H: History>(mut handle: impl FnMut() -> H) {
    let history = handle();
    let before = history.events();
    history.close().await;
    for mut events in [before, history.events()] {
        within("the end of the events", async {
            while events.next().await.is_some() {}
        })
        .await;
    }
}

/// Closing is idempotent, and the streams stay for others.
pub async fn closing_is_idempotent_and_leaves_streams<H: History>(mut handle: impl FnMut() -> H) {
    let (here, there) = (handle(), handle());
    count(&here, &room(), 1..=3, long()).await;
    for _ in 0..2 {
        within("closing", here.close()).await;
    }
    assert_eq!(latest(&there, &room(), 10).await.entries, numbered(1..=3));
}

/// Calls after `close` fail with kind `Closed`.
pub async fn calls_after_close_fail<H: History>(mut handle: impl FnMut() -> H) {
    let (history, after) = (handle(), Position::new(Epoch::random(), 0));
    history.close().await;
    let failures = [
        history.append(&room(), Append::new("", long())).await.err(),
        history.since(&room(), &after, 10).await.err(),
        history.latest(&room(), None, 10).await.err(),
        history.position(&room(), long()).await.err(),
        history.remove(&room()).await.err(),
    ];
    for failure in failures {
        assert_eq!(failure.map(|e| e.kind()), Some(HistoryErrorKind::Closed));
    }
}
