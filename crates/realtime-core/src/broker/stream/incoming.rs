//! What a node receives, checked.

use std::{collections::HashSet, sync::Arc};

use bytes::Bytes;

use super::{
    Next, Topics, beacon,
    loopback::{Stall, Way},
    peers::{Changes, Peers},
    shared::Shared,
    stamp::{HELLO, Kind, Stamp},
};
use crate::{
    Incarnation,
    broker::{BrokerError, BrokerEvent, BrokerMessage, NodeInfo, Topic},
};

/// How many doubles of this node are told apart.
const DOUBLES: usize = 64;

/// Reads what other nodes have sent, counts what is missing, and tells who is there. See the
/// [module](super).
#[derive(Debug)]
pub struct Incoming {
    shared: Arc<Shared>,
    peers: Peers,
    /// Other starts under this node's id that were told of.
    doubles: HashSet<Incarnation>,
}

impl Incoming {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            peers: Peers::default(),
            doubles: HashSet::new(),
        }
    }

    /// The named topics that this node is in. Messages on others are dropped.
    #[must_use]
    pub fn topics(&self) -> &Arc<Topics> {
        &self.shared.topics
    }

    /// The link was made anew: call it before what the new one delivers is received. What others
    /// said meanwhile was not heard, and they get time to say it again.
    pub fn begin(&mut self) {
        self.peers.begin();
        self.shared.topics.begin();
        self.shared.loopback.is_renewed();
    }

    /// The gateway takes nothing for now, so nothing is read of the line on which this node hears what
    /// it publishes for itself, until what this returns is dropped. Meanwhile nothing of this node can
    /// come back, and the link is no worse for it.
    pub fn stall(&self) -> Stall {
        Stall::new(Arc::clone(&self.shared))
    }

    /// Looks at bytes that arrived, reports gaps, nodes and what can't be read to those who listen,
    /// and says what is left to do.
    ///
    /// They came in one line with what this node publishes for itself, which may stand behind them.
    pub fn receive(&mut self, bytes: Bytes) -> Next {
        self.shared.loopback.delivered();
        self.receive_beside(bytes)
    }

    /// As [`receive`](Self::receive), of bytes that came beside that line, on a subscription of their
    /// own: however many do, nothing of this node stands behind them.
    pub fn receive_beside(&mut self, bytes: Bytes) -> Next {
        self.read(bytes).unwrap_or_else(|error| {
            let invalid = BrokerEvent::invalid_message(error.to_string(), 1);
            self.shared.events.send(invalid);
            Next::Nothing
        })
    }

    /// As [`receive`](Self::receive), of a message that is larger than this node takes, of which the
    /// beginning is enough: [`MAX_STAMP`](super::MAX_STAMP) bytes, or all of it. Its number has come,
    /// so it is no gap; instead it is reported with this cause, unless this node would have dropped it
    /// anyway. There is nothing to deliver, but another node of this one's id may have sent it.
    pub fn refuse(&mut self, beginning: Bytes, cause: impl Into<String>) -> Next {
        self.shared.loopback.delivered();
        match self.read(beginning) {
            Ok(Next::Deliver(_)) | Err(_) => {
                self.tell([BrokerEvent::invalid_message(cause, 1)]);
                Next::Nothing
            }
            Ok(next) => next,
        }
    }

    fn read(&mut self, mut bytes: Bytes) -> Result<Next, BrokerError> {
        let stamp = Stamp::take(&mut bytes)?;
        let own = &self.shared.node;
        let is_elsewhere = matches!(&stamp.topic, Topic::Node(id) if *id != own.id);
        if is_elsewhere {
            return Ok(Next::Nothing);
        }
        if stamp.source == *own {
            self.returned(stamp.kind);
            return Ok(Next::Nothing);
        }
        if stamp.source.id == own.id {
            return Ok(self.double(stamp.kind, stamp.source.incarnation));
        }
        match stamp.kind {
            Kind::Question | Kind::Answer | Kind::Probe => {}
            Kind::Message => return Ok(self.message(stamp, bytes)),
            Kind::Beacon => self.beacon(&stamp, bytes),
            Kind::Mark => self.mark(&stamp),
            Kind::Goodbye => {
                let left = self.peers.leave(&stamp.source);
                self.shared.set_others(self.peers.up());
                self.tell(left.map(BrokerEvent::node_down));
            }
        }
        Ok(Next::Nothing)
    }

    /// Something of this node has come back.
    fn returned(&mut self, kind: Kind) {
        match kind {
            Kind::Beacon => self.shared.loopback.returned(Way::ForAll),
            Kind::Probe => {
                self.shared.loopback.returned(Way::OwnTopic);
                if self.shared.has_begun() {
                    self.peers.begin();
                }
                let gone = self.peers.judge();
                self.shared.set_others(self.peers.up());
                self.tell(gone.into_iter().map(BrokerEvent::node_down));
            }
            _ => {}
        }
    }

    /// Something of another start under this node's id has come.
    fn double(&mut self, kind: Kind, incarnation: Incarnation) -> Next {
        match kind {
            Kind::Question => self.shared.ask_for_an_answer(),
            Kind::Goodbye => {}
            _ => {
                if self.doubles.len() < DOUBLES && self.doubles.insert(incarnation) {
                    return Next::DuplicateNode { incarnation };
                }
            }
        }
        Next::Nothing
    }

    fn message(&mut self, stamp: Stamp, data: Bytes) -> Next {
        let (peer, changes) = self.peers.hear(&stamp.source);
        let missed = match &stamp.topic {
            Topic::All => stamp.numbers.arrive(&mut peer.all),
            Topic::Node(_) => stamp.numbers.arrive(&mut peer.own),
            Topic::Named(name) => self
                .shared
                .topics
                .arrive(name, &stamp.source, stamp.numbers),
        };
        self.changed(changes);
        let Some(missed) = missed else {
            return Next::Nothing;
        };
        self.missed(&stamp, missed);
        let seq = stamp.numbers.seq;
        Next::Deliver(BrokerMessage::new(stamp.topic, data, stamp.source, seq))
    }

    fn beacon(&mut self, stamp: &Stamp, body: Bytes) {
        let (peer, changes) = self.peers.hear(&stamp.source);
        peer.beacon(beacon::take(body));
        let missed = stamp.numbers.reach(&mut peer.all);
        self.changed(changes);
        self.missed(stamp, missed);
        if stamp.hints & HELLO != 0 {
            self.shared.ask_for_numbers(stamp.source.id.clone());
        }
    }

    fn mark(&mut self, stamp: &Stamp) {
        let (peer, changes) = self.peers.hear(&stamp.source);
        let missed = match &stamp.topic {
            Topic::All => stamp.numbers.reach(&mut peer.all),
            Topic::Node(_) => stamp.numbers.reach(&mut peer.own),
            Topic::Named(name) => self.shared.topics.reach(name, &stamp.source, stamp.numbers),
        };
        self.changed(changes);
        self.missed(stamp, missed);
    }

    fn changed(&self, changes: Changes) {
        if changes.is_empty() {
            return;
        }
        self.shared.set_others(self.peers.up());
        let down = changes.down.into_iter().map(BrokerEvent::node_down);
        self.tell(down.chain(changes.up.map(BrokerEvent::node_up)));
    }

    fn missed(&self, stamp: &Stamp, missed: u64) {
        if missed > 0 {
            let (source, topic) = (stamp.source.id.clone(), stamp.topic.clone());
            self.tell([BrokerEvent::gap(source, Some(topic), missed)]);
        }
    }

    fn tell(&self, events: impl IntoIterator<Item = BrokerEvent>) {
        events
            .into_iter()
            .for_each(|event| self.shared.events.send(event));
    }
}

/// What some bytes are to a node that is about to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Look {
    /// A beacon of the node itself: what it publishes for all comes back.
    OwnBeacon,
    /// Another node is alive under its id.
    DuplicateNode,
    /// Something else, which [`Incoming::receive`] may read.
    Other,
}

/// A look at bytes that arrive while a node joins, which changes nothing.
#[must_use]
pub fn look(node: &NodeInfo, mut bytes: Bytes) -> Look {
    match Stamp::take(&mut bytes) {
        Ok(stamp) if stamp.source == *node && stamp.kind == Kind::Beacon => Look::OwnBeacon,
        Ok(stamp)
            if stamp.source.id == node.id
                && stamp.source != *node
                && !matches!(stamp.kind, Kind::Question | Kind::Goodbye) =>
        {
            Look::DuplicateNode
        }
        _ => Look::Other,
    }
}
