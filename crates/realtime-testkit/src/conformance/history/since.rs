//! What came after a position.

use std::{
    sync::atomic::{AtomicBool, Ordering::SeqCst},
    time::Duration,
};

use bytes::Bytes;
use realtime_core::history::{Entry, Epoch, History, MAX_ANSWER, Page, Position, Since};

use super::{
    at, complete, count, keep, latest, long, lost, numbered, ok, position, room, say, since,
};
use crate::wait::{until, within};

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
