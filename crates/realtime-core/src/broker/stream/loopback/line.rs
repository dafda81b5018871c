//! What was sent in one way, and what of it may still come back.

use std::{collections::VecDeque, time::Instant};

/// How many are remembered that are on their way.
const REMEMBERED: usize = 64;

/// What was sent in one way and hasn't come back.
#[derive(Debug, Default)]
pub(super) struct Line {
    /// What hasn't come back.
    pub(super) out: VecDeque<u64>,
    /// What hasn't either, and may stand in line.
    pub(super) excused: VecDeque<u64>,
    pub(super) behind: u64,
    /// How many more may come back, which aren't looked for: those after one that came back, and
    /// what was said beside. One of them must not be taken for one that was sent later.
    pub(super) others: u64,
    /// For how many looks they may.
    pub(super) memory: u64,
    /// When the last was sent.
    pub(super) sent_at: Option<Instant>,
}

impl Line {
    /// What hasn't come back for so long is lost.
    pub(super) fn age(&mut self) {
        self.memory = self.memory.saturating_sub(1);
        if self.memory == 0 {
            self.others = 0;
        }
    }

    /// How many are lost for certain: something that was sent later has come back.
    pub(super) fn lost(&self, back: u64) -> usize {
        let on_their_way = self.excused.iter().chain(&self.out);
        on_their_way.filter(|number| **number < back).count()
    }

    /// Looks no more for what hasn't come back.
    pub(super) fn let_go(&mut self, memory: u64) {
        let more = (self.excused.len() + self.out.len()) as u64;
        if more > 1 {
            self.memory = memory;
        }
        self.others += more;
        self.excused.clear();
        self.out.clear();
        self.behind = 0;
    }
}

pub(super) fn push(line: &mut VecDeque<u64>, number: u64) {
    if line.len() >= REMEMBERED {
        line.pop_front();
    }
    line.push_back(number);
}
