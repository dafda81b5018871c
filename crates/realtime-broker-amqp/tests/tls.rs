//! RabbitMQ over TLS, on a real one.
#![cfg(feature = "rustls")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use bytes::Bytes;
use realtime_broker_amqp::{AmqpBroker, AmqpConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, NodeInfo, Published, Topic},
};
use realtime_testkit::{servers::RabbitMq, wait::within};

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
    assert_eq!(kind, Some(BrokerErrorKind::Unavailable));

    let trusting = AmqpBroker::new(config.root_certificates(certificate).build().unwrap());
    let joined = within("joining", trusting.subscribe(node(), &[Topic::All])).await;
    assert!(joined.is_ok(), "{joined:?}");
    let said = trusting
        .publish(&Topic::All, Bytes::from_static(b"secret"))
        .await;
    assert_eq!(said.unwrap(), Published::Routed);
}
