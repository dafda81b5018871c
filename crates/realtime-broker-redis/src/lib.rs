//! Joins the nodes of the `realtime` gateway over Redis pub/sub.
//!
//! ```text
//!   node a ─┐  PUBLISH      channels of Redis      SUBSCRIBE  ┌─► node a
//!   node b ─┼─────────────► rt:{chat}:all ────────────────────┼─► node b
//!   node c ─┘               rt:{chat}:n.a, rt:{chat}:t.order… └─► node c
//! ```
//!
//! ```no_run
//! use realtime::broker::redis::RedisBroker;
//!
//! # fn main() -> Result<(), realtime::broker::BrokerError> {
//! // Opens no connection yet: the gateway's start does.
//! let broker = RedisBroker::from_url("redis://rt:secret@redis.internal/?namespace=chat")?;
//! # Ok(())
//! # }
//! ```
//!
//! Each node has two connections, whatever the number of its sessions: one that publishes, one that
//! receives. They live and die by themselves, and each is made anew without end. In a Cluster it is
//! sharded pub/sub (`SPUBLISH`, Redis 7), so that a message goes to one master and not to all. All
//! channels of a namespace are in one slot, and so on one master: what one node publishes for all
//! and for another node arrives in its order, which two masters couldn't promise. So a Cluster
//! carries several namespaces on several masters, and one namespace on one of them.
//!
//! # What is promised
//! Redis keeps nothing for who isn't there: what is published while a node's link is down is lost
//! to that node. It is counted: messages are numbered, and after a link was made anew the others say
//! which numbers they have reached. What is missing is told as
//! [`BrokerEvent::Gap`](realtime_core::broker::BrokerEvent::Gap). Within one connection order is
//! kept, and nothing is lost. A publication is sent once: where its answer didn't come, its outcome
//! is [`Unknown`](realtime_core::broker::BrokerErrorKind::Unknown).
//!
//! Whether a node is there is known by the number of those who listen to its channel. The
//! connection of a node whose machine was cut off counts until Redis gives it up, which is a matter
//! of its `tcp-keepalive` (300 s unless it is set): up to then what is published for that node is
//! accepted, and that the node is gone is told by its silence.
//!
//! # A node that reads too slowly
//! What a gateway doesn't take is not read. It waits first in this node's inbox (1,024 messages and
//! 32 MiB), then in the sockets, and then in Redis, which keeps for each subscriber what
//! `client-output-buffer-limit pubsub` allows: 32 MiB, or 8 MiB for a minute. Past that it ends the
//! connection. To this node that is an outage like any other: reported, made anew, and what was
//! lost is told as gaps. Where bursts are larger, raise the limit:
//! `CONFIG SET client-output-buffer-limit "pubsub 256mb 64mb 60"`. Each slow node may take so much
//! of Redis's memory.
//!
//! # When Redis fails
//! A connection that ends is noticed at once, one that hangs within 10 s: each node publishes
//! something for itself every 3 s, which has to come back. Publications fail at once while the link
//! is down. What is large may take its time on a slow way: while bytes come or leave, nothing hangs.
//! A task that panics, since a layer of `tracing` does, is started again, and its link is made anew.
//! A restart, a failover behind sentinels, or a slot that moves to another master is an
//! outage of a moment: who is the master is asked again before each connection, and one that has
//! become a replica is left.
//!
//! # Permissions
//! `ACL SETUSER rt on >password resetchannels &rt:* +@pubsub +@connection`, and in a Cluster
//! `+cluster|slots`. The user of presence (`~rt:* +@all -@dangerous`) needs `&rt:*` beside. Who may
//! too little does not join: the error of `subscribe` says so, with kind
//! [`Config`](realtime_core::broker::BrokerErrorKind::Config). Where permissions are taken away
//! later, the link is down until they are back.
//!
//! # Features
//! - `rustls`: URLs with the schemes `rediss:`, `rediss-cluster:` and `rediss-sentinel:`, TLS with
//!   ring.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod broker;
mod channels;
mod config;
mod connection;
mod error;
mod health;
mod inbox;
mod line;
mod locate;
mod member;
mod publisher;
mod resp;
mod subscriber;
mod traffic;

pub use broker::RedisBroker;
pub use config::{RedisBrokerConfig, RedisBrokerConfigBuilder};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
