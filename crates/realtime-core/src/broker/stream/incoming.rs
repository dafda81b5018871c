//! What a node receives, checked.

use std::collections::HashMap;

use bytes::Bytes;

use super::{
    Next, Received, Say,
    stamp::{Kind, Numbers, Stamp, take_name, take_numbers},
};
use crate::{
    Events,
    broker::{BrokerError, BrokerEvent, BrokerMessage, NodeInfo, Topic},
};

/// How many other nodes are remembered. Past it the one that was silent longest is forgotten.
const SOURCES: usize = 4_096;

/// Reads what other nodes have sent, and counts what is missing. See the [module](super).
#[derive(Debug)]
pub struct Incoming {
    node: NodeInfo,
    sources: HashMap<NodeInfo, Source>,
    /// How many messages were read: the clock of `Source::at`.
    read: u64,
}

/// What is known of another node.
#[derive(Debug, Default)]
struct Source {
    /// The last number on `All`; `None` before anything came.
    all: Option<u64>,
    /// The last number on this node's own topic.
    own: Option<u64>,
    at: u64,
}

impl Incoming {
    /// For a node that has just joined.
    #[must_use]
    pub fn new(node: NodeInfo) -> Self {
        Self {
            node,
            sources: HashMap::new(),
            read: 0,
        }
    }

    /// Reports gaps and what isn't a message of this version, and says what is left to do.
    pub fn receive(&mut self, bytes: Bytes, events: &Events<BrokerEvent>) -> Next {
        let gap = |source, missed| {
            if missed > 0 {
                events.send(BrokerEvent::Gap { source, missed });
            }
        };
        match self.read(bytes) {
            Ok(Received::Message { message, missed }) => {
                gap(message.source.clone(), missed);
                Next::Deliver(message)
            }
            Ok(Received::Beacon {
                source,
                missed,
                is_new,
            }) => {
                gap(source, missed);
                if is_new {
                    Next::Say(Say::Beacon)
                } else {
                    Next::Nothing
                }
            }
            Ok(Received::OwnBeacon) => Next::OwnBeacon,
            Ok(Received::Question) => Next::Say(Say::Answer),
            Ok(Received::DuplicateNode { incarnation }) => Next::DuplicateNode { incarnation },
            Ok(Received::Dropped) => Next::Nothing,
            Err(error) => {
                let cause = error.to_string();
                events.send(BrokerEvent::InvalidMessage { cause, count: 1 });
                Next::Nothing
            }
        }
    }

    /// Says what is to be done with bytes that arrived.
    ///
    /// # Errors
    /// Kind [`InvalidMessage`](crate::broker::BrokerErrorKind::InvalidMessage) for what isn't a
    /// stamped message of this version. Count it and continue.
    pub fn read(&mut self, mut bytes: Bytes) -> Result<Received, BrokerError> {
        let stamp = Stamp::take(&mut bytes)?;
        let own_topic = match &stamp.topic {
            Topic::All => false,
            Topic::Node(id) if *id == self.node.id => true,
            Topic::Node(_) => return Ok(Received::Dropped),
        };
        if stamp.source == self.node {
            return Ok(match stamp.kind {
                Kind::Beacon => Received::OwnBeacon,
                _ => Received::Dropped,
            });
        }
        if stamp.source.id == self.node.id {
            return Ok(match stamp.kind {
                Kind::Question => Received::Question,
                _ => Received::DuplicateNode {
                    incarnation: stamp.source.incarnation,
                },
            });
        }
        match stamp.kind {
            Kind::Question | Kind::Answer => Ok(Received::Dropped),
            Kind::Beacon => self.beacon(stamp, bytes),
            Kind::Message => Ok(self.message(stamp, own_topic, bytes)),
        }
    }

    fn message(&mut self, stamp: Stamp, own_topic: bool, data: Bytes) -> Received {
        let source = self.source(&stamp.source);
        let last = if own_topic {
            &mut source.own
        } else {
            &mut source.all
        };
        let Numbers { base, seq } = stamp.numbers;
        // Not known before: what came earlier was not for this node, which had not joined.
        let before = last.unwrap_or_else(|| seq.saturating_sub(1)).max(base);
        if seq <= before {
            return Received::Dropped;
        }
        *last = Some(seq);
        let message = BrokerMessage::new(stamp.topic, data, stamp.source, seq);
        Received::Message {
            message,
            missed: seq - before - 1,
        }
    }

    fn beacon(&mut self, stamp: Stamp, mut body: Bytes) -> Result<Received, BrokerError> {
        // A node that isn't named has been sent nothing.
        let mut own = Numbers::default();
        while !body.is_empty() {
            let name = take_name(&mut body)?;
            let numbers = take_numbers(&mut body)?;
            if name.as_ref() == Some(&self.node.id) {
                own = numbers;
            }
        }
        let is_new = !self.sources.contains_key(&stamp.source);
        let source = self.source(&stamp.source);
        let missed =
            reached(&mut source.all, stamp.numbers).saturating_add(reached(&mut source.own, own));
        Ok(Received::Beacon {
            source: stamp.source.id,
            missed,
            is_new,
        })
    }

    fn source(&mut self, node: &NodeInfo) -> &mut Source {
        if self.sources.len() >= SOURCES && !self.sources.contains_key(node) {
            let oldest = self.sources.iter().min_by_key(|(_, source)| source.at);
            if let Some(oldest) = oldest.map(|(node, _)| node.clone()) {
                self.sources.remove(&oldest);
            }
        }
        self.read += 1;
        let source = self.sources.entry(node.clone()).or_default();
        source.at = self.read;
        source
    }
}

/// Takes note that a source has reached these numbers, and says how many never came.
fn reached(last: &mut Option<u64>, numbers: Numbers) -> u64 {
    let Some(before) = *last else {
        *last = Some(numbers.seq);
        return 0;
    };
    let before = before.max(numbers.base);
    *last = Some(before.max(numbers.seq));
    numbers.seq.saturating_sub(before)
}
