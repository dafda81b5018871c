//! Whether what a node publishes for itself comes back: if not, its link is down.
//!
//! It does so in two ways, for all and on its own topic. What comes back stands in line with
//! what else the node receives there, so a backlog delays it: while that is worked off, nothing is
//! missing yet. But both ways lead into one line, so where something came back on one that was sent
//! later than something on the other, that is lost. What comes on other lines isn't looked at here.

mod line;
mod stall;
mod time;

use std::{
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    time::{Duration, Instant},
};

use self::line::{Line, push};
use super::BEACON_INTERVAL;

pub use self::{stall::Stall, time::LoopbackTime};

/// How many may be missing as the next is due.
const MISSING: usize = 2;

/// In which way something comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    ForAll,
    OwnTopic,
}

/// Out and in again, between the one who publishes and the one who reads.
#[derive(Debug)]
pub(super) struct Loopback {
    /// How many readers of the line wait for the gateway to receive a message.
    stalled: AtomicUsize,
    state: Mutex<State>,
    /// Something was delivered since the last look, at each way.
    delivered: [AtomicBool; 2],
    /// The reader has waited since the last look, at each way.
    was_stalled: [AtomicBool; 2],
}

#[derive(Debug)]
struct State {
    lines: [Line; 2],
    /// What was sent is numbered, in both ways together.
    sent: u64,
    /// The highest number that came back, as far as is known.
    back: u64,
    /// How many looks in a row may find deliveries, and nothing of this node among them: nothing
    /// stands in a queue for longer.
    most_behind: u64,
    time: LoopbackTime,
}

/// What is known for certain of what was sent in one way, between two looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Loss {
    None,
    /// What is on its way is lost, which may be chance: another one would tell.
    Chance,
    /// So many are lost that the link is down.
    Broken,
}

impl State {
    /// For how many looks something may be on its way.
    const fn memory(&self) -> u64 {
        self.most_behind + 1
    }
}

impl Default for Loopback {
    fn default() -> Self {
        let loopback = Self {
            stalled: AtomicUsize::new(0),
            state: Mutex::new(State {
                lines: Default::default(),
                sent: 0,
                back: 0,
                most_behind: 0,
                time: LoopbackTime::default(),
            }),
            delivered: Default::default(),
            was_stalled: Default::default(),
        };
        loopback.set_longest_wait(Duration::from_secs(30));
        loopback
    }
}

impl Loopback {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message waits in a queue for at most so long.
    pub(super) fn set_longest_wait(&self, wait: Duration) {
        self.state().most_behind = wait.as_secs().div_ceil(BEACON_INTERVAL.as_secs());
    }

    /// Where it is noted how long it takes.
    pub(super) fn measure(&self, time: &LoopbackTime) {
        self.state().time = time.clone();
    }

    /// The link may be used, for the first time or again: nothing is missing yet.
    pub(super) fn begin(&self) {
        let mut state = self.state();
        let memory = state.memory();
        for line in &mut state.lines {
            line.let_go(memory);
            line.memory = memory;
        }
        state.back = state.sent;
        state.time.forget();
        for flag in self.delivered.iter().chain(&self.was_stalled) {
            flag.store(false, Release);
        }
    }

    /// The link is a new one: nothing of the old one comes back.
    pub(super) fn is_renewed(&self) {
        for line in &mut self.state().lines {
            line.others = 0;
        }
    }

    /// One is about to be published.
    pub(super) fn sent(&self, way: Way) {
        let mut state = self.state();
        state.sent += 1;
        let number = state.sent;
        let line = &mut state.lines[way as usize];
        line.sent_at = Some(Instant::now());
        push(&mut line.out, number);
    }

    /// One is about to be published that isn't looked for.
    pub(super) fn said(&self, way: Way) {
        let mut state = self.state();
        let memory = state.memory();
        let line = &mut state.lines[way as usize];
        line.others += 1;
        line.memory = memory;
    }

    /// One has come back, and with it all before it.
    pub(super) fn returned(&self, way: Way) {
        let mut state = self.state();
        let memory = state.memory();
        let line = &mut state.lines[way as usize];
        // Which one it was isn't known: the first at least, where no others may still come.
        let first = line.excused.front().or(line.out.front()).copied();
        let first = first.filter(|_| line.others == 0).unwrap_or(0);
        let is_the_only_one = first > 0 && line.excused.len() + line.out.len() == 1;
        let took = line
            .sent_at
            .filter(|_| is_the_only_one)
            .map(|at| at.elapsed());
        line.let_go(memory);
        line.others = line.others.saturating_sub(1);
        state.back = state.back.max(first);
        if let Some(took) = took {
            state.time.set(took);
        }
    }

    pub(super) fn delivered(&self) {
        for flag in &self.delivered {
            flag.store(true, Release);
        }
    }

    fn stall(&self) {
        self.stalled.fetch_add(1, AcqRel);
    }

    fn go_on(&self) {
        for flag in &self.was_stalled {
            flag.store(true, Release);
        }
        self.stalled.fetch_sub(1, AcqRel);
    }

    /// Whether so many are missing that the link is down. Asked as the next is due.
    ///
    /// A time in which the gateway received nothing doesn't count, and neither does one in which
    /// messages were delivered, which this one may stand behind; but that no longer than messages
    /// wait in a queue. Else one that is lost would hide behind what others say.
    pub(super) fn is_broken(&self, way: Way) -> bool {
        let delivered = self.delivered[way as usize].swap(false, AcqRel);
        // In this order: who goes on between the two has set the flag before.
        let is_stalled = self.stalled.load(Acquire) > 0;
        let was_stalled = self.was_stalled[way as usize].swap(false, AcqRel);
        let stalled = is_stalled || was_stalled;
        let mut state = self.state();
        let (back, most_behind) = (state.back, state.most_behind);
        if way == Way::OwnTopic && !stalled {
            state.lines.iter_mut().for_each(Line::age);
        }
        let line = &mut state.lines[way as usize];
        if line.lost(back) >= MISSING {
            return true;
        }
        let in_line = delivered && line.behind < most_behind;
        if delivered && !stalled {
            line.behind += 1;
        }
        if stalled || in_line {
            for number in line.out.drain(..) {
                push(&mut line.excused, number);
            }
        }
        line.out.len() >= MISSING
    }

    /// What is lost for certain in one way, whether or not the next is due there: what has come back
    /// in the other way shows it.
    pub(super) fn loss(&self, way: Way) -> Loss {
        let state = self.state();
        let line = &state.lines[way as usize];
        match line.lost(state.back) {
            0 => Loss::None,
            MISSING.. => Loss::Broken,
            lost if lost == line.excused.len() + line.out.len() => Loss::Chance,
            // Another one was sent since.
            _ => Loss::None,
        }
    }
}

#[cfg(test)]
mod tests;
