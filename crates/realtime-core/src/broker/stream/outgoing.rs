//! What a node sends: messages, stamped, and what it says of itself.

use std::{
    collections::{HashMap, VecDeque},
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use tokio::time::{Instant, Sleep, sleep_until};

use super::{
    Announcement, BEACON_INTERVAL, Due, LoopbackTime, Topics, beacon,
    loopback::{Loss, Way},
    schedule::{ANSWERS, Schedule},
    shared::Shared,
    stamp::{HELLO, Kind, Numbers, Stamp},
};
use crate::broker::{NodeInfo, Topic};

/// For how many topics numbers are kept. Past it those that were used longest ago are forgotten, an
/// eighth of them at once.
const TOPICS: usize = 16_384;
/// For how many of those to which nobody listens: as many nodes may lose their links at once.
const UNHEARD: usize = 4_096;
/// How many topics are marked at a time.
const MARKS: usize = 512;
/// How often the last number of a topic is said: once, and once more in case that is lost.
const SAID: u8 = 2;
/// Why a link is down that still has what is for this node.
const DEAF_FOR_ALL: &str = "what this node publishes for all doesn't come back";

/// Stamps what a node sends, and knows what it has to say of itself. See the [module](super).
#[derive(Debug)]
pub struct Outgoing {
    shared: Arc<Shared>,
    topics: HashMap<Topic, Used>,
    /// Every number of a forgotten topic is at most this.
    forgotten: u64,
    /// How many messages were stamped: the clock of `Used::at`.
    stamped: u64,
    numbered: Numbered,
    /// How many of the topics are unheard.
    unheard: usize,
    /// Whose numbers are to be said next.
    marks: VecDeque<Topic>,
    /// Nothing is due before the link is there.
    schedule: Option<Schedule>,
    timer: Option<Pin<Box<Sleep>>>,
}

/// How far the numbers of one start of a node have come, over all its subscriptions. A broker keeps
/// one, and hands it to the [`Outgoing`] of each.
#[derive(Debug, Clone, Default)]
pub struct Numbered(Arc<AtomicU64>);

#[derive(Debug, Clone, Copy)]
struct Used {
    numbers: Numbers,
    at: u64,
    /// How often its last number is still to be said.
    unsaid: u8,
    /// Nobody listened, when something was last sent.
    unheard: bool,
}

impl Outgoing {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            topics: HashMap::new(),
            forgotten: 0,
            stamped: 0,
            numbered: Numbered::default(),
            unheard: 0,
            marks: VecDeque::new(),
            schedule: None,
            timer: None,
        }
    }

    /// The node that sends.
    #[must_use]
    pub fn node(&self) -> &NodeInfo {
        &self.shared.node
    }

    /// The named topics that this node is in: to be joined again where the link is made anew.
    #[must_use]
    pub fn topics(&self) -> &Arc<Topics> {
        &self.shared.topics
    }

    /// For how long a message may wait in the server's queue for this node, 30 s if it isn't said:
    /// so long what comes back may stand behind others.
    pub fn set_longest_wait(&mut self, wait: Duration) {
        self.shared.loopback.set_longest_wait(wait);
    }

    /// Notes there how long what it sends for itself takes to come back.
    pub fn measure(&mut self, time: &LoopbackTime) {
        self.shared.loopback.measure(time);
    }

    /// Continues behind the numbers of this start's earlier subscriptions, which others would take
    /// for repetitions. Call it before anything is sent.
    pub fn continue_from(&mut self, numbered: &Numbered) {
        self.forgotten = self.forgotten.max(numbered.0.load(Relaxed));
        self.numbered = numbered.clone();
    }

    /// A message for a topic, under the topic's next number.
    #[must_use]
    pub fn message(&mut self, topic: &Topic, data: &[u8]) -> Bytes {
        self.stamped += 1;
        let used = match self.topics.get_mut(topic) {
            Some(used) => used,
            None => {
                if self.topics.len() >= TOPICS {
                    self.forget_oldest(TOPICS / 8, |_| true);
                }
                let numbers = Numbers {
                    base: self.forgotten,
                    seq: self.forgotten,
                };
                self.topics.entry(topic.clone()).or_insert(Used {
                    numbers,
                    at: 0,
                    unsaid: 0,
                    unheard: false,
                })
            }
        };
        used.numbers.seq += 1;
        self.unheard -= usize::from(used.unheard);
        let is_news = used.unsaid < SAID;
        (used.at, used.unsaid, used.unheard) = (self.stamped, SAID, false);
        let numbers = used.numbers;
        if is_news
            && *topic == Topic::All
            && let Some(schedule) = &mut self.schedule
        {
            schedule.has_news(self.shared.others());
        }
        self.numbered.0.fetch_max(numbers.seq, Relaxed);
        self.stamp(Kind::Message, topic, numbers).put(data)
    }

    /// How many bytes a message of so many would be, with its stamp.
    #[must_use]
    pub fn size_of(&self, topic: &Topic, data: usize) -> usize {
        Stamp::size(&self.node().id, topic) + data
    }

    /// What is to be said first on a new link, for all: which number this node has reached, and
    /// that the others tell theirs.
    #[must_use]
    pub fn hello(&self) -> Announcement {
        self.beacon(HELLO)
    }

    /// Is another node alive under this id? For the node's own topic, before that is bound.
    #[must_use]
    pub fn question(&self) -> Announcement {
        self.announce(Kind::Question, self.own(), Numbers::default())
    }

    /// What is to be said last, for all: this node leaves.
    #[must_use]
    pub fn goodbye(&self) -> Announcement {
        self.announce(Kind::Goodbye, Topic::All, Numbers::default())
    }

    /// The link is there, or accepts publications again: from now on [`next`](Self::next) counts
    /// the time, and what comes back.
    pub fn begin(&mut self) {
        self.shared.begin();
        let now = Instant::now();
        // However large the cluster is: a hello may have promised it, and the others, who have heard
        // nothing meanwhile, wait for it. However often it begins: it is put off by none of them.
        let soon = now + BEACON_INTERVAL;
        let beacon = self.schedule.as_ref().map(|schedule| schedule.beacon);
        self.schedule = Some(Schedule {
            probe: now,
            beacon: beacon.map_or(soon, |beacon| beacon.min(soon)),
            answered: None,
            answer: None,
        });
    }

    /// Waits until this node has something to say of itself, or finds that its link is down.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing is lost: call it again.
    pub async fn next(&mut self) -> Due {
        loop {
            if let Some(due) = self.due(Instant::now()) {
                return due;
            }
            let shared = Arc::clone(&self.shared);
            let mut asked = pin!(shared.wake.notified());
            let Some(at) = self.schedule.as_ref().map(Schedule::earliest) else {
                asked.await;
                continue;
            };
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(at)));
            if timer.deadline() != at {
                timer.as_mut().reset(at);
            }
            poll_fn(|cx| match asked.as_mut().poll(cx) {
                Poll::Pending => timer.as_mut().poll(cx),
                ready => ready,
            })
            .await;
        }
    }

    /// What is due now, the most urgent first.
    fn due(&mut self, now: Instant) -> Option<Due> {
        if std::mem::take(&mut self.shared.asked().answer) {
            let answer = self.announce(Kind::Answer, Topic::All, Numbers::default());
            return Some(Due::Say(answer));
        }
        while let Some(topic) = self.marks.pop_front() {
            if let Some(mark) = self.mark(topic) {
                return Some(Due::Say(mark));
            }
        }
        let (others, spread) = (self.shared.others(), self.spread());
        let schedule = self.schedule.as_mut()?;
        if now >= schedule.probe {
            schedule.probe = now + BEACON_INTERVAL;
            if self.shared.loopback.is_broken(Way::OwnTopic) {
                let cause = "what this node publishes for itself doesn't come back";
                return Some(Due::LinkDown { cause });
            }
            // Beacons may be rare, and probes that came back prove the loss of one before the next is
            // due.
            match self.shared.loopback.loss(Way::ForAll) {
                Loss::None => {}
                Loss::Chance => schedule.beacon = schedule.beacon.min(now),
                Loss::Broken => {
                    let cause = DEAF_FOR_ALL;
                    return Some(Due::LinkDown { cause });
                }
            }
            self.shared.loopback.sent(Way::OwnTopic);
            self.mark_what_is_unsaid();
            return Some(Due::Say(self.probe()));
        }
        if schedule.has_to_answer(&self.shared, now, spread) {
            let mut asked = self.shared.asked();
            asked.numbers = false;
            let by = std::mem::take(&mut asked.by).into_iter().map(Topic::Node);
            let known = by.filter(|topic| self.topics.contains_key(topic));
            self.marks.extend(known);
            drop(asked);
            self.shared.loopback.said(Way::ForAll);
            return Some(Due::Say(self.beacon(0)));
        }
        if now >= schedule.beacon {
            let is_news = self.topics.get_mut(&Topic::All).is_some_and(|used| {
                // Once more where it is news, in case that this one is lost.
                used.unsaid = used.unsaid.saturating_sub(1);
                used.is_news()
            });
            schedule.beacon = now + apart(is_news, others);
            if self.shared.loopback.is_broken(Way::ForAll) {
                let cause = DEAF_FOR_ALL;
                return Some(Due::LinkDown { cause });
            }
            self.shared.loopback.sent(Way::ForAll);
            return Some(Due::Say(self.beacon(0)));
        }
        None
    }

    /// How far this node has come on a topic, unless that was forgotten.
    pub(super) fn mark(&mut self, topic: Topic) -> Option<Announcement> {
        let used = self.topics.get_mut(&topic)?;
        used.unsaid = used.unsaid.saturating_sub(1);
        let numbers = used.numbers;
        Some(self.announce(Kind::Mark, topic, numbers))
    }

    /// How long this node waits before it answers, so that a large cluster doesn't answer at once.
    fn spread(&self) -> Duration {
        let most = Duration::from_millis(20).saturating_mul(self.shared.others() as u32);
        let share = self.node().incarnation.as_u64() % 1_024;
        most.min(ANSWERS).saturating_mul(share as u32) / 1_024
    }

    /// Chooses the topics whose last number is to be said: where something was sent since, those
    /// first that have waited longest.
    fn mark_what_is_unsaid(&mut self) {
        let unsaid = self
            .topics
            .iter()
            .filter(|(topic, used)| used.unsaid > 0 && !used.unheard && **topic != Topic::All);
        let mut unsaid: Vec<_> = unsaid.map(|(topic, used)| (used.at, topic)).collect();
        if unsaid.len() > MARKS {
            unsaid.select_nth_unstable_by_key(MARKS, |(at, _)| *at);
            unsaid.truncate(MARKS);
        }
        self.marks = unsaid.into_iter().map(|(_, topic)| topic.clone()).collect();
    }

    /// Notes that nobody listens to a topic, after a message was returned.
    ///
    /// A node that has only lost its link comes back, and has to learn what it has missed: also
    /// what the broker had accepted for it before. So the numbers of the last 4,096 such topics
    /// are kept. Should somebody listen to an older one again, its numbers continue from higher ones,
    /// and no gap is counted.
    pub fn forget(&mut self, topic: &Topic) {
        if *topic != Topic::All
            && let Some(used) = self.topics.get_mut(topic)
            && !std::mem::replace(&mut used.unheard, true)
        {
            self.unheard += 1;
            if self.unheard > UNHEARD {
                // Several at once, since all are looked at.
                self.forget_oldest(UNHEARD / 8, |used| used.unheard);
            }
        }
    }

    fn forget_oldest(&mut self, count: usize, among: impl Fn(&Used) -> bool) {
        let topics = self.topics.iter();
        let topics = topics.filter(|(topic, used)| **topic != Topic::All && among(used));
        let mut oldest: Vec<_> = topics
            .map(|(topic, used)| (used.at, topic.clone()))
            .collect();
        oldest.sort_unstable_by_key(|(at, _)| *at);
        for (_, topic) in oldest.into_iter().take(count) {
            if let Some(used) = self.topics.remove(&topic) {
                self.unheard -= usize::from(used.unheard);
                self.forgotten = self.forgotten.max(used.numbers.seq);
            }
        }
    }

    /// For the node's own topic: does it come back?
    pub(super) fn probe(&self) -> Announcement {
        self.announce(Kind::Probe, self.own(), Numbers::default())
    }

    fn own(&self) -> Topic {
        self.shared.node.topic()
    }

    fn beacon(&self, hints: u8) -> Announcement {
        let numbers = self.topics.get(&Topic::All).map(|used| used.numbers);
        let mut stamp = self.stamp(Kind::Beacon, &Topic::All, numbers.unwrap_or_default());
        stamp.hints = hints;
        // The next may have been fixed in a larger cluster than this one is now.
        let next = self.schedule.as_ref().map_or(Duration::ZERO, |schedule| {
            schedule.beacon.saturating_duration_since(Instant::now())
        });
        let interval = beacon::interval(self.shared.others()).max(next);
        Announcement {
            topic: Topic::All,
            data: stamp.put(&beacon::put(interval)),
        }
    }

    fn announce(&self, kind: Kind, topic: Topic, numbers: Numbers) -> Announcement {
        let data = self.stamp(kind, &topic, numbers).put(&[]);
        Announcement { topic, data }
    }

    fn stamp(&self, kind: Kind, topic: &Topic, numbers: Numbers) -> Stamp {
        Stamp {
            kind,
            hints: 0,
            source: self.node().clone(),
            topic: topic.clone(),
            numbers,
        }
    }
}

/// How long after a beacon the next one is said.
fn apart(is_news: bool, others: usize) -> Duration {
    match is_news {
        true => beacon::news(others),
        false => beacon::interval(others),
    }
}

impl Used {
    /// Its last number is to be said.
    fn is_news(&self) -> bool {
        self.unsaid > 0
    }
}
