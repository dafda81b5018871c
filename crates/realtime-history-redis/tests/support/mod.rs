//! What the tests share.

use std::time::{Duration, Instant};

use futures::StreamExt;
use realtime_core::{
    RoomName,
    history::{
        Append, Appended, Entry, Epoch, History, HistoryError, HistoryEvent, HistoryEvents,
        Position, Retention, Since,
    },
};
use realtime_history_redis::{RedisConfig, RedisHistory};
use realtime_testkit::wait::within;

/// The command timeout of 1 s, and what a busy machine may add.
pub(crate) const SOON: Duration = Duration::from_millis(2_500);

pub(crate) fn history(url: impl Into<String>) -> RedisHistory {
    RedisHistory::from_url(url).unwrap()
}

/// For the suites, whose largest data takes a busy machine a while.
pub(crate) fn patient(url: impl Into<String>) -> RedisHistory {
    let config = RedisConfig::builder(url).command_timeout(Duration::from_secs(8));
    RedisHistory::new(config.build().unwrap())
}

pub(crate) fn room() -> RoomName {
    named("order:42")
}

pub(crate) fn named(name: &str) -> RoomName {
    name.parse().unwrap()
}

pub(crate) fn keep(messages: usize, age: Duration) -> Retention {
    Retention::new(messages, age).unwrap()
}

/// Longer than any test, and more than most of them append.
pub(crate) fn long() -> Retention {
    keep(10_000, Duration::from_secs(300))
}

pub(crate) fn at(end: &Position, offset: u64) -> Position {
    Position::new(end.epoch.clone(), offset)
}

pub(crate) async fn append(history: &RedisHistory, room: &RoomName) -> Appended {
    let append = Append::new("x", long());
    history.append(room, append).await.unwrap()
}

pub(crate) async fn say(history: &RedisHistory, room: &RoomName) -> Position {
    append(history, room).await.position
}

/// All that came after a position; `None` where it is lost.
pub(crate) async fn missed(
    history: &RedisHistory,
    room: &RoomName,
    after: &Position,
) -> Option<Vec<Entry>> {
    match history.since(room, after, 10_000).await.unwrap() {
        Since::Complete { entries, .. } => Some(entries),
        _ => None,
    }
}

/// Appends something and reads it.
pub(crate) async fn works(history: &RedisHistory) {
    let begin = history.position(&room(), long()).await.unwrap();
    let end = say(history, &room()).await;
    let missed = missed(history, &room(), &begin).await.unwrap();
    assert_eq!(missed.last().map(|entry| entry.offset), Some(end.offset));
    let page = history.latest(&room(), None, 1).await.unwrap();
    assert_eq!(page.position, Some(end));
}

/// All commands about a room fail within the timeout; the first error is returned.
pub(crate) async fn failure(history: &RedisHistory) -> HistoryError {
    let (room, after, start) = (room(), Position::new(Epoch::random(), 0), Instant::now());
    let (appended, since, latest, position, removed) = futures::join!(
        history.append(&room, Append::new("x", long())),
        history.since(&room, &after, 10),
        history.latest(&room, None, 10),
        history.position(&room, long()),
        history.remove(&room),
    );
    let took = start.elapsed();
    assert!(took < SOON, "it took {took:?} to fail");
    let errors = [
        appended.unwrap_err(),
        since.unwrap_err(),
        latest.unwrap_err(),
        position.unwrap_err(),
        removed.unwrap_err(),
    ];
    let kind = errors[0].kind();
    assert!(errors.iter().all(|e| e.kind() == kind), "{errors:?}");
    let [first, ..] = errors;
    first
}

pub(crate) async fn next_down(events: &mut HistoryEvents) -> String {
    match within("an event", events.next()).await {
        Some(HistoryEvent::Down { cause, .. }) => cause,
        other => panic!("expected Down; got {other:?}"),
    }
}

/// Waits until all of it is up, whatever of it is said to be down before, and for what reasons.
pub(crate) async fn until_up(events: &mut HistoryEvents) {
    let up = async {
        loop {
            match events.next().await {
                Some(HistoryEvent::Up) => return,
                Some(HistoryEvent::Down { .. }) => {}
                other => panic!("expected Up; got {other:?}"),
            }
        }
    };
    within("the store to be up", up).await;
}
