//! Redis over TLS, with certificates that were made for the test. The suite runs over TLS, too.
#![cfg(feature = "rustls")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::error::Error;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use realtime_broker_redis::{RedisBroker, RedisBrokerConfig};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerError, BrokerErrorKind, Join, NodeInfo},
};
use realtime_testkit::servers::Redis;

fn certificate(name: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

/// Joins, trusting this certificate.
async fn join(redis: &Redis, certificate: &str) -> Result<(), BrokerError> {
    let config = RedisBrokerConfig::builder(redis.url()).root_certificates(certificate);
    let broker = RedisBroker::new(config.build().unwrap());
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    broker.subscribe(Join::new(node)).await.map(drop)
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_server_of_the_right_name_is_spoken_to() {
    let (right, key) = certificate("127.0.0.1");
    let redis = Redis::options().tls(&right, &key).start().await.unwrap();
    join(&redis, &right).await.unwrap();

    let (stranger, _) = certificate("127.0.0.1");
    let error = join(&redis, &stranger).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
    assert!(error.source().is_some(), "{error:?}");

    let (wrong, key) = certificate("redis.example");
    let redis = Redis::options().tls(&wrong, &key).start().await.unwrap();
    let error = join(&redis, &wrong).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("tls_server_name"), "{error}");
}

#[test]
fn certificates_are_read_when_it_is_built() {
    let build = |url: &str, pem: &str| {
        RedisBrokerConfig::builder(url)
            .root_certificates(pem)
            .build()
    };
    assert!(build("rediss://h", "no certificate").is_err());
    assert!(build("redis://h", &certificate("h").0).is_err());
    assert!(build("rediss://h", &certificate("h").0).is_ok());
}
