//! The checker finds a drop, a double and a swap, and takes what is right.

use std::sync::Arc;

use super::{At, Book, Counts, Entry, Ledger, PUBLISHERS, Recovered, Sent, check};

const A: usize = 0;
const B: usize = 1;

fn at(epoch: &str, offset: u64) -> At {
    let epoch = Arc::from(epoch);
    At { epoch, offset }
}

fn joined(at: Option<At>) -> Entry {
    let begun = [0; PUBLISHERS];
    Entry::Joined { at, begun }
}

fn live(offset: u64, publisher: usize, n: u64) -> Entry {
    let number = (publisher, n);
    Entry::Live { offset, number }
}

fn recovered(from: At, missed: &[(u64, (usize, u64))]) -> Entry {
    let last = missed.last().map_or(from.offset, |(offset, _)| *offset);
    let to = At {
        offset: last,
        ..from.clone()
    };
    let missed = missed.to_vec();
    Entry::Recovered(Box::new(Recovered { from, to, missed }))
}

/// Publisher A has sent three messages, and B two.
fn sent() -> [Sent; PUBLISHERS] {
    let mut sent = <[Sent; PUBLISHERS]>::default();
    (sent[A].count, sent[B].count) = (3, 2);
    sent
}

fn plain(book: &[Entry]) -> Result<Counts, String> {
    check(false, &book.to_vec(), &sent(), &mut Ledger::new())
}

fn kept(book: &[Entry]) -> Result<Counts, String> {
    check(true, &book.to_vec(), &sent(), &mut Ledger::new())
}

/// The book of somebody who was in throughout.
fn right(position: Option<At>) -> Book {
    let mut book = vec![joined(position)];
    let numbers = [(A, 1), (B, 1), (A, 2), (A, 3), (B, 2)];
    let offsets = 1..;
    let lines = offsets
        .zip(numbers)
        .map(|(offset, (p, n))| live(offset, p, n));
    book.extend(lines);
    book
}

fn changed(mut book: Book, change: impl FnOnce(&mut Book)) -> Book {
    change(&mut book);
    book
}

pub(crate) async fn the_checker_of_rooms_finds_what_is_wrong() {
    without_a_history();
    with_a_history();
    the_history_is_lost();
}

fn without_a_history() {
    let book = || right(None);
    assert_eq!(plain(&book()).unwrap().taken, 5);
    for line in 1..=5 {
        let dropped = changed(book(), |book| drop(book.remove(line)));
        plain(&dropped).expect_err("dropped");
        let doubled = changed(book(), |book| book.insert(line, book[line].clone()));
        plain(&doubled).expect_err("doubled");
        let late = changed(book(), |book| book.push(book[line].clone()));
        plain(&late).expect_err("doubled at the end");
    }
    for (one, other) in [(1, 3), (2, 5), (3, 4)] {
        plain(&changed(book(), |book| book.swap(one, other))).expect_err("out of order");
    }
    // Of different publishers there is no order.
    plain(&changed(book(), |book| book.swap(1, 2))).unwrap();
    plain(&changed(book(), |book| book.push(live(0, A, 4)))).expect_err("never sent");

    // What is missing is told of, before what follows or a moment later.
    for told in [3, 5] {
        let gap = changed(book(), |book| {
            book.remove(3);
            book.insert(told, Entry::Gap(None));
        });
        assert_eq!(plain(&gap).unwrap().missing, 1);
    }
    let early = changed(book(), |book| {
        book.remove(4);
        book.insert(2, Entry::Gap(None));
    });
    plain(&early).expect_err("that was something else");
    let mut sent = sent();
    sent[A].failed.insert(2);
    let known = changed(book(), |book| drop(book.remove(3)));
    check(false, &known, &sent, &mut Ledger::new()).expect("its sender knows");

    // Who wasn't in throughout gets what was begun while it was.
    let begun = std::array::from_fn(|publisher| [2, 1, 0, 0][publisher]);
    let back = |more: &[Entry]| {
        let mut book = vec![joined(None), live(0, A, 1), live(0, B, 1)];
        book.extend([Entry::Cut, Entry::Joined { at: None, begun }]);
        book.extend_from_slice(more);
        plain(&book)
    };
    back(&[live(0, A, 3), live(0, B, 2)]).unwrap();
    back(&[live(0, A, 2), live(0, A, 3), live(0, B, 2)]).unwrap();
    back(&[live(0, B, 2)]).expect_err("dropped");
    back(&[live(0, A, 3), live(0, A, 2), live(0, B, 2)]).expect_err("out of order");
    let left = changed(book(), |book| book.insert(2, Entry::Left));
    plain(&left).expect_err("it had left");
}

fn with_a_history() {
    let book = || right(Some(at("e", 0)));
    assert_eq!(kept(&book()).unwrap().taken, 5);
    for line in 1..=5 {
        let dropped = changed(book(), |book| drop(book.remove(line)));
        kept(&dropped).expect_err("dropped");
        let doubled = changed(book(), |book| book.insert(line, book[line].clone()));
        kept(&doubled).expect_err("doubled");
        for told in [Entry::Gap(None), Entry::Gap(Some(at("e", 0)))] {
            let told = changed(dropped.clone(), |book| book.insert(1, told));
            kept(&told).expect_err("a gap is no excuse");
        }
        return_to(&book(), line);
    }
    for (one, other) in [(1, 2), (1, 3), (2, 5), (3, 4)] {
        kept(&changed(book(), |book| book.swap(one, other))).expect_err("out of order");
    }
    // The offsets are right, and what has them isn't.
    let wrong = [(A, 1), (B, 1), (A, 3), (A, 2), (B, 2)];
    let wrong = (1..).zip(wrong).map(|(offset, (p, n))| live(offset, p, n));
    let wrong: Book = [joined(Some(at("e", 0)))]
        .into_iter()
        .chain(wrong)
        .collect();
    kept(&wrong).expect_err("out of order in the history");
    let mut ledger = Ledger::new();
    check(true, &book(), &sent(), &mut ledger).unwrap();
    let other = changed(right(Some(at("e", 0))), |book| {
        (book[1], book[2]) = (live(1, B, 1), live(2, A, 1));
    });
    check(true, &other, &sent(), &mut ledger).expect_err("others have another order");
    check(true, &book(), &sent(), &mut ledger).unwrap();
}

/// What came from this line on, with an answer: after a cut, and after a gap on one connection.
fn return_to(book: &Book, line: usize) {
    let missed: Vec<_> = book[line..]
        .iter()
        .map(|entry| match entry {
            Entry::Live { offset, number } => (*offset, *number),
            other => panic!("expected a message; got {other:?}"),
        })
        .collect();
    let from = at("e", line as u64 - 1);
    let with = |missed: &[_]| {
        let mut back = book[..line].to_vec();
        back.extend([Entry::Cut, recovered(from.clone(), missed)]);
        kept(&back)
    };
    assert_eq!(with(&missed).unwrap().taken, 5);
    with(&missed[1..]).expect_err("dropped");
    with(&missed[..missed.len() - 1]).expect_err("dropped at the end");
    with(&[&missed[..1], &missed].concat()).expect_err("doubled");
    if line > 1 {
        let Entry::Live { offset, number } = book[line - 1] else {
            panic!("expected a message")
        };
        let before = [&[(offset, number)], &missed[..]].concat();
        with(&before).expect_err("it has it");
    }
    // Who is leaving may not be told of a gap any more, and has what came before it.
    let left = [Entry::Leaves, live(9, A, 9), Entry::Left];
    let mut back = book[..line].to_vec();
    back.extend_from_slice(&left[1..]);
    kept(&back).expect_err("a hole");
    back.truncate(line);
    back.extend(left);
    back.push(recovered(from.clone(), &missed));
    assert_eq!(kept(&back).unwrap().taken, 5);
    // On the connection that was told of a gap the next messages may come before the answer.
    let mut told = book[..line].to_vec();
    told.push(Entry::Gap(Some(at("e", 5))));
    told.extend_from_slice(&book[line + 1..]);
    kept(&told).expect_err("it has asked, and nothing came");
    told.push(recovered(from.clone(), &missed));
    kept(&told).unwrap();
    let mut told = book.clone();
    told.insert(line, Entry::Gap(Some(at("e", 5))));
    told.push(recovered(from, &missed));
    kept(&told).unwrap();
}

fn the_history_is_lost() {
    let mut sent = sent();
    sent[A].repeated.insert(1);
    let begun = [
        joined(Some(at("e", 0))),
        live(1, A, 1),
        Entry::Gap(Some(at("f", 0))),
    ];
    let all = [(1, (A, 1)), (2, (A, 3)), (3, (B, 2))];
    let with = |more: &[Entry]| {
        let book = [&begun[..], more].concat();
        check(true, &book, &sent, &mut Ledger::new())
    };
    let lost = || Entry::Lost { at: at("f", 2) };
    let afresh = recovered(at("f", 0), &all);
    let right = with(&[lost(), live(3, B, 2), afresh.clone()]).unwrap();
    assert_eq!((right.lost, right.missing), (1, 2));
    assert_eq!(right.epochs.len(), 2);
    with(&[]).expect_err("it has asked, and nothing came");
    with(&[lost()]).expect_err("it has to load afresh");
    with(&[live(1, A, 3), live(2, B, 2)]).expect_err("nobody said that all is lost");
    with(&[afresh]).expect_err("it was in another life of the history");
    with(&[lost(), recovered(at("f", 0), &all[1..])]).expect_err("dropped");
    let twice = [(1, (A, 3)), (2, (A, 3)), (3, (B, 2))];
    with(&[lost(), recovered(at("f", 0), &twice)]).expect_err("doubled");
    let again = [(1, (A, 1)), (2, (A, 1)), (3, (A, 3)), (4, (B, 2))];
    with(&[lost(), recovered(at("f", 0), &again)]).expect_err("doubled in one life");
}
