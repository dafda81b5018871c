//! The suite for [`History`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

use std::{
    collections::HashSet,
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use futures::{FutureExt, StreamExt, future::join_all};
use realtime_core::{
    RoomName,
    history::{
        Append, Appended, Entry, Epoch, History, HistoryError, HistoryErrorKind, IdempotencyKey,
        MAX_ANSWER, MAX_DATA, Page, Position, Retention, Since,
    },
};

use crate::wait::{until, within};

/// Declares the tests of the suite. See [`conformance`](crate::conformance).
#[macro_export]
macro_rules! history_suite {
    ($handles:expr) => {
        $crate::history_suite! { @tests each, history, $handles, }
    };
    ($name:ident, $server:expr, $handles:expr) => {
        $crate::history_suite! { @tests all, history, $name, $server, $handles, }
    };
    (@tests $($how:tt)*) => {
        $crate::__suite! { $($how)*
            offsets_begin_at_1_and_have_no_holes
            appends_at_the_same_time_get_offsets_of_their_own
            what_was_appended_is_found_at_once_by_every_node
            no_more_than_the_retention_says_is_kept
            an_entry_that_is_too_old_is_not_given
            the_last_retention_counts_for_the_whole_stream
            a_key_that_was_used_appends_nothing
            one_key_at_the_same_time_appends_once
            keys_belong_to_one_room
            data_comes_back_as_it_was
            data_that_is_too_long_is_refused
            rooms_are_kept_apart_whatever_their_names_hold
            all_that_came_after_a_position_is_given_in_order
            what_is_not_all_there_is_lost
            what_is_too_long_for_an_answer_is_lost
            another_epoch_and_the_future_are_lost
            a_room_without_a_stream_has_nothing
            an_answer_is_never_partial
            who_has_seen_everything_has_lost_nothing
            the_newest_entries_come_in_their_order
            paging_back_leads_to_every_entry_once
            a_page_that_would_be_too_long_is_shorter
            a_new_stream_has_offset_0_and_is_continued
            a_position_is_the_same_for_all
            asking_for_a_position_keeps_the_entries_as_they_are
            a_removed_stream_is_gone_and_begins_again_with_another_epoch
            removing_what_is_not_there_is_fine_and_other_rooms_stay
            calls_that_are_dropped_leave_the_stream_whole
            every_caller_gets_a_stream_of_events_of_its_own
            streams_of_events_end_after_close
            closing_is_idempotent_and_leaves_streams
            calls_after_close_fail
        }
    };
}

/// Longer than any test, and more than any of them appends.
fn long() -> Retention {
    keep(10_000, Duration::from_secs(300))
}

#[allow(clippy::expect_used, reason = "a test fails by a panic")]
fn keep(messages: usize, age: Duration) -> Retention {
    Retention::new(messages, age).expect("a retention within its bounds")
}

fn room() -> RoomName {
    named("order:42")
}

#[allow(clippy::expect_used, reason = "a test fails by a panic")]
fn named(name: &str) -> RoomName {
    name.parse().expect("the name of a room")
}

#[allow(clippy::expect_used, reason = "a test fails by a panic")]
fn key(text: &str) -> IdempotencyKey {
    text.parse().expect("an idempotency key")
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, HistoryError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

/// Appends, and returns where.
async fn say<H: History>(history: &H, room: &RoomName, data: impl Into<Bytes>) -> Position {
    say_kept(history, room, data, long()).await
}

async fn say_kept<H: History>(
    history: &H,
    room: &RoomName,
    data: impl Into<Bytes>,
    retention: Retention,
) -> Position {
    let append = history.append(room, Append::new(data, retention));
    let appended = ok(within("an append", append).await);
    assert!(!appended.is_duplicate, "there was no key");
    appended.position
}

/// Appends the numbers of a range, in this order, and returns the end.
async fn count<H: History>(
    history: &H,
    room: &RoomName,
    numbers: std::ops::RangeInclusive<u64>,
    retention: Retention,
) -> Position {
    let mut last = None;
    for number in numbers {
        last = Some(say_kept(history, room, number.to_string(), retention).await);
    }
    let begin = || Position::new(Epoch::random(), 0);
    last.unwrap_or_else(begin)
}

/// Entries whose data is their own offset.
fn numbered(numbers: std::ops::RangeInclusive<u64>) -> Vec<Entry> {
    let entry = |number: u64| Entry::new(number, number.to_string().into());
    numbers.map(entry).collect()
}

async fn since<H: History>(history: &H, room: &RoomName, after: &Position, limit: usize) -> Since {
    ok(within("what is missing", history.since(room, after, limit)).await)
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn all_of(answer: Since) -> (Vec<Entry>, Position) {
    match answer {
        Since::Complete { entries, position } => (entries, position),
        other => panic!("expected a complete answer; got {other:?}"),
    }
}

async fn latest<H: History>(history: &H, room: &RoomName, count: usize) -> Page {
    ok(within("the newest entries", history.latest(room, None, count)).await)
}

async fn position<H: History>(history: &H, room: &RoomName) -> Position {
    ok(within("the position", history.position(room, long())).await)
}

fn at(end: &Position, offset: u64) -> Position {
    Position::new(end.epoch.clone(), offset)
}

fn complete(entries: Vec<Entry>, end: &Position) -> Since {
    Since::Complete {
        entries,
        position: end.clone(),
    }
}

fn lost(end: &Position) -> Since {
    Since::Lost {
        position: Some(end.clone()),
    }
}

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

/// An append with a key that was used within the window appends nothing, and is answered with the
/// position of the first.
pub async fn a_key_that_was_used_appends_nothing<H: History>(mut handle: impl FnMut() -> H) {
    let (here, there) = (handle(), handle());
    let append = |data: &str, text: &str| {
        let kept = keep(3, Duration::from_secs(300));
        Append::new(data.to_owned(), kept).with_key(key(text))
    };
    let long_key = "ä {:} \n".repeat(14);
    let first = ok(here.append(&room(), append("1", "pay")).await);
    assert_eq!(first, Appended::now(at(&first.position, 1)));
    let again = ok(there.append(&room(), append("another", "pay")).await);
    assert_eq!(again, Appended::before(first.position.clone()));
    for (number, text) in [(2, "pay "), (3, "PAY"), (4, &*long_key), (5, "a"), (6, "b")] {
        let append = append(&number.to_string(), text);
        let appended = ok(here.append(&room(), append).await);
        assert_eq!(appended, Appended::now(at(&first.position, number)));
    }
    // Though the entry has gone.
    let again = ok(there.append(&room(), append("another", "pay")).await);
    assert_eq!(again, Appended::before(first.position));
    let again = ok(there.append(&room(), append("another", &long_key)).await);
    assert_eq!((again.is_duplicate, again.position.offset), (true, 4));
    assert_eq!(latest(&here, &room(), 10).await.entries, numbered(4..=6));
}

/// One key used many times at once appends once.
pub async fn one_key_at_the_same_time_appends_once<H: History>(mut handle: impl FnMut() -> H) {
    let handles: Vec<H> = (0..8).map(|_| handle()).collect();
    let once = |history: H| {
        tokio::spawn(async move {
            let append = Append::new("once", long()).with_key(key("one"));
            ok(history.append(&room(), append).await)
        })
    };
    let told = join_all(handles.into_iter().map(once)).await;
    let told: Vec<Appended> = told.into_iter().filter_map(Result::ok).collect();
    let first = told.iter().filter(|told| !told.is_duplicate).count();
    assert_eq!((told.len(), first), (8, 1), "{told:?}");
    assert!(told.iter().all(|told| told.position.offset == 1));
    assert_eq!(latest(&handle(), &room(), 10).await.entries.len(), 1);
}

/// Keys belong to one room: the same key in another room is another one.
pub async fn keys_belong_to_one_room<H: History>(mut handle: impl FnMut() -> H) {
    let history = handle();
    for name in ["a", "b", "a:", "a}"] {
        let append = || Append::new(name.to_owned(), long()).with_key(key("k"));
        let appended = ok(history.append(&named(name), append()).await);
        assert!(!appended.is_duplicate, "{name}");
        assert_eq!(appended.position.offset, 1);
        assert!(ok(history.append(&named(name), append()).await).is_duplicate);
    }
}

/// Data may be empty, or large, and comes back as it was.
pub async fn data_comes_back_as_it_was<H: History>(mut handle: impl FnMut() -> H) {
    let (here, there) = (handle(), handle());
    let all_bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
    let data: [Bytes; 5] = [
        Bytes::new(),
        all_bytes.into(),
        "1:2 {\"a\":\u{1F600}}\r\n".into(),
        vec![0; 1_000].into(),
        "123".into(),
    ];
    let begin = position(&here, &room()).await;
    for data in &data {
        say(&here, &room(), data.clone()).await;
    }
    let entries: Vec<Entry> = (1..)
        .zip(data)
        .map(|(n, data)| Entry::new(n, data))
        .collect();
    let end = at(&begin, 5);
    let answer = since(&there, &room(), &begin, 10).await;
    assert!(
        answer == complete(entries.clone(), &end),
        "other data came back"
    );
    assert!(latest(&there, &room(), 10).await.entries == entries);
}

/// Data that is longer than an entry may be is refused, with kind `TooLarge`, and is not there.
pub async fn data_that_is_too_long_is_refused<H: History>(mut handle: impl FnMut() -> H) {
    let history = handle();
    let append = Append::new(vec![0; MAX_DATA + 1], long());
    let refused = history.append(&room(), append).await.map_err(|e| e.kind());
    assert_eq!(refused, Err(HistoryErrorKind::TooLarge));
    assert_eq!(say(&history, &room(), "1").await.offset, 1);
}

/// Rooms are kept apart, whatever their names hold.
pub async fn rooms_are_kept_apart_whatever_their_names_hold<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (here, there) = (handle(), handle());
    let (longest, wide) = ("x".repeat(256), "\u{1F600}".repeat(64));
    let names = [
        "a",
        "A",
        "a ",
        " a",
        "a:b",
        "a:",
        ":a",
        "{a}",
        "{}",
        "}",
        "{",
        "}{",
        "a}b",
        "{a}:b",
        "a{b}c",
        "ä",
        "a\u{308}",
        "\0",
        "\n",
        "*",
        "a*",
        "[a]",
        "%61",
        "%",
        "'",
        "\"",
        "\\",
        "/",
        "a/../b",
        "\u{202e}",
        "a:entries",
        "a}:entries",
        &longest,
        &longest[1..],
        &wide,
    ];
    for name in names {
        assert_eq!(
            say(&here, &named(name), name.to_owned()).await.offset,
            1,
            "{name:?}"
        );
    }
    for name in names {
        let page = latest(&there, &named(name), 10).await;
        let own = Entry::new(1, name.to_owned().into());
        assert_eq!(page.entries, [own], "{name:?}");
    }
    ok(here.remove(&named("{}")).await);
    for name in names {
        let left = latest(&there, &named(name), 10).await.entries.len();
        assert_eq!(left, usize::from(name != "{}"), "{name:?}");
    }
}

/// All entries after the position are given, in order and each once, with the end of the stream;
/// none, where nothing is missing.
pub async fn all_that_came_after_a_position_is_given_in_order<H: History>(
    mut handle: impl FnMut() -> H,
) {
    let (here, there) = (handle(), handle());
    // More than what a store may want to read at once.
    let end = count(&here, &room(), 1..=600, long()).await;
    for seen in [0, 1, 9, 10, 99, 255, 300, 598, 599, 600] {
        let answer = since(&there, &room(), &at(&end, seen), 1_000).await;
        assert_eq!(
            answer,
            complete(numbered(seen + 1..=600), &end),
            "after {seen}"
        );
    }
}

/// It is lost where an entry is not there any more, or where there are more than the limit.
pub async fn what_is_not_all_there_is_lost<H: History>(mut handle: impl FnMut() -> H) {
    let history = handle();
    let retention = keep(10, Duration::from_secs(300));
    let end = count(&history, &room(), 1..=30, retention).await;
    for (seen, limit, is_there) in [
        (0, 100, false),
        (19, 100, false),
        (20, 100, true),
        (20, 10, true),
        (20, 9, false),
        (28, 2, true),
        (28, 1, false),
        (29, 0, false),
        (30, 0, true),
        (29, usize::MAX, true),
    ] {
        let answer = since(&history, &room(), &at(&end, seen), limit).await;
        let expected = match is_there {
            true => complete(numbered(seen + 1..=30), &end),
            false => lost(&end),
        };
        assert_eq!(answer, expected, "after {seen}, at most {limit}");
    }
}

/// It is lost where together the entries are longer than `MAX_ANSWER`.
pub async fn what_is_too_long_for_an_answer_is_lost<H: History>(mut handle: impl FnMut() -> H) {
    let (history, quarter) = (handle(), Bytes::from(vec![7; MAX_ANSWER / 4]));
    let begin = position(&history, &room()).await;
    for _ in 0..4 {
        say(&history, &room(), quarter.clone()).await;
    }
    let answer = since(&history, &room(), &begin, 10).await;
    let entries = (1..=4).map(|n| Entry::new(n, quarter.clone())).collect();
    assert!(
        answer == complete(entries, &at(&begin, 4)),
        "all of it fits"
    );
    let end = say(&history, &room(), "x").await;
    let is_lost = since(&history, &room(), &begin, 10).await == lost(&end);
    assert!(is_lost, "what is too long was given");
    let rest = vec![Entry::new(5, "x".into())];
    let answer = since(&history, &room(), &at(&begin, 4), 10).await;
    assert!(answer == complete(rest, &end));
}

/// It is lost where the position has another epoch or is beyond the end.
pub async fn another_epoch_and_the_future_are_lost<H: History>(mut handle: impl FnMut() -> H) {
    let history = handle();
    let end = count(&history, &room(), 1..=3, long()).await;
    for future in [4, 5, 1_000, u64::from(u32::MAX), (1 << 53) + 1, u64::MAX] {
        let answer = since(&history, &room(), &at(&end, future), usize::MAX).await;
        assert_eq!(answer, lost(&end), "{future}");
    }
    for offset in 0..=4 {
        let other = Position::new(Epoch::random(), offset);
        assert_eq!(since(&history, &room(), &other, 100).await, lost(&end));
    }
}

/// It is lost, without a position, where there is no stream, and so the page is empty. Asking
/// doesn't begin one.
pub async fn a_room_without_a_stream_has_nothing<H: History>(mut handle: impl FnMut() -> H) {
    let (history, after) = (handle(), Position::new(Epoch::random(), 0));
    for _ in 0..2 {
        let answer = since(&history, &room(), &after, 10).await;
        assert_eq!(answer, Since::Lost { position: None });
        assert_eq!(latest(&history, &room(), 10).await, Page::default());
        let page = ok(history.latest(&room(), Some(5), 10).await);
        assert_eq!(page, Page::default());
    }
}

/// An answer is never partial, whatever is appended meanwhile.
pub async fn an_answer_is_never_partial<H: History>(mut handle: impl FnMut() -> H) {
    let (writer, reader) = (handle(), handle());
    let begin = position(&writer, &room()).await;
    let (has_ended, retention) = (AtomicBool::new(false), keep(40, Duration::from_secs(300)));
    let write = async {
        for n in 1..=400 {
            count(&writer, &room(), n..=n, retention).await;
            // A store that answers at once is to be read meanwhile, too.
            tokio::task::yield_now().await;
        }
        has_ended.store(true, SeqCst);
    };
    let read = async {
        let (mut seen, mut answers) = (begin.clone(), 0);
        while !has_ended.load(SeqCst) || seen.offset < 400 {
            // Now from where we are, now from the edge of what is kept.
            let edge = at(&begin, seen.offset.saturating_sub(35));
            match since(&reader, &room(), &edge, 100).await {
                Since::Complete { entries, position } => {
                    assert_eq!(entries, numbered(edge.offset + 1..=position.offset));
                    assert!(position.offset >= seen.offset, "the end went back");
                    seen = position;
                }
                Since::Lost { position } => {
                    let end = position.unwrap_or_else(|| begin.clone());
                    assert!(end.offset > edge.offset + 40, "{end:?} after {edge:?}");
                    seen = end;
                }
                _ => {}
            }
            answers += 1;
            tokio::task::yield_now().await;
        }
        answers
    };
    let ((), answers) = within("the end", futures::future::join(write, read)).await;
    assert!(answers > 1, "nothing was read meanwhile");
}

/// Who has seen everything has lost nothing, though the entries have gone.
pub async fn who_has_seen_everything_has_lost_nothing<H: History>(mut handle: impl FnMut() -> H) {
    let (history, short) = (handle(), keep(100, Duration::from_millis(200)));
    let end = count(&history, &room(), 1..=5, short).await;
    until("all are too old", async || {
        latest(&history, &room(), 100).await.entries.is_empty()
    })
    .await;
    assert_eq!(
        since(&history, &room(), &end, 0).await,
        complete(Vec::new(), &end)
    );
    assert_eq!(since(&history, &room(), &at(&end, 4), 9).await, lost(&end));
}

/// The newest entries come in their order, at most `count`, with the end of the stream.
pub async fn the_newest_entries_come_in_their_order<H: History>(mut handle: impl FnMut() -> H) {
    let (here, there) = (handle(), handle());
    let end = count(&here, &room(), 1..=12, long()).await;
    for (count, first, before) in [
        (1, 12, Some(12)),
        (2, 11, Some(11)),
        (11, 2, Some(2)),
        (12, 1, None),
        (100, 1, None),
        (usize::MAX, 1, None),
    ] {
        let page = latest(&there, &room(), count).await;
        let expected = Page::new(numbered(first..=12), Some(end.clone()), before);
        assert_eq!(page, expected, "{count}");
    }
    let nothing = latest(&there, &room(), 0).await;
    assert_eq!(nothing, Page::new(Vec::new(), Some(end), Some(13)));
}

/// Paging back leads to every entry that is kept, each once, and ends; also while others append.
pub async fn paging_back_leads_to_every_entry_once<H: History>(mut handle: impl FnMut() -> H) {
    let (history, kept) = (handle(), keep(100, Duration::from_secs(300)));
    let mut end = count(&history, &room(), 1..=130, kept).await;
    let (mut found, mut before, mut pages) = (Vec::new(), None, 0);
    loop {
        let page = ok(history.latest(&room(), before, 7).await);
        assert_eq!(page.position, Some(end.clone()));
        assert!(page.entries.len() <= 7);
        found.splice(0..0, page.entries);
        pages += 1;
        assert!(pages < 100, "it doesn't end");
        if pages == 3 {
            end = count(&history, &room(), 131..=133, kept).await;
        }
        match page.before {
            None => break,
            next => before = next,
        }
    }
    assert_eq!(found, numbered(34..=130));
    for (before, entries) in [
        (0, Vec::new()),
        (1, Vec::new()),
        (34, Vec::new()),
        (35, numbered(34..=34)),
        (133, numbered(131..=132)),
        (134, numbered(132..=133)),
        (135, numbered(132..=133)),
        (u64::MAX, numbered(132..=133)),
    ] {
        let page = ok(history.latest(&room(), Some(before), 2).await);
        assert_eq!(page.entries, entries, "before {before}");
    }
}

/// Data beyond `MAX_ANSWER` is left to the next page; a page has at least one entry.
pub async fn a_page_that_would_be_too_long_is_shorter<H: History>(mut handle: impl FnMut() -> H) {
    let history = handle();
    let sizes = [10, MAX_DATA, MAX_ANSWER / 2, MAX_ANSWER / 2];
    for size in sizes {
        say(&history, &room(), vec![7; size]).await;
    }
    let (mut before, mut pages) = (None, Vec::new());
    loop {
        let page = ok(within("a page", history.latest(&room(), before, 10)).await);
        let sizes = page.entries.iter().map(|e| (e.offset, e.data.len()));
        pages.push(sizes.collect::<Vec<_>>());
        before = page.before;
        if before.is_none() || pages.len() > 4 {
            break;
        }
    }
    let half = MAX_ANSWER / 2;
    let expected = [
        vec![(3, half), (4, half)],
        vec![(2, MAX_DATA)],
        vec![(1, 10)],
    ];
    assert_eq!(pages, expected);
}

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
