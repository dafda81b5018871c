//! The suite for what a [`History`] does where something else lies in the place of a stream.
//!
//! Not every store can be brought to that. For one that can, each test gets a function that makes
//! another handle on one store, which no other test uses, and an async function that does a
//! [`Damage`] to what lies in the store.

use std::time::Duration;

use realtime_core::{
    RoomName,
    history::{Append, Epoch, History, HistoryError, HistoryErrorKind, Position, Retention, Since},
};

/// Declares the tests of the suite. The expression makes, for each test anew, a function that makes
/// handles on one store, and an async closure that does a
/// [`Damage`](crate::conformance::history_faults::Damage) to it; it may `await`.
///
/// ```no_run
/// use realtime::history::MemoryHistory;
/// use realtime_testkit::conformance::history_faults::Damage;
///
/// realtime_testkit::history_faults_suite!({
///     let store = MemoryHistory::new(); // your store, on a server that the test can spoil
///     let handle = move || store.clone();
///     let damage = async |damage: Damage| match damage {
///         Damage::Stream(_room) => {} // put something else where its stream belongs
///         Damage::Entries(_room) => {} // take its entries away, and leave the rest
///         _ => {}
///     };
///     (handle, damage)
/// });
/// # fn main() {}
/// ```
#[macro_export]
macro_rules! history_faults_suite {
    ($make:expr) => {
        $crate::__suite! { each, history_faults, $make,
            calls_about_a_damaged_room_fail_and_others_do_not
            removing_a_damaged_room_makes_it_whole
            entries_that_are_not_there_are_lost_and_the_stream_goes_on
        }
    };
}

/// What a test has done to the store, behind its back.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// Something else lies where the stream of this room belongs, so that every call about it
    /// fails until that is removed.
    Stream(RoomName),
    /// The entries of this room are not there any more. Its epoch and offset are.
    Entries(RoomName),
}

#[allow(clippy::expect_used, reason = "a test fails by a panic")]
fn room(name: &str) -> RoomName {
    name.parse().expect("the name of a room")
}

#[allow(clippy::expect_used, reason = "a test fails by a panic")]
fn kept() -> Retention {
    Retention::new(100, Duration::from_secs(300)).expect("a retention within its bounds")
}

#[allow(clippy::panic, reason = "a test fails by a panic")]
fn ok<T>(result: Result<T, HistoryError>) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("the store was expected to answer; got {error:?}"),
    }
}

async fn say<H: History>(history: &H, room: &RoomName) -> Position {
    let append = Append::new("x", kept());
    ok(history.append(room, append).await).position
}

/// Calls about a room fail where something else lies in the place of its stream, with kind
/// `Corrupt`; others don't.
pub async fn calls_about_a_damaged_room_fail_and_others_do_not<H: History>(
    (mut handle, damage): (impl FnMut() -> H, impl AsyncFn(Damage)),
) {
    let (history, broken, whole) = (handle(), room("broken"), room("whole"));
    damage(Damage::Stream(broken.clone())).await;
    let after = Position::new(Epoch::random(), 0);
    for _ in 0..2 {
        let errors = [
            history
                .append(&broken, Append::new("x", kept()))
                .await
                .err(),
            history.since(&broken, &after, 10).await.err(),
            history.latest(&broken, None, 10).await.err(),
            history.position(&broken, kept()).await.err(),
        ];
        for error in errors {
            let kind = error.as_ref().map(HistoryError::kind);
            assert_eq!(kind, Some(HistoryErrorKind::Corrupt), "{error:?}");
            assert_eq!(error.map(|error| error.is_transient()), Some(false));
        }
    }
    assert_eq!(say(&history, &whole).await.offset, 1);
    assert_eq!(ok(history.latest(&whole, None, 10).await).entries.len(), 1);
}

/// Removing a damaged room makes it whole.
pub async fn removing_a_damaged_room_makes_it_whole<H: History>(
    (mut handle, damage): (impl FnMut() -> H, impl AsyncFn(Damage)),
) {
    let (history, broken) = (handle(), room("broken"));
    let before = say(&history, &broken).await;
    damage(Damage::Stream(broken.clone())).await;
    ok(history.remove(&broken).await);
    let after = say(&history, &broken).await;
    assert_eq!(after.offset, 1);
    assert_ne!(after.epoch, before.epoch);
    assert_eq!(ok(history.latest(&broken, None, 10).await).entries.len(), 1);
}

/// Entries that are not there any more are lost, which is said, and the stream goes on.
pub async fn entries_that_are_not_there_are_lost_and_the_stream_goes_on<H: History>(
    (mut handle, damage): (impl FnMut() -> H, impl AsyncFn(Damage)),
) {
    let (history, room) = (handle(), room("{order}:42"));
    let mut end = say(&history, &room).await;
    for _ in 0..9 {
        end = say(&history, &room).await;
    }
    damage(Damage::Entries(room.clone())).await;
    let at = |offset| Position::new(end.epoch.clone(), offset);
    let lost = ok(history.since(&room, &at(5), 100).await);
    let position = Some(end.clone());
    assert_eq!(lost, Since::Lost { position });
    let page = ok(history.latest(&room, None, 100).await);
    assert_eq!((page.entries, page.before), (Vec::new(), None));
    assert_eq!(say(&history, &room).await, at(11));
    let lost = ok(history.since(&room, &at(9), 100).await);
    let position = Some(at(11));
    assert_eq!(lost, Since::Lost { position });
    let new = ok(history.since(&room, &at(10), 100).await);
    let is_new = matches!(&new, Since::Complete { entries, .. } if entries.len() == 1);
    assert!(is_new, "expected the new entry; got {new:?}");
    let page = ok(history.latest(&room, None, 100).await);
    assert_eq!((page.entries.len(), page.before), (1, None));
}
