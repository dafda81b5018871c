//! For tests of servers and backends of the `realtime` gateway.
//!
//! - [`conformance`]: what every authenticator, broker, codec and presence store must do;
//! - [`client`]: a WebSocket client that can behave well and badly;
//! - [`proxy`]: a network that breaks;
//! - [`servers`]: private RabbitMQ and Redis servers;
//! - [`wait`]: conditions with a deadline, in place of sleeping.

pub mod client;
pub mod conformance;
pub mod proxy;
pub mod servers;
pub mod wait;
