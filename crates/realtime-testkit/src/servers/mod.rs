//! Private servers for tests: each on free ports of the loopback, in a folder of its own, and
//! ended with the value that owns it, also when the test panics.
//!
//! A server that is installed but not running is enough: nothing here uses the well-known ports.
//! Each can be killed, stopped, continued and restarted on the same port.

pub mod nats;
mod process;
pub mod rabbitmq;
pub mod redis;
pub mod reverse_proxy;
pub mod sentinel;

use std::{
    io,
    net::{Ipv4Addr, TcpListener},
};

pub use nats::Nats;
pub use process::{Process, Signal};
pub use rabbitmq::RabbitMq;
pub use redis::{Redis, RedisCluster};
pub use reverse_proxy::ReverseProxy;
pub use sentinel::Sentinel;

/// A port of the loopback on which nobody listens.
///
/// Below the range from which the system takes ports for outgoing connections, so that none of
/// those comes in between.
///
/// # Errors
/// When a thousand attempts find none.
pub fn free_port() -> io::Result<u16> {
    let free = |port: &u16| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok();
    let mut ports = (0..1_000).map(|_| fastrand::u16(10_000..30_000));
    let none = || io::Error::new(io::ErrorKind::AddrInUse, "no port of the loopback is free");
    ports.find(free).ok_or_else(none)
}
