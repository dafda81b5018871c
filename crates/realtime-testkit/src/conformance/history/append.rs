//! What is appended, and for how long it is kept.

use std::{collections::HashSet, time::Duration};

use futures::future::join_all;
use realtime_core::history::{Entry, History, Page, Position};

use super::{at, complete, count, keep, latest, long, lost, numbered, room, say, since};
use crate::wait::until;

/// The first entry has offset 1, and each has one more than the entry before it.
pub async fn offsets_begin_at_1_and_have_no_holes<H: History>(mut handle: impl FnMut() -> H) {
    let (here, there) = (handle(), handle());
    let first = say(&here, &room(), "1").await;
    for offset in 2..=20 {
        let history = if offset % 2 == 0 { &there } else { &here };
        assert_eq!(say(history, &room(), "x").await, at(&first, offset));
    }
    assert_eq!(first.offset, 1);
}

/// Appends at the same time get offsets of their own, without a hole, and each entry stands where
/// its append was told.
pub async fn appends_at_the_same_time_get_offsets_of_their_own<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (tasks, each) = (8, 50);
    let handles: Vec<H> = (0..tasks).map(|_| handle()).collect();
    let speak = |(task, history): (usize, H)| {
        tokio::spawn(async move {
            let mut told = Vec::new();
            for n in 0..each {
                let data = format!("{task}:{n}");
                told.push((say(&history, &room(), data.clone()).await, data));
            }
            told
        })
    };
    let reader = handle();
    let said = join_all(handles.into_iter().enumerate().map(speak)).await;
    let mut said: Vec<(Position, String)> = said
        .into_iter()
        .flat_map(Result::unwrap_or_default)
        .collect();
    said.sort_by_key(|(position, _)| position.offset);
    let all = (tasks * each) as u64;
    let offsets: Vec<u64> = said.iter().map(|(position, _)| position.offset).collect();
    assert_eq!(offsets, (1..=all).collect::<Vec<_>>());
    let epochs: HashSet<_> = said.iter().map(|(position, _)| &position.epoch).collect();
    assert_eq!(epochs.len(), 1);
    let entries = said
        .iter()
        .map(|(position, data)| Entry::new(position.offset, data.clone().into()));
    let (begin, end) = (at(&said[0].0, 0), at(&said[0].0, all));
    let answer = since(&reader, &room(), &begin, 1_000).await;
    assert_eq!(answer, complete(entries.collect(), &end));
}

/// What was appended is found at once, by every node.
pub async fn what_was_appended_is_found_at_once_by_every_node<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (here, there) = (handle(), handle());
    for n in 1..=20 {
        let end = count(&here, &room(), n..=n, long()).await;
        let answer = since(&there, &room(), &at(&end, n - 1), 1).await;
        assert_eq!(answer, complete(numbered(n..=n), &end));
        assert_eq!(latest(&there, &room(), 1).await.entries, numbered(n..=n));
    }
}

/// No more than the retention's number of messages is kept, and always the newest.
pub async fn no_more_than_the_retention_says_is_kept<H: History>(mut handle: impl FnMut() -> H) {
    let (history, minutes) = (handle(), Duration::from_secs(300));
    let end = count(&history, &room(), 1..=25, keep(10, minutes)).await;
    assert_eq!(
        latest(&history, &room(), 100).await,
        Page::new(numbered(16..=25), Some(end.clone()), None)
    );
    let answer = since(&history, &room(), &at(&end, 15), 100).await;
    assert_eq!(answer, complete(numbered(16..=25), &end));
    let answer = since(&history, &room(), &at(&end, 14), 100).await;
    assert_eq!(answer, lost(&end));
    let end = count(&history, &room(), 26..=26, keep(1, minutes)).await;
    assert_eq!(
        latest(&history, &room(), 100).await.entries,
        numbered(26..=26)
    );
    assert_eq!(end.offset, 26);
}

/// An entry that is older than the retention's age is not given any more, while younger ones are.
pub async fn an_entry_that_is_too_old_is_not_given<H: History>(mut handle: impl FnMut() -> H) {
    let (history, short) = (handle(), keep(100, Duration::from_millis(1_500)));
    let end = count(&history, &room(), 1..=3, short).await;
    assert_eq!(
        latest(&history, &room(), 100).await.entries,
        numbered(1..=3)
    );
    tokio::time::sleep(Duration::from_millis(900)).await;
    let end = at(&end, count(&history, &room(), 4..=5, short).await.offset);
    until(
        "the old ones have gone, and the young are there",
        async || latest(&history, &room(), 100).await.entries == numbered(4..=5),
    )
    .await;
    assert_eq!(
        since(&history, &room(), &at(&end, 2), 100).await,
        lost(&end)
    );
    until("all have gone", async || {
        latest(&history, &room(), 100).await == Page::new(Vec::new(), Some(end.clone()), None)
    })
    .await;
    assert_eq!(
        since(&history, &room(), &at(&end, 4), 100).await,
        lost(&end)
    );
    let next = count(&history, &room(), 6..=6, short).await;
    assert_eq!(next, at(&end, 6), "the stream goes on");
    assert_eq!(
        latest(&history, &room(), 100).await.entries,
        numbered(6..=6)
    );
}

/// The retention that was given last counts for the whole stream.
pub async fn the_last_retention_counts_for_the_whole_stream<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (history, minutes) = (handle(), Duration::from_secs(300));
    let short = Duration::from_millis(400);
    count(&history, &room(), 1..=10, keep(100, minutes)).await;
    count(&history, &room(), 11..=11, keep(5, minutes)).await;
    assert_eq!(
        latest(&history, &room(), 100).await.entries,
        numbered(7..=11)
    );
    // What has become shorter holds for what was there before.
    count(&history, &room(), 12..=12, keep(100, short)).await;
    until("all are too old", async || {
        latest(&history, &room(), 100).await.entries.is_empty()
    })
    .await;
    // And what has become longer, too.
    count(&history, &room(), 13..=13, keep(100, short)).await;
    count(&history, &room(), 14..=14, keep(100, minutes)).await;
    tokio::time::sleep(short * 2).await;
    let left = latest(&history, &room(), 100).await.entries;
    assert!(left.ends_with(&numbered(14..=14)), "{left:?}");
}
