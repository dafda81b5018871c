//! What every networked broker needs so that nothing is lost in silence: numbers, gaps, beacons.
//!
//! A backend moves bytes; these two pieces give them meaning. [`Outgoing`] stamps what a node
//! sends with its name, its incarnation and a number per topic. [`Incoming`] reads what arrives,
//! drops the node's own messages and duplicates, and counts what is missing.
//!
//! ```text
//!   publish ──► Outgoing::message ─┐                          ┌─► Message { missed } ──► deliver
//!   every 3 s ► Outgoing::beacon ──┼──► bytes, in order ──► Incoming::read ─► Beacon { missed }
//!   at start ─► Outgoing::question ┘                          ├─► OwnBeacon: the loop is closed
//!                                                             ├─► Question: publish the answer
//!                                                             └─► DuplicateNode, Dropped
//! ```
//!
//! [`Incoming::receive`] is `read` for those who have [`Events`](crate::Events): it reports what
//! is to be reported, and returns what is left to do.
//!
//! Five rules keep the numbers true:
//! 1. Stamp in the order in which you send: hold one lock, or use one task, for both.
//! 2. Keep both values across reconnects, and begin new ones with each subscription.
//! 3. Publish a beacon on [`Topic::All`](super::Topic::All) as soon as you are connected and then
//!    every [`BEACON_INTERVAL`]: without it the loss of the last message is never noticed. When
//!    your own has not come back as the next is due twice in a row, the link is down, whatever
//!    the client library says.
//! 4. Before you bind [`Topic::Node`](super::Topic::Node), publish the question there; if an
//!    answer comes within [`ANSWER_TIMEOUT`], another node is alive under the id.
//! 5. When a node is new to you, publish a beacon: it has just joined, and what it misses counts
//!    from the first number that it knows.

mod incoming;
mod outgoing;
mod stamp;

use std::time::Duration;

use super::BrokerMessage;
use crate::{Incarnation, NodeId};

pub use incoming::Incoming;
pub use outgoing::Outgoing;

/// How often a node announces to the others which numbers it has reached.
pub const BEACON_INTERVAL: Duration = Duration::from_secs(3);

/// How long a node waits, before it binds its name, for another that has it already.
pub const ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// What is left to do with some bytes that [`Incoming::receive`] has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Next {
    /// Deliver this message.
    Deliver(BrokerMessage),
    /// Publish this on [`Topic::All`](super::Topic::All).
    Say(Say),
    /// A beacon of this node came back: the link works both ways.
    OwnBeacon,
    /// Another node is alive under this node's id.
    DuplicateNode {
        /// That node's incarnation.
        incarnation: Incarnation,
    },
    /// Nothing.
    Nothing,
}

/// What a node says of itself. [`Outgoing::say`] makes the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Say {
    /// That it is alive under its id, to another that wants to start under it.
    Answer,
    /// Which numbers it has reached.
    Beacon,
}

/// What [`Incoming::read`] made of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Received {
    /// Deliver this message.
    Message {
        /// The message.
        message: BrokerMessage,
        /// How many of its source's messages should have come before it and did not. Report them
        /// as [`BrokerEvent::Gap`](super::BrokerEvent::Gap).
        missed: u64,
    },
    /// Another node is alive.
    Beacon {
        /// That node.
        source: NodeId,
        /// How many of its messages are missing at the end. Report them, too.
        missed: u64,
        /// It was not known before: publish a beacon, so that it knows your numbers.
        is_new: bool,
    },
    /// A beacon of this node came back: the link works both ways.
    OwnBeacon,
    /// Another node is about to start under this node's id: publish
    /// [`Outgoing::answer`] on [`Topic::All`](super::Topic::All).
    Question,
    /// Another node is alive under this node's id.
    DuplicateNode {
        /// That node's incarnation.
        incarnation: Incarnation,
    },
    /// Nothing to deliver: an own message, a duplicate, or something that concerns another node.
    Dropped,
}

#[cfg(test)]
mod tests;
