//! For tests of servers and backends of the `realtime` gateway.
//!
//! - [`conformance`]: what every authenticator, broker, codec and presence store must do;
//! - [`client`]: a WebSocket client that can behave well and badly;
//! - `memory`: a client of a gateway over memory, for tests of handlers (feature `gateway`);
//! - [`proxy`]: a network that breaks;
//! - `servers`: private RabbitMQ, Redis and NATS servers (on Unix: they are told by signals);
//! - [`wait`]: conditions with a deadline, in place of sleeping.

#![cfg_attr(docsrs, feature(doc_cfg))]

pub mod client;
pub mod conformance;
#[cfg(feature = "gateway")]
pub mod memory;
pub mod proxy;
#[cfg(unix)]
pub mod servers;
pub mod wait;

#[cfg(all(doctest, feature = "gateway"))]
#[doc = include_str!("../../../docs/testing.md")]
struct Testing;
