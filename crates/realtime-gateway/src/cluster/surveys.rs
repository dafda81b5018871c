//! What this node has asked the others, and what they have answered so far.
//!
//! A survey has a number, by which receipts find it. It is remembered for as long as somebody waits
//! for it, and no longer: what comes later is for nobody.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::Arc,
};

use realtime_core::broker::{
    NodeInfo,
    control::{ClientAnswer, Outcome},
};

use crate::{
    receipt::{NodeAnswer, NodeReceipt},
    sync::{AtomicU64, Mutex, Notify, Ordering},
};

/// How many surveys may be under way at the same time.
pub(crate) const SURVEYS: usize = 4_096;
/// How many nodes are heard in one.
const NODES: usize = 4_096;
/// How many answers of clients wait for one who doesn't read them, and how many bytes.
const ANSWERS: usize = 4_096;
const ANSWER_BYTES: usize = 8 * 1024 * 1024;

/// The surveys that somebody waits for.
#[derive(Debug)]
pub(crate) struct Surveys {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Survey>>>,
}

/// What is known of one.
#[derive(Debug)]
struct Survey {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    /// Who hasn't answered yet.
    waiting: Vec<NodeInfo>,
    left: Vec<NodeInfo>,
    nodes: Vec<NodeReceipt>,
    answers: VecDeque<(NodeInfo, ClientAnswer)>,
    answer_bytes: usize,
    overflowed: u64,
}

/// A survey that somebody waits for, until this is dropped.
#[derive(Debug)]
pub(crate) struct Asked {
    surveys: Arc<Surveys>,
    number: u64,
    survey: Arc<Survey>,
}

/// What a survey has come to.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) nodes: Vec<NodeReceipt>,
    pub(crate) missing: Vec<NodeInfo>,
    pub(crate) left: Vec<NodeInfo>,
}

/// What became of a receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    Taken,
    /// So many answers of clients found no room.
    Overflowed(u64),
    /// Nobody waits for it.
    Unmatched,
}

impl Surveys {
    /// Their numbers begin somewhere else for each start of a node, so that what was for an earlier
    /// one is for nobody.
    pub(crate) fn new(begin: u64) -> Self {
        Self {
            next: AtomicU64::new(begin),
            open: Mutex::default(),
        }
    }

    /// Begins to wait for these; `None` where too many surveys are under way.
    pub(crate) fn begin(self: &Arc<Self>, waiting: Vec<NodeInfo>) -> Option<Asked> {
        let mut open = self.open.lock();
        if open.len() >= SURVEYS {
            return None;
        }
        let number = loop {
            let number = self.next.fetch_add(1, Ordering::Relaxed);
            // 0 is none.
            if number != 0 && !open.contains_key(&number) {
                break number;
            }
        };
        let state = State {
            waiting,
            ..State::default()
        };
        let survey = Arc::new(Survey {
            state: Mutex::new(state),
            changed: Notify::new(),
        });
        open.insert(number, Arc::clone(&survey));
        drop(open);
        Some(Asked {
            surveys: Arc::clone(self),
            number,
            survey,
        })
    }

    #[cfg(all(test, not(realtime_loom)))]
    fn len(&self) -> usize {
        self.open.lock().len()
    }

    /// A node has said something of a survey.
    pub(crate) fn receive(&self, number: u64, from: NodeInfo, outcome: Outcome) -> Received {
        let survey = self.open.lock().get(&number).cloned();
        let Some(survey) = survey else {
            return Received::Unmatched;
        };
        let received = survey.state.lock().receive(from, outcome);
        survey.changed.notify_waiters();
        received
    }

    /// That start of a node has gone: nobody waits for it.
    pub(crate) fn has_gone(&self, node: &NodeInfo) {
        let open: Vec<Arc<Survey>> = self.open.lock().values().cloned().collect();
        for survey in open {
            if survey.state.lock().has_gone(node) {
                survey.changed.notify_waiters();
            }
        }
    }
}

impl State {
    fn receive(&mut self, from: NodeInfo, outcome: Outcome) -> Received {
        let receipt = match outcome {
            Outcome::Answers(answers) => return self.keep(&from, answers),
            Outcome::Done {
                sessions, failed, ..
            } => NodeReceipt::done(from, sessions, failed),
            Outcome::Busy => NodeReceipt::refused(from, NodeAnswer::Busy),
            _ => NodeReceipt::refused(from, NodeAnswer::NotUnderstood),
        };
        let from = &receipt.node;
        // A later start of it has answered: the earlier one is over.
        let is_former =
            |node: &NodeInfo| node.id == from.id && node.incarnation != from.incarnation;
        let (former, waiting) = self.waiting.drain(..).partition(is_former);
        let former: Vec<NodeInfo> = former;
        self.left.extend(former);
        self.waiting = waiting;
        self.waiting.retain(|node| node != from);
        // A node has one answer: the first.
        let is_known = self.nodes.iter().any(|known| known.node == *from);
        if !is_known && self.nodes.len() < NODES {
            self.nodes.push(receipt);
        }
        Received::Taken
    }

    fn keep(&mut self, from: &NodeInfo, answers: Vec<ClientAnswer>) -> Received {
        let mut overflowed = 0;
        for answer in answers {
            let bytes = answer.size();
            let is_full = self.answers.len() >= ANSWERS || self.answer_bytes >= ANSWER_BYTES;
            if is_full {
                overflowed += 1;
                continue;
            }
            self.answer_bytes += bytes;
            self.answers.push_back((from.clone(), answer));
        }
        self.overflowed += overflowed;
        match overflowed {
            0 => Received::Taken,
            lost => Received::Overflowed(lost),
        }
    }

    fn has_gone(&mut self, node: &NodeInfo) -> bool {
        let before = self.waiting.len();
        self.waiting.retain(|waiting| waiting != node);
        let was_waiting = self.waiting.len() < before;
        if was_waiting {
            self.left.push(node.clone());
        }
        was_waiting
    }
}

impl Asked {
    /// By which the others answer.
    pub(crate) const fn number(&self) -> u64 {
        self.number
    }

    /// These are waited for, too, as long as nobody was asked yet.
    pub(crate) fn awaits(&self, nodes: Vec<NodeInfo>) {
        let mut state = self.survey.state.lock();
        for node in nodes {
            if !state.waiting.contains(&node) && !state.left.contains(&node) {
                state.waiting.push(node);
            }
        }
    }

    /// Waits until nobody is waited for. Cancel safe.
    pub(crate) fn settled(&self) -> impl Future<Output = ()> + Send + 'static {
        let survey = Arc::clone(&self.survey);
        async move {
            loop {
                let changed = survey.changed.notified();
                tokio::pin!(changed);
                // Registers before it looks, so that a change between the two is not missed.
                changed.as_mut().enable();
                if survey.state.lock().waiting.is_empty() {
                    return;
                }
                changed.await;
            }
        }
    }

    /// The next answer of a client.
    pub(crate) fn answer(&self) -> Option<(NodeInfo, ClientAnswer)> {
        let mut state = self.survey.state.lock();
        let (node, answer) = state.answers.pop_front()?;
        state.answer_bytes = state.answer_bytes.saturating_sub(answer.size());
        Some((node, answer))
    }

    /// How many answers of clients found no room so far.
    pub(crate) fn overflowed(&self) -> u64 {
        self.survey.state.lock().overflowed
    }

    /// What it has come to until now.
    pub(crate) fn found(&self) -> Found {
        let state = self.survey.state.lock();
        Found {
            nodes: state.nodes.clone(),
            missing: state.waiting.clone(),
            left: state.left.clone(),
        }
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.surveys.open.lock().remove(&self.number);
    }
}

#[cfg(all(test, not(realtime_loom)))]
mod tests {
    use futures::FutureExt;
    use realtime_core::{ClientError, IdentityKey, Incarnation, SessionId};

    use super::*;

    #[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
    fn node(name: &str, n: u64) -> NodeInfo {
        NodeInfo::new(name.parse().unwrap(), Incarnation::from_u64(n))
    }

    fn names(nodes: &[NodeInfo]) -> Vec<&str> {
        nodes.iter().map(|node| node.id.as_str()).collect()
    }

    #[test]
    fn it_is_settled_once_each_has_answered_or_gone() {
        let surveys = Arc::new(Surveys::new(u64::MAX));
        let waiting = vec![node("a", 1), node("b", 1), node("c", 1), node("d", 1)];
        let asked = surveys.begin(waiting).unwrap();
        let number = asked.number();
        assert!(asked.settled().now_or_never().is_none());
        let done = |from| surveys.receive(number, from, Outcome::done(3, 1));
        assert_eq!(done(node("a", 1)), Received::Taken);
        assert_eq!(done(node("a", 1)), Received::Taken);
        surveys.has_gone(&node("b", 2));
        surveys.has_gone(&node("b", 1));
        // It was started again, and the new one was asked, too.
        assert_eq!(done(node("c", 2)), Received::Taken);
        assert_eq!(names(&asked.found().missing), ["d"]);
        assert!(asked.settled().now_or_never().is_none());
        surveys.receive(number, node("d", 1), Outcome::Busy);
        assert!(asked.settled().now_or_never().is_some());
        // One that nobody knew of.
        surveys.receive(number, node("e", 1), Outcome::NotUnderstood);
        let found = asked.found();
        assert_eq!(names(&found.left), ["b", "c"]);
        let sessions: Vec<_> = found.nodes.iter().map(|n| (n.answer, n.sessions)).collect();
        let (done, busy) = (NodeAnswer::Done, NodeAnswer::Busy);
        let expected = [
            (done, 3),
            (done, 3),
            (busy, 0),
            (NodeAnswer::NotUnderstood, 0),
        ];
        assert_eq!(sessions, expected);
        assert!(found.missing.is_empty());
    }

    #[test]
    fn what_nobody_waits_for_is_forgotten() {
        let surveys = Arc::new(Surveys::new(0));
        let asked: Vec<_> = (0..SURVEYS).map(|_| surveys.begin(vec![])).collect();
        assert!(asked.iter().flatten().all(|asked| asked.number() != 0));
        assert!(surveys.begin(vec![]).is_none(), "too many");
        drop(asked);
        assert_eq!(surveys.len(), 0);
        let late = surveys.receive(7, node("a", 1), Outcome::done(0, 0));
        assert_eq!(late, Received::Unmatched);
    }

    #[test]
    fn answers_that_nobody_reads_are_bounded_and_counted() {
        let surveys = Arc::new(Surveys::new(1));
        let asked = surveys.begin(vec![]).unwrap();
        let refusal = Err(ClientError::new("no", "no"));
        let answer = ClientAnswer::new(SessionId::random(), IdentityKey::new("ann"), refusal);
        let answers = || Outcome::Answers(vec![answer.clone(); ANSWERS]);
        let from = node("a", 1);
        assert_eq!(surveys.receive(1, from.clone(), answers()), Received::Taken);
        let overflowed = Received::Overflowed(ANSWERS as u64);
        assert_eq!(surveys.receive(1, from.clone(), answers()), overflowed);
        assert_eq!(asked.overflowed(), ANSWERS as u64);
        for _ in 0..ANSWERS {
            assert_eq!(asked.answer().unwrap(), (from.clone(), answer.clone()));
        }
        assert!(asked.answer().is_none());
        assert_eq!(surveys.receive(1, from, answers()), Received::Taken);
    }
}
