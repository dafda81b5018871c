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
//! A node has two connections, and they live and die by themselves. One that publishes and gets no
//! answers is made anew while the queue is consumed on the other: publications fail meanwhile, and
//! what others say arrives. Where the one that consumes is lost, and the queue with it, what is on
//! its way on the other has 1 s to be confirmed, and both are made anew.
//!
//! What is promised: messages of one node arrive at the others in its order; a publication fails
//! at once while the link is down or blocked; and whatever doesn't arrive is reported as a
//! [`BrokerEvent`](realtime_core::broker::BrokerEvent), found out by numbers and beacons and not
//! by what the client library says.
//!
//! # Dead nodes, duplicates, leftovers
//! A node that publishes to another learns when nobody has that name any more. From outside, a
//! dead node looks like one that has just lost its link; so only a node that has had a link for a
//! while judges others, which is the gateway's business.
//!
//! A *duplicate* is a second node under a living node's id. Before a node binds its name it asks
//! who has it: where nobody does, RabbitMQ returns the question; where somebody answers,
//! `subscribe` fails with kind
//! [`DuplicateNode`](realtime_core::broker::BrokerErrorKind::DuplicateNode).
//!
//! A *leftover* is the queue of a node whose connection was cut without an end that RabbitMQ could
//! see. It accepts the question, and nobody answers. RabbitMQ gives it up after two to three
//! heartbeats, so a node that starts asks again for as long as four: what still accepts questions
//! then is a duplicate that lags behind. A process that ends leaves nothing, since its sockets end
//! with it. A node that only makes its link anew waits for 1 s at most, since what has its name is
//! most likely its own leftover. With `confirms(false)` questions are not returned, and a duplicate
//! is noticed only if it answers within 1 s.
//!
//! ```no_run
//! use realtime::broker::amqp::AmqpBroker;
//!
//! # fn main() -> Result<(), realtime::broker::BrokerError> {
//! let broker = AmqpBroker::from_url("amqp://user:password@rabbit/%2f?namespace=chat")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Permissions
//! For a user of the namespace `chat`: configure, write and read, each `^rt\.chat(\..*)?$`. Who has too
//! little doesn't join: the error of `subscribe` names what is missing, with kind
//! [`Config`](realtime_core::broker::BrokerErrorKind::Config). Where exchanges may not be configured,
//! `rt.chat`, direct and durable, must be there, and
//! [`declares(false)`](AmqpConfigBuilder::declares) be said.
//!
//! # What lapin logs
//! On its I/O thread, nothing: there it warns of each message that is returned to it, which is how a
//! node asks for another. What its tasks log, an error for a connection that the server has closed,
//! say, is under the targets `lapin::…`, as ever.
//!
//! # Features
//! - `rustls`: URLs with the scheme `amqps:`, TLS with ring.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod address;
mod broker;
mod config;
mod connection;
mod consumer;
mod consuming;
mod error;
mod limit;
mod link;
mod patience;
mod probe;
mod publisher;
mod publishing;
mod quiet;
mod request;
mod retry;
mod routes;
mod runtime;
mod server;
mod speaker;
mod state;
mod supervisor;
mod topology;
mod wire;

pub use broker::AmqpBroker;
pub use config::{AmqpConfig, AmqpConfigBuilder};
