//! What is shown to Redis: over TLS only to whom is trusted, and a password that is asked for.
#![cfg(feature = "rustls")]
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use rcgen::{CertifiedKey, generate_simple_self_signed};
use realtime_core::{ServerCredentials, revocation::RevocationErrorKind};
use realtime_revocation_redis::{RedisConfig, RedisRevocations};
use realtime_testkit::servers::redis::Redis;
use support::{failure, works};

fn certificate(name: &str) -> (String, String) {
    let CertifiedKey { cert, signing_key } =
        generate_simple_self_signed(vec![name.to_owned()]).unwrap();
    (cert.pem(), signing_key.serialize_pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_trusted_server_is_spoken_to_and_shown_what_the_provider_says() {
    let (right, key) = certificate("127.0.0.1");
    let options = Redis::options().tls(&right, &key);
    let options = options.user("rt", "pw", "~rt:* +@all -@dangerous");
    let redis = options.start().await.unwrap();
    let url = format!("rediss://127.0.0.1:{}", redis.port());
    let with = |pem: &str, password: &'static str| {
        let config = RedisConfig::builder(&url).root_certificates(pem);
        let config = config.credentials(move || async move {
            std::io::Result::Ok(ServerCredentials::new("rt", password))
        });
        RedisRevocations::new(config.build().unwrap())
    };
    works(&with(&right, "pw")).await;
    let (stranger, _) = certificate("127.0.0.1");
    for store in [with(&stranger, "pw"), with(&right, "wrong")] {
        let error = failure(&store).await;
        assert_eq!(
            error.kind(),
            RevocationErrorKind::InvalidOption,
            "{error:?}"
        );
    }
}
