//! Redis over TLS, with certificates that were made for the test.
#![cfg(feature = "rustls")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use realtime_core::presence::PresenceErrorKind;
use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::servers::redis::Redis;
use support::{failure, works};

fn certificate(name: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

fn trusting(redis: &Redis, certificate: &str) -> RedisPresence {
    let config = RedisConfig::builder(redis.url()).root_certificates(certificate);
    RedisPresence::new(config.build().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_server_of_the_right_name_is_spoken_to() {
    let (right, key) = certificate("127.0.0.1");
    let options = Redis::options().tls(&right, &key);
    let redis = options.user("rt", "pw", "~rt:* +@all -@dangerous");
    let redis = redis.start().await.unwrap();
    assert!(redis.url().starts_with("rediss://rt:pw@"));
    works(&trusting(&redis, &right)).await;

    let (stranger, _) = certificate("127.0.0.1");
    let error = failure(&trusting(&redis, &stranger)).await;
    assert_eq!(error.kind(), PresenceErrorKind::Config, "{error:?}");

    let (wrong, key) = certificate("redis.example");
    let redis = Redis::options().tls(&wrong, &key).start().await.unwrap();
    let error = failure(&trusting(&redis, &wrong)).await;
    assert_eq!(error.kind(), PresenceErrorKind::Config, "{error:?}");
}

#[test]
fn certificates_are_read_when_it_is_built() {
    let build = |url: &str, pem: &str| RedisConfig::builder(url).root_certificates(pem).build();
    assert!(build("rediss://h", "no certificate").is_err());
    assert!(build("redis://h", &certificate("h").0).is_err());
    assert!(build("rediss://h", &certificate("h").0).is_ok());
}
