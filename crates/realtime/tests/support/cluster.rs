//! The servers that nodes share, and how they go down and up.
#![allow(
    dead_code,
    unreachable_pub,
    reason = "shared by test files that use a part of it each"
)]

use realtime_testkit::{
    proxy::{Fault, Proxy},
    servers::{RabbitMq, Redis},
};

/// The RabbitMQ and the Redis of a cluster, both of the test's own.
pub struct Cluster {
    pub rabbitmq: RabbitMq,
    pub redis: Redis,
}

impl Cluster {
    pub async fn start() -> Self {
        let (rabbitmq, redis) = futures::try_join!(RabbitMq::start(), Redis::start()).unwrap();
        Self { rabbitmq, redis }
    }

    /// A proxy in front of the broker, and the broker's URL through it.
    pub async fn behind_a_proxy(&self) -> (Proxy, String) {
        let proxy = Proxy::start(self.rabbitmq.port()).await;
        let [direct, through] = [self.rabbitmq.port(), proxy.port()].map(|p| p.to_string());
        let url = self.rabbitmq.url().replace(&direct, &through);
        (proxy, url)
    }
}

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// What goes through the proxy loses its connections.
    Reset,
    /// All nodes lose theirs.
    Closed,
    Killed,
    /// Packets through the proxy are lost.
    Blackhole,
    Stopped,
    RedisKilled,
    RedisStopped,
}

impl Outage {
    pub const ALL: &[Self] = &[
        Self::Reset,
        Self::Closed,
        Self::Killed,
        Self::Blackhole,
        Self::Stopped,
        Self::RedisKilled,
        Self::RedisStopped,
    ];

    /// Whether it concerns only the node behind the proxy.
    pub fn concerns_one(self) -> bool {
        matches!(self, Self::Reset | Self::Blackhole)
    }

    /// Whether it lasts until [`Outage::end`].
    pub fn lasts(self) -> bool {
        !matches!(self, Self::Reset | Self::Closed)
    }

    pub async fn begin(self, cluster: &mut Cluster, proxy: &Proxy) {
        let Cluster { rabbitmq, redis } = cluster;
        match self {
            Self::Reset => proxy.reset(),
            Self::Closed => rabbitmq.close_connections().await.unwrap(),
            Self::Killed => rabbitmq.kill().unwrap(),
            Self::Blackhole => proxy.set(Fault::Blackhole),
            Self::Stopped => rabbitmq.stop().unwrap(),
            Self::RedisKilled => redis.kill().unwrap(),
            Self::RedisStopped => redis.stop().unwrap(),
        }
    }

    pub async fn end(self, cluster: &mut Cluster, proxy: &Proxy) {
        let Cluster { rabbitmq, redis } = cluster;
        match self {
            Self::Reset | Self::Closed => {}
            Self::Killed => rabbitmq.restart().await.unwrap(),
            Self::Blackhole => proxy.set(Fault::None),
            Self::Stopped => rabbitmq.resume().unwrap(),
            Self::RedisKilled => redis.restart().await.unwrap(),
            Self::RedisStopped => redis.resume().unwrap(),
        }
    }
}
