//! Whether what a node publishes for itself comes back: if not, its link is down.
//!
//! It does so in two ways, for all and on its own topic. What comes back stands in line with
//! what else the node receives there, so a backlog delays it: while that is worked off, nothing is
//! missing yet. But both ways lead into one line, so where something came back on one that was sent
//! later than something on the other, that is lost. What comes on other lines isn't looked at here.

use std::{
    collections::VecDeque,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{
            AtomicBool, AtomicUsize,
            Ordering::{AcqRel, Acquire, Release},
        },
    },
    time::{Duration, Instant},
};

use super::{BEACON_INTERVAL, LoopbackTime, shared::Shared};

/// How many may be missing as the next is due.
const MISSING: usize = 2;
/// How many are remembered that are on their way.
const REMEMBERED: usize = 64;

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

#[derive(Debug, Default)]
struct Line {
    /// What hasn't come back.
    out: VecDeque<u64>,
    /// What hasn't either, and may stand in line.
    excused: VecDeque<u64>,
    behind: u64,
    /// How many more may come back, which aren't looked for: those after one that came back, and
    /// what was said beside. One of them must not be taken for one that was sent later.
    others: u64,
    /// For how many looks they may.
    memory: u64,
    /// When the last was sent.
    sent_at: Option<Instant>,
}

impl State {
    /// For how many looks something may be on its way.
    const fn memory(&self) -> u64 {
        self.most_behind + 1
    }
}

impl Line {
    /// What hasn't come back for so long is lost.
    fn age(&mut self) {
        self.memory = self.memory.saturating_sub(1);
        if self.memory == 0 {
            self.others = 0;
        }
    }

    /// How many are lost for certain: something that was sent later has come back.
    fn lost(&self, back: u64) -> usize {
        let on_their_way = self.excused.iter().chain(&self.out);
        on_their_way.filter(|number| **number < back).count()
    }

    /// Looks no more for what hasn't come back.
    fn let_go(&mut self, memory: u64) {
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

/// A reader that waits until the gateway takes a message: see [`Incoming::stall`](super::Incoming::stall).
#[derive(Debug)]
#[must_use = "it is over when this is dropped"]
pub struct Stall(Arc<Shared>);

impl Stall {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        shared.loopback.stall();
        Self(shared)
    }
}

impl Drop for Stall {
    fn drop(&mut self) {
        self.0.loopback.go_on();
    }
}

fn push(line: &mut VecDeque<u64>, number: u64) {
    if line.len() >= REMEMBERED {
        line.pop_front();
    }
    line.push_back(number);
}

#[cfg(test)]
mod tests {
    use super::{Way::*, *};

    const WAYS: [Way; 2] = [Way::ForAll, Way::OwnTopic];

    /// Whether so many, each after some deliveries or none, find the link down.
    fn down_after(loopback: &Loopback, count: usize, before: impl Fn(&Loopback)) -> bool {
        (0..count).any(|_| {
            before(loopback);
            let down = loopback.is_broken(Way::ForAll);
            loopback.sent(Way::ForAll);
            down
        })
    }

    fn returned(loopback: &Loopback) {
        loopback.returned(Way::ForAll);
    }

    #[test]
    fn it_is_measured_where_it_is_known_which_one_came_back() {
        let (loopback, time) = (Loopback::default(), LoopbackTime::default());
        loopback.measure(&time);
        loopback.begin();
        assert_eq!(time.last(), None);
        let sent = || {
            let before = Instant::now();
            loopback.sent(ForAll);
            before
        };
        let first = sent();
        std::thread::sleep(Duration::from_millis(5));
        loopback.returned(ForAll);
        let took = time.last().unwrap();
        assert!(
            (Duration::from_millis(5)..=first.elapsed()).contains(&took),
            "{took:?}"
        );
        sent();
        sent();
        loopback.returned(ForAll);
        assert_eq!(time.last(), Some(took), "it may be either of the two");
        loopback.begin();
        assert_eq!(time.last(), None, "of another link nothing is known");
    }

    #[test]
    fn two_missing_mean_down() {
        let loopback = Loopback::default();
        assert!(!down_after(&loopback, 100, returned));
        returned(&loopback);
        assert!(!down_after(&loopback, 2, |_| {}));
        assert!(loopback.is_broken(Way::ForAll));
        returned(&loopback);
        assert!(!loopback.is_broken(Way::ForAll));
    }

    #[test]
    fn they_are_not_missing_while_it_is_we_who_do_not_read() {
        let loopback = Loopback::default();
        loopback.stall();
        assert!(!down_after(&loopback, 100, |_| {}));
        loopback.go_on();
        assert!(!down_after(&loopback, 100, |loopback| {
            loopback.stall();
            loopback.go_on();
        }));
        assert!(down_after(&loopback, 3, |_| {}));
    }

    #[test]
    fn one_reader_that_goes_on_says_nothing_of_another_and_neither_does_a_new_link() {
        let loopback = Loopback::default();
        loopback.stall();
        loopback.begin();
        loopback.stall();
        loopback.go_on();
        assert!(!down_after(&loopback, 100, |_| {}));
        loopback.go_on();
        assert!(!loopback.is_broken(Way::ForAll));
        assert!(down_after(&loopback, 3, |_| {}));
    }

    #[test]
    fn a_backlog_is_no_reason_to_give_a_link_up() {
        let loopback = Loopback::default();
        assert!(!down_after(&loopback, 10, Loopback::delivered));
        returned(&loopback);
        assert!(!down_after(&loopback, 10, Loopback::delivered));
        assert!(down_after(&loopback, 3, |_| {}), "nothing comes any more");
    }

    #[test]
    fn what_others_say_does_not_hide_for_ever_that_nothing_of_this_node_comes() {
        assert!(down_after(&Loopback::default(), 13, Loopback::delivered));
    }

    #[test]
    fn what_comes_back_in_one_way_shows_what_is_lost_in_the_other() {
        for [lost, goes] in [WAYS, [Way::OwnTopic, Way::ForAll]] {
            let loopback = Loopback::default();
            let mut looks = 0;
            while !loopback.is_broken(lost) {
                looks += 1;
                assert!(looks <= 4, "{lost:?}");
                loopback.sent(lost);
                assert!(!loopback.is_broken(goes));
                loopback.sent(goes);
                loopback.delivered();
                loopback.returned(goes);
            }
        }
    }

    #[test]
    fn what_is_lost_for_certain_shows_before_the_next_is_due() {
        let loopback = Loopback::default();
        let probe = || {
            loopback.sent(OwnTopic);
            loopback.returned(OwnTopic);
            loopback.loss(ForAll)
        };
        assert_eq!(probe(), Loss::None);
        loopback.sent(ForAll);
        assert_eq!(loopback.loss(ForAll), Loss::None, "it is on its way");
        assert_eq!(probe(), Loss::Chance);
        loopback.sent(ForAll);
        assert_eq!(loopback.loss(ForAll), Loss::None, "another one will tell");
        assert_eq!(probe(), Loss::Broken);
        loopback.returned(ForAll);
        assert_eq!(probe(), Loss::None);
    }

    #[test]
    fn what_was_forgotten_on_its_way_is_not_taken_for_something_newer() {
        // A large cluster, in which beacons are rarer than probes, and a backlog.
        let loopback = Loopback::default();
        for way in [
            OwnTopic, OwnTopic, ForAll, OwnTopic, OwnTopic, OwnTopic, ForAll,
        ] {
            loopback.sent(way);
        }
        loopback.delivered();
        loopback.returned(OwnTopic);
        loopback.sent(OwnTopic);
        loopback.returned(OwnTopic);
        assert!(
            !loopback.is_broken(ForAll),
            "both are behind the second probe"
        );
    }

    #[test]
    fn what_is_said_in_answer_counts_as_nothing_else() {
        let loopback = Loopback::default();
        loopback.said(ForAll);
        for way in [OwnTopic, OwnTopic, ForAll] {
            loopback.sent(way);
        }
        loopback.delivered();
        loopback.returned(ForAll);
        assert!(!loopback.is_broken(OwnTopic));
    }

    #[test]
    fn a_new_link_begins_with_nothing_missing() {
        let loopback = Loopback::default();
        assert!(down_after(&loopback, 3, |_| {}));
        loopback.begin();
        assert!(!down_after(&loopback, 2, |_| {}));
    }
}
