//! The newest entries, and paging back from them.

use std::time::Duration;

use realtime_core::history::{History, MAX_ANSWER, MAX_DATA, Page};

use super::{count, keep, latest, long, numbered, ok, room, say};
use crate::wait::within;

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
