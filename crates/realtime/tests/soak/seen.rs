//! What a client has seen, checked as it comes.

use std::{collections::VecDeque, ops::Range};

use realtime::Backpressure;
use serde_json::Value;

use crate::plan::{NODES, POLICIES};

/// How a session ended for its client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The server sent a close frame of its own.
    Closed(u16),
    /// The client closed.
    Left,
    /// Without a close: by a reset, or the end of the connection.
    Lost,
}

/// Numbers that come in order, with holes.
#[derive(Debug, Default, Clone)]
pub struct Numbers {
    first: Option<u64>,
    next: u64,
    pub received: u64,
}

impl Numbers {
    /// Returns how many were left out before this one, or nothing when it is out of order.
    fn take(&mut self, number: u64) -> Option<u64> {
        let first = *self.first.get_or_insert(number);
        let hole = number.checked_sub(self.next.max(first))?;
        self.next = number + 1;
        self.received += 1;
        Some(hole)
    }

    /// How many came, counted from this number on.
    pub fn received_from(&self, from: u64) -> u64 {
        let early = self.first.map_or(0, |first| from.saturating_sub(first));
        self.received.saturating_sub(early)
    }

    /// One more than the last that came.
    pub fn end(&self) -> u64 {
        self.next
    }
}

/// The broadcasts of another node. What is missing may have been lost on the way.
#[derive(Debug, Default, Clone)]
pub struct Far {
    pub numbers: Numbers,
    pub holes: Vec<Range<u64>>,
}

impl Far {
    /// Returns whether it was in order.
    #[must_use]
    pub fn take(&mut self, number: u64) -> bool {
        let hole = self.numbers.take(number);
        if let Some(hole @ 1..) = hole {
            self.holes.push(number - hole..number);
        }
        hole.is_some()
    }
}

#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub id: u64,
    pub policy: Backpressure,
    /// What was sent to this session only, from 0 on.
    pub own: Numbers,
    pub broadcasts: Numbers,
    /// By node; that of its own node is empty.
    pub far: [Far; NODES],
    /// How many messages it was told that it has missed.
    pub told: u64,
    pub replies: u64,
    /// How many of its own messages and its node's broadcasts were left out.
    pub holes: u64,
    waiting: VecDeque<u64>,
}

impl Seen {
    pub fn new(id: u64, policy: Backpressure) -> Self {
        Self {
            id,
            policy,
            own: Numbers {
                first: Some(0),
                ..Numbers::default()
            },
            broadcasts: Numbers::default(),
            far: Default::default(),
            told: 0,
            replies: 0,
            holes: 0,
            waiting: VecDeque::new(),
        }
    }

    /// Which node it is at.
    pub fn node(&self) -> usize {
        let node = POLICIES.iter().position(|policy| *policy == self.policy);
        node.unwrap()
    }

    /// Something was asked that has to be answered before all that is asked later.
    pub fn asked(&mut self, id: u64) {
        self.waiting.push_back(id);
    }

    pub fn message(&mut self, message: &Value) {
        let data = &message["data"];
        match (message["id"].as_str(), message["route"].as_str()) {
            (Some(id), _) => {
                let expected = self.waiting.pop_front();
                assert_eq!(
                    Some(id),
                    expected.map(|id| id.to_string()).as_deref(),
                    "{self:?}"
                );
                self.replies += 1;
            }
            (None, Some("own")) => {
                let hole = self.own.take(data[0].as_u64().unwrap());
                self.hole(hole, message);
            }
            (None, Some("all")) => {
                let (number, node) = (data[0].as_u64().unwrap(), data[1].as_u64().unwrap());
                if node as usize == self.node() {
                    let hole = self.broadcasts.take(number);
                    self.hole(hole, message);
                } else if !self.far[node as usize].take(number) {
                    panic!("out of order or twice: {message}: {self:?}");
                }
            }
            (None, Some("gap")) => {
                self.told += data["missed"].as_u64().unwrap();
            }
            // The answer to what was no envelope.
            (None, Some("error")) => assert_eq!(data["code"], "malformed", "{message}"),
            _ => panic!("session {}: unexpected {message}", self.id),
        }
    }

    /// Whoever misses something was told before.
    fn hole(&mut self, hole: Option<u64>, message: &Value) {
        let Some(hole) = hole else {
            panic!("out of order or twice: {}: {self:?}", message["data"][0]);
        };
        self.holes += hole;
        assert!(self.holes <= self.told, "missed and not told: {self:?}");
    }
}
