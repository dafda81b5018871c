//! What this node has asked the others, and what they have answered so far.
//!
//! A survey has a number, by which receipts find it. It is remembered for as long as somebody waits
//! for it, and no longer: what comes later is for nobody.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    sync::Arc,
};

use realtime_core::{
    NodeId,
    broker::{
        NodeInfo,
        control::{ClientAnswer, Outcome},
    },
};

use crate::{
    budget::{Budget, Share},
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
/// How many bytes of answers wait in all surveys together, those of this node's clients too.
const UNREAD: usize = 64 * 1024 * 1024;

/// The surveys that somebody waits for.
#[derive(Debug)]
pub(crate) struct Surveys {
    next: AtomicU64,
    open: Mutex<HashMap<u64, Arc<Survey>>>,
    unread: Arc<Budget>,
}

/// What is known of one.
#[derive(Debug)]
struct Survey {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    /// Who hasn't answered yet.
    waiting: Vec<NodeInfo>,
    left: Vec<NodeInfo>,
    nodes: Vec<NodeReceipt>,
    answers: VecDeque<(NodeInfo, ClientAnswer)>,
    /// Their bytes.
    unread: Share,
    overflowed: u64,
    /// How many answers of which node came and can't be passed on.
    lost: HashMap<NodeId, u64>,
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
            unread: Arc::new(Budget::new(UNREAD)),
        }
    }

    /// What answers take that nobody has read yet.
    pub(crate) const fn unread(&self) -> &Arc<Budget> {
        &self.unread
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
            left: Vec::new(),
            nodes: Vec::new(),
            answers: VecDeque::new(),
            unread: Share::new(Arc::clone(&self.unread)),
            overflowed: 0,
            lost: HashMap::new(),
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
            let (before, bytes) = (self.unread.bytes(), answer.size());
            if self.answers.len() >= ANSWERS || before + bytes > ANSWER_BYTES {
                overflowed += 1;
                continue;
            }
            self.unread.set(before + bytes);
            if self.unread.is_part_of_too_much() {
                self.unread.set(before);
                overflowed += 1;
                continue;
            }
            self.answers.push_back((from.clone(), answer));
        }
        self.overflowed += overflowed;
        self.lose(from, overflowed);
        match overflowed {
            0 => Received::Taken,
            lost => Received::Overflowed(lost),
        }
    }

    /// The node has counted them as answers.
    fn lose(&mut self, from: &NodeInfo, answers: u64) {
        if answers > 0 && (self.lost.len() < NODES || self.lost.contains_key(&from.id)) {
            *self.lost.entry(from.id.clone()).or_default() += answers;
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

    /// These are waited for, too, but for those that have answered, in this life or a later one.
    /// Returns the new ones.
    pub(crate) fn awaits(&self, nodes: &[NodeInfo]) -> Vec<NodeInfo> {
        let mut state = self.survey.state.lock();
        let is_new = |node: &&NodeInfo| {
            let has_answered = state.nodes.iter().any(|has| has.node.id == node.id);
            !has_answered && !state.waiting.contains(node) && !state.left.contains(node)
        };
        let new: Vec<NodeInfo> = nodes.iter().filter(is_new).cloned().collect();
        state.waiting.extend(new.iter().cloned());
        new
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
        let left = state.unread.bytes().saturating_sub(answer.size());
        state.unread.set(left);
        Some((node, answer))
    }

    /// How many answers of clients found no room so far.
    pub(crate) fn overflowed(&self) -> u64 {
        self.survey.state.lock().overflowed
    }

    /// An answer of the node can't be read.
    pub(crate) fn is_unreadable(&self, from: &NodeInfo) {
        self.survey.state.lock().lose(from, 1);
    }

    /// What it has come to until now. Answers that were lost have failed.
    pub(crate) fn found(&self) -> Found {
        let state = self.survey.state.lock();
        let mut nodes = state.nodes.clone();
        for node in &mut nodes {
            let lost = state.lost.get(&node.node.id).copied().unwrap_or(0);
            node.failed = node.failed.saturating_add(lost).min(node.sessions);
        }
        Found {
            nodes,
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
        let done = Outcome::done(2 * ANSWERS as u64, 0);
        assert_eq!(surveys.receive(1, from.clone(), done), Received::Taken);
        assert_eq!(asked.found().nodes[0].failed, ANSWERS as u64);
        for _ in 0..ANSWERS {
            assert_eq!(asked.answer().unwrap(), (from.clone(), answer.clone()));
        }
        assert!(asked.answer().is_none());
        assert_eq!(surveys.unread().used(), 0);
        assert_eq!(surveys.receive(1, from, answers()), Received::Taken);
        drop(asked);
        assert_eq!(surveys.unread().used(), 0);
    }

    #[test]
    fn all_surveys_share_the_memory_of_what_is_unread() {
        let surveys = Arc::new(Surveys::new(1));
        let long = ClientError::new("no", "x".repeat(1024 * 1024));
        let answer = ClientAnswer::new(SessionId::random(), IdentityKey::new("ann"), Err(long));
        let from = node("a", 1);
        let ask = || {
            let asked = surveys.begin(vec![]).unwrap();
            let answers = Outcome::Answers(vec![answer.clone(); 8]);
            surveys.receive(asked.number(), from.clone(), answers);
            surveys.receive(asked.number(), from.clone(), Outcome::done(8, 0));
            asked
        };
        let asked: Vec<_> = (0..16).map(|_| ask()).collect();
        assert!(surveys.unread().used() <= UNREAD);
        assert_eq!(
            asked[0].overflowed(),
            1,
            "the names and the code take some, too"
        );
        assert_eq!(asked[15].overflowed(), 8);
        assert_eq!(asked[15].found().nodes[0].failed, 8);
        drop(asked);
        assert_eq!((surveys.unread().used(), ask().overflowed()), (0, 1));
    }

    #[test]
    fn an_answer_that_cannot_be_read_has_failed() {
        let surveys = Arc::new(Surveys::new(1));
        let asked = surveys.begin(vec![]).unwrap();
        for name in ["a", "b"] {
            surveys.receive(1, node(name, 1), Outcome::done(3, 1));
        }
        asked.is_unreadable(&node("a", 1));
        let failed: Vec<_> = asked.found().nodes.iter().map(|n| n.failed).collect();
        assert_eq!(failed, [2, 1]);
    }
}
