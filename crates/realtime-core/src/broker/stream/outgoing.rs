//! What a node sends, stamped.

use std::collections::HashMap;

use bytes::{Bytes, BytesMut};

use super::{
    Say,
    stamp::{Kind, Numbers, Stamp, put_name, put_numbers},
};
use crate::broker::{NodeInfo, Topic};

/// For how many topics numbers are kept. Past it the one that was used longest ago is forgotten.
const TOPICS: usize = 4_096;
/// For how many of those to which nobody listens.
const UNHEARD: usize = 64;

/// Stamps what a node sends, and makes its beacons. See the [module](super).
///
/// ```
/// use realtime::{
///     broker::{NodeInfo, Topic, stream::{Incoming, Outgoing, Received}},
///     node::{Incarnation, NodeId},
/// };
///
/// let node = |name: &str| Ok::<_, realtime::error::InvalidNodeId>(
///     NodeInfo::new(name.parse::<NodeId>()?, Incarnation::random()),
/// );
/// let mut here = Outgoing::new(node("here")?);
/// let mut there = Incoming::new(node("there")?);
///
/// let _received = there.read(here.beacon())?;
/// let _lost = here.message(&Topic::All, b"one");
/// match there.read(here.message(&Topic::All, b"two"))? {
///     Received::Message { message, missed } => {
///         assert_eq!((&message.data[..], missed), (&b"two"[..], 1));
///     }
///     other => panic!("{other:?}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Outgoing {
    node: NodeInfo,
    topics: HashMap<Topic, Used>,
    /// Every number of a forgotten topic is at most this.
    forgotten: u64,
    /// How many messages were stamped: the clock of `Used::at`.
    stamped: u64,
}

#[derive(Debug, Clone, Copy)]
struct Used {
    numbers: Numbers,
    at: u64,
    /// Nobody listened, when something was last sent.
    unheard: bool,
}

impl Outgoing {
    /// For a node that has just joined.
    #[must_use]
    pub fn new(node: NodeInfo) -> Self {
        Self {
            node,
            topics: HashMap::new(),
            forgotten: 0,
            stamped: 0,
        }
    }

    /// The node that sends.
    #[must_use]
    pub fn node(&self) -> &NodeInfo {
        &self.node
    }

    /// A message for a topic, under the topic's next number.
    #[must_use]
    pub fn message(&mut self, topic: &Topic, data: &[u8]) -> Bytes {
        let new = Numbers {
            base: self.forgotten,
            seq: self.forgotten,
        };
        self.stamped += 1;
        let used = self.topics.entry(topic.clone()).or_insert(Used {
            numbers: new,
            at: 0,
            unheard: false,
        });
        used.numbers.seq += 1;
        (used.at, used.unheard) = (self.stamped, false);
        let numbers = used.numbers;
        if self.topics.len() > TOPICS {
            self.forget_oldest(|_| true);
        }
        self.stamp(Kind::Message, topic, numbers).put(data)
    }

    /// What this node says of itself, for [`Topic::All`].
    #[must_use]
    pub fn say(&self, say: Say) -> Bytes {
        match say {
            Say::Answer => self.answer(),
            Say::Beacon => self.beacon(),
        }
    }

    /// The numbers that this node has reached, for [`Topic::All`].
    #[must_use]
    pub fn beacon(&self) -> Bytes {
        let mut body = BytesMut::new();
        for (topic, used) in &self.topics {
            if let Topic::Node(id) = topic {
                put_name(&mut body, id.as_str());
                put_numbers(&mut body, used.numbers);
            }
        }
        let numbers = self.topics.get(&Topic::All).map(|used| used.numbers);
        self.stamp(Kind::Beacon, &Topic::All, numbers.unwrap_or_default())
            .put(&body)
    }

    /// Is another node alive under this id? For the node's own topic, before that is bound.
    #[must_use]
    pub fn question(&self) -> Bytes {
        let own = Topic::Node(self.node.id.clone());
        self.stamp(Kind::Question, &own, Numbers::default())
            .put(&[])
    }

    /// Yes, this one is. For [`Topic::All`], when [`Say::Answer`] is asked for.
    #[must_use]
    pub fn answer(&self) -> Bytes {
        self.stamp(Kind::Answer, &Topic::All, Numbers::default())
            .put(&[])
    }

    /// Notes that nobody listens to a topic, after a message was returned.
    ///
    /// A node that has only lost its link comes back, and has to learn what it has missed: also
    /// what the broker had accepted for it before. So the numbers of the last 64 such topics are
    /// kept. Should somebody listen to an older one again, its numbers continue from higher ones,
    /// and no gap is counted.
    pub fn forget(&mut self, topic: &Topic) {
        if *topic != Topic::All
            && let Some(used) = self.topics.get_mut(topic)
        {
            used.unheard = true;
            if self.topics.values().filter(|used| used.unheard).count() > UNHEARD {
                self.forget_oldest(|used| used.unheard);
            }
        }
    }

    fn forget_oldest(&mut self, among: impl Fn(&Used) -> bool) {
        let nodes = self.topics.iter();
        let nodes = nodes.filter(|(topic, used)| **topic != Topic::All && among(used));
        let oldest = nodes.min_by_key(|(_, used)| used.at).map(|(t, _)| t);
        if let Some(used) = oldest.cloned().and_then(|t| self.topics.remove(&t)) {
            self.forgotten = self.forgotten.max(used.numbers.seq);
        }
    }

    fn stamp(&self, kind: Kind, topic: &Topic, numbers: Numbers) -> Stamp {
        Stamp {
            kind,
            source: self.node.clone(),
            topic: topic.clone(),
            numbers,
        }
    }
}
