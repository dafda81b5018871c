//! The suite that every broker passes, on a real RabbitMQ.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_testkit::servers::RabbitMq;

realtime_testkit::broker_suite!(
    rabbitmq_passes_the_suite,
    RabbitMq::start().await.unwrap(),
    |server: &RabbitMq| {
        static CLUSTER: AtomicU32 = AtomicU32::new(0);
        let cluster = format!("suite-{}", CLUSTER.fetch_add(1, Relaxed));
        let config = AmqpConfig::builder(server.url()).namespace(cluster);
        let config = config.build().unwrap();
        move || AmqpBroker::new(config.clone())
    }
);
