//! For tests of servers and backends of the `realtime` gateway.
//!
//! - [`client`]: a WebSocket client that can behave well and badly;
//! - [`wait`]: conditions with a deadline, in place of sleeping.

pub mod client;
pub mod wait;
