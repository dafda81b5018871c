//! What an entry and a name of a room may hold.

use bytes::Bytes;
use realtime_core::history::{Append, Entry, History, HistoryErrorKind, MAX_DATA};

use super::{at, complete, latest, long, named, ok, position, room, say, since};

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
