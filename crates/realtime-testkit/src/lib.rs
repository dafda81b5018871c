//! For tests of servers and backends of the `realtime` gateway.
//!
//! - [`conformance`]: what every authenticator, broker, codec and presence store must do;
//! - [`client`]: a WebSocket client that can behave well and badly;
//! - [`wait`]: conditions with a deadline, in place of sleeping.

pub mod client;
pub mod conformance;
pub mod wait;
