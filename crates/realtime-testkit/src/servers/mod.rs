//! Private servers for tests: on free ports, in folders of their own, ended with their value.
//!
//! Nothing relies on servers that run already, and none is left behind when a test panics. Each
//! can be killed, stopped, continued and restarted on the same port.

mod process;
mod rabbitmq;
mod redis;

pub use process::free_port;
pub use rabbitmq::RabbitMq;
pub use redis::{Redis, RedisCluster};
