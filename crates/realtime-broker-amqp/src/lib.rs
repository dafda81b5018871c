//! Joins the nodes of the `realtime` gateway over RabbitMQ.
//!
//! ```text
//!   node a ─┐                       ┌─ "all", "n.a" ─► queue of a ─► node a
//!   node b ─┼─► exchange rt.{ns} ───┼─ "all", "n.b" ─► queue of b ─► node b
//!   node c ─┘   direct, durable     └─ "all", "n.c" ─► queue of c ─► node c
//! ```
//!
//! Each node has one queue, whatever the number of its sessions: exclusive, bounded, gone with its
//! connection, and under a new name after each reconnect. So a broker that was killed, stopped or
//! partitioned away leaves nothing behind that could be in the way.
//!
//! What is promised: messages of one node arrive at the others in its order; a publication fails
//! at once while the link is down or blocked; and whatever doesn't arrive is reported as a
//! [`BrokerEvent`](realtime_core::broker::BrokerEvent), found out by numbers and beacons and not
//! by what the client library says.
//!
//! ```no_run
//! use realtime_broker_amqp::AmqpBroker;
//!
//! # fn main() -> Result<(), realtime_core::broker::BrokerError> {
//! let broker = AmqpBroker::from_url("amqp://user:password@rabbit/%2f?namespace=chat")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//! - `rustls`: URLs with the scheme `amqps:`, TLS with ring.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod beacon;
mod broker;
mod config;
mod consumer;
mod error;
mod link;
mod probe;
mod publisher;
mod state;
mod supervisor;
mod topology;
mod wire;

pub use broker::AmqpBroker;
pub use config::{AmqpConfig, AmqpConfigBuilder};
