//! Idempotency keys.

use std::time::Duration;

use futures::future::join_all;
use realtime_core::history::{Append, Appended, History};

use super::{at, keep, key, latest, long, named, numbered, ok, room};

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
