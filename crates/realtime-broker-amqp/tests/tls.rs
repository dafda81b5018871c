//! RabbitMQ over TLS, on a real one.
#![cfg(feature = "rustls")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, NodeInfo, Published, Topic},
};
use realtime_testkit::{
    servers::RabbitMq,
    wait::{until, within},
};

#[tokio::test]
async fn only_a_server_whose_certificate_is_trusted_is_spoken_to() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let server = RabbitMq::with_tls(&certificate, &key).await.unwrap();
    let config = AmqpConfig::builder(server.url());
    let node = || NodeInfo::new(NodeId::random(), Incarnation::random());

    let stranger = AmqpBroker::new(config.clone().build().unwrap());
    let refused = within("the refusal", stranger.subscribe(node(), &[Topic::All])).await;
    let kind = refused.err().map(|error| error.kind());
    assert_eq!(kind, Some(BrokerErrorKind::Config), "as for Redis");

    let trusting = AmqpBroker::new(config.root_certificates(certificate).build().unwrap());
    let joined = within("joining", trusting.subscribe(node(), &[Topic::All])).await;
    assert!(joined.is_ok(), "{joined:?}");
    let said = trusting
        .publish(&Topic::All, Bytes::from_static(b"secret"))
        .await;
    assert_eq!(said.unwrap(), Published::Routed);
}

#[test]
fn certificates_are_read_when_it_is_built() {
    let own = rcgen::generate_simple_self_signed(vec!["h".to_owned()]).unwrap();
    let build = |url: &str, pem: &str| AmqpConfig::builder(url).root_certificates(pem).build();
    for pem in ["", "no certificate", &own.signing_key.serialize_pem()] {
        let error = build("amqps://h", pem).unwrap_err();
        assert!(
            error.to_string().starts_with("root_certificates"),
            "{error}"
        );
    }
    assert!(build("amqp://h", &own.cert.pem()).is_err());
    assert!(build("amqps://h", &own.cert.pem()).is_ok());
}

/// A stopped server takes connections and answers no handshake.
#[tokio::test]
async fn attempts_at_a_stopped_server_do_not_pile_up() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let mut server = RabbitMq::with_tls(&certificate, &key).await.unwrap();
    let config = AmqpConfig::builder(server.url())
        .heartbeat(Duration::from_secs(1))
        .root_certificates(certificate);
    let broker = AmqpBroker::new(config.build().unwrap());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = within("joining", broker.subscribe(node, &[Topic::All]))
        .await
        .unwrap();
    let says = async || {
        broker
            .publish(&Topic::All, Bytes::from_static(b"hello"))
            .await
            .is_ok()
    };
    assert!(says().await);
    let before = held();
    server.stop().unwrap();
    until("it is down", async || !says().await).await;
    // Each attempt takes some seconds.
    let most_of = async |time: Duration| {
        let end = Instant::now() + time;
        let mut most = (0, 0);
        while Instant::now() < end {
            let now = held();
            most = (most.0.max(now.0), most.1.max(now.1));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        most
    };
    let first = most_of(Duration::from_secs(8)).await;
    let then = most_of(Duration::from_secs(8)).await;
    // Two attempts or more lie between. Looking up a name takes a thread now and then.
    let fewer_than = (first.0 + 3, first.1 + 3);
    assert!(
        then.0 < fewer_than.0 && then.1 < fewer_than.1,
        "{first:?}, {then:?}"
    );
    server.resume().unwrap();
    until("it is back", says).await;
    // But for a runtime that the client library makes once.
    until("what the attempts held is gone", async || {
        let now = held();
        now.0 <= before.0 + 1 && now.1 <= before.1 + 4
    })
    .await;
}

/// Threads and descriptors of this process.
fn held() -> (usize, usize) {
    let count = |folder: &str| std::fs::read_dir(folder).unwrap().count();
    (count("/proc/self/task"), count("/proc/self/fd"))
}
