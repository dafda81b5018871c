//! The checker: a member's book of one room against what was sent to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::book::{At, Book, Entry, Numbers, PUBLISHERS, Recovered, Sent};

/// How many lines before and after one that is wrong are shown.
const NEAR: usize = 6;

/// What is no fault, and is counted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) taken: u64,
    pub(super) recovered: u64,
    /// Recoveries of what can't be had any more.
    pub(super) lost: u64,
    pub(super) gaps: u64,
    /// Messages that are missing, and somebody knows.
    pub(super) missing: u64,
    /// In which lives of the history it was.
    pub(super) epochs: Vec<Arc<str>>,
}

/// Which message is at which place of a history: the same for everybody.
pub(super) type Ledger = BTreeMap<(Arc<str>, u64), (usize, u64)>;

/// Checks a member's book of a room; `kept` says that it has a history.
///
/// While it is in, it gets each message of each publisher once and in order. Without a history a
/// hole is allowed where it is told of it, by a gap at most a moment later. With one nothing may be
/// missing, unless the history itself is lost and it is told of that.
pub(super) fn check(
    kept: bool,
    book: &Book,
    sent: &[Sent; PUBLISHERS],
    ledger: &mut Ledger,
) -> Result<Counts, String> {
    let mut reader = Reader::new(kept, sent, ledger);
    for (line, entry) in book.iter().enumerate() {
        let read = reader.read(entry);
        let before = &book[line.saturating_sub(NEAR)..line];
        let after = &book[line + 1..book.len().min(line + 1 + NEAR)];
        read.map_err(|wrong| {
            format!("{wrong}, at line {line}, {entry:?}, between {before:?} and {after:?}")
        })?;
    }
    reader.end()
}

struct Reader<'a> {
    kept: bool,
    sent: &'a [Sent; PUBLISHERS],
    ledger: &'a mut Ledger,
    counts: Counts,
    is_in: bool,
    /// It is in, and has asked to leave.
    leaves: bool,
    /// Where it is, in a room with a history.
    at: Option<At>,
    /// It knows that it has less than there is, and has asked for it.
    asks: bool,
    /// It was told that all is lost, and loads afresh.
    loads: bool,
    /// The next message of each publisher: not one before the first, nor one after the second.
    next: [(u64, u64); PUBLISHERS],
    /// The last one of each in this life of the history.
    life: Numbers,
    /// Whether it has heard since the last one that something is lost.
    excused: [bool; PUBLISHERS],
    /// Holes of which it is to hear.
    owed: Option<String>,
}

impl<'a> Reader<'a> {
    fn new(kept: bool, sent: &'a [Sent; PUBLISHERS], ledger: &'a mut Ledger) -> Self {
        Self {
            kept,
            sent,
            ledger,
            counts: Counts::default(),
            is_in: false,
            leaves: false,
            at: None,
            asks: false,
            loads: false,
            next: [(1, 1); PUBLISHERS],
            life: [0; PUBLISHERS],
            excused: [false; PUBLISHERS],
            owed: None,
        }
    }

    fn read(&mut self, entry: &Entry) -> Result<(), String> {
        match entry {
            Entry::Joined { at, begun } => self.joined(at.clone(), begun),
            Entry::Live { offset, number } if self.kept => self.kept_live(*offset, *number),
            Entry::Live { number, .. } => match self.is_in {
                true => self.take(*number),
                false => Err("it isn't in".to_owned()),
            },
            Entry::Recovered(recovered) => self.recovered(recovered),
            Entry::Lost { at } => {
                self.counts.lost += 1;
                (self.is_in, self.loads) = (true, true);
                self.begins(at.clone());
                self.excuse();
                Ok(())
            }
            Entry::Gap(now) => {
                self.counts.gaps += 1;
                match (now, &self.at) {
                    (Some(now), Some(at)) => {
                        self.asks |= now.epoch != at.epoch || now.offset > at.offset;
                    }
                    _ if self.kept => {}
                    _ => self.excuse(),
                }
                Ok(())
            }
            Entry::Leaves => {
                self.leaves = true;
                Ok(())
            }
            Entry::Left | Entry::Cut => {
                self.leaves = false;
                // A gap that was about to be told is told to nobody.
                self.owed = None;
                (self.is_in, self.asks, self.loads) = (false, false, false);
                Ok(())
            }
        }
    }

    fn excuse(&mut self) {
        self.excused = [true; PUBLISHERS];
        self.owed = None;
    }

    fn begins(&mut self, at: At) {
        if self.counts.epochs.last() != Some(&at.epoch) {
            self.counts.epochs.push(Arc::clone(&at.epoch));
            self.life = [0; PUBLISHERS];
        }
        self.at = Some(at);
    }

    fn joined(&mut self, at: Option<At>, begun: &Numbers) -> Result<(), String> {
        if self.kept != at.is_some() {
            return Err("expected a position where there is a history, and only there".to_owned());
        }
        (self.is_in, self.asks, self.loads) = (true, false, false);
        for ((least, most), begun) in self.next.iter_mut().zip(begun) {
            // Another node may still be about to hand over what it has got on the last one.
            *least = if self.kept { *least } else { 1 };
            *most = (begun + 1).max(*least);
        }
        if let Some(at) = at {
            self.begins(at);
        }
        Ok(())
    }

    fn kept_live(&mut self, offset: u64, number: (usize, u64)) -> Result<(), String> {
        let Some(at) = self.at.clone().filter(|_| self.is_in) else {
            return Err("it isn't in".to_owned());
        };
        // It is among what comes with the answer.
        if self.loads || ((self.asks || self.leaves) && offset != at.offset + 1) {
            return Ok(());
        }
        self.take_kept(&at, offset, number)
    }

    fn take_kept(&mut self, at: &At, offset: u64, number: (usize, u64)) -> Result<(), String> {
        if offset != at.offset + 1 {
            return Err(format!("expected offset {}; got {offset}", at.offset + 1));
        }
        let At { epoch, .. } = at.clone();
        let place = (Arc::clone(&epoch), offset);
        let known = *self.ledger.entry(place).or_insert(number);
        if known != number {
            return Err(format!("somebody else has got {known:?} at this offset"));
        }
        self.at = Some(At { epoch, offset });
        self.take(number)
    }

    fn recovered(&mut self, recovered: &Recovered) -> Result<(), String> {
        self.counts.recovered += 1;
        let Recovered { from, to, missed } = recovered;
        let afresh = self.loads && from.offset == 0;
        if afresh {
            self.begins(from.clone());
        }
        let came_in = !self.is_in;
        self.is_in = true;
        for (offset, number) in missed {
            let Some(at) = self.at.clone() else {
                return Err("it was never in".to_owned());
            };
            if at.epoch != from.epoch {
                return Err("it was in another life of the history".to_owned());
            }
            // It came by itself as well, while this was asked for.
            if *offset <= at.offset && *offset > from.offset && !came_in && !afresh {
                continue;
            }
            self.take_kept(&at, *offset, *number)?;
        }
        (self.asks, self.loads) = (false, false);
        match &self.at {
            Some(at) if at == to => Ok(()),
            at => Err(format!("it is at {at:?} with it")),
        }
    }

    /// The next message of a publisher.
    fn take(&mut self, (publisher, n): (usize, u64)) -> Result<(), String> {
        let sent = &self.sent[publisher];
        if n == 0 || n > sent.count {
            return Err("it was never sent".to_owned());
        }
        let (least, most) = self.next[publisher];
        let life = &mut self.life[publisher];
        let in_life = std::mem::replace(life, n.max(*life));
        if n < least {
            // A life of the history doesn't know what was in the one before.
            return match self.kept && n > in_life && sent.repeated.contains(&n) {
                true => Ok(()),
                false => Err(format!("it came before, or too late: {least} was to come")),
            };
        }
        let missing = (most..n).filter(|n| !sent.failed.contains(n)).count() as u64;
        if missing > 0 {
            self.counts.missing += missing;
            let hole = format!(
                "{most} of publisher {publisher} was to come, and {missing} are missing before {n}"
            );
            match (self.excused[publisher], self.kept) {
                (true, _) => {}
                (false, true) => return Err(hole),
                (false, false) => self.owed = Some(hole),
            }
        }
        self.next[publisher] = (n + 1, n + 1);
        self.excused[publisher] = false;
        self.counts.taken += 1;
        Ok(())
    }

    fn end(self) -> Result<Counts, String> {
        if let Some(hole) = self.owed {
            return Err(format!("{hole}, and no gap was told"));
        }
        if !self.is_in || self.asks || self.loads {
            return Err("at the end it isn't in, or waits for what it has asked for".to_owned());
        }
        for (publisher, (sent, (_, next))) in self.sent.iter().zip(self.next).enumerate() {
            let missing: BTreeSet<u64> = (next..=sent.count).collect();
            if let Some(first) = missing.difference(&sent.failed).next() {
                return Err(format!(
                    "the end of publisher {publisher} is missing, from {first}"
                ));
            }
        }
        Ok(self.counts)
    }
}

#[path = "checked.rs"]
mod checked;

pub(crate) use checked::the_checker_of_rooms_finds_what_is_wrong;
