//! The suite for [`History`].
//!
//! Each test gets a function that makes another handle on one store, which no other test uses.

mod append;
mod data;
mod handles;
mod keys;
mod pages;
mod positions;
mod since;

use std::time::Duration;

use bytes::Bytes;
use realtime_core::{
    RoomName,
    history::{
        Append, Entry, Epoch, History, HistoryError, IdempotencyKey, Page, Position, Retention,
        Since,
    },
};

use crate::wait::within;

pub use self::{append::*, data::*, handles::*, keys::*, pages::*, positions::*, since::*};

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
