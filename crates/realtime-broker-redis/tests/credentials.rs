//! What is shown to Redis: passwords that change while the program runs, certificates, and what is
//! said where one side speaks TLS and the other doesn't.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(dead_code, reason = "shared by all tests of faults")]
mod support;

use std::{
    error::Error,
    sync::{Arc, Mutex},
};

use realtime_broker_redis::{RedisBroker, RedisBrokerConfig, RedisBrokerConfigBuilder};
use realtime_core::{
    NodeId, ServerCredentials,
    broker::{Broker, BrokerError, BrokerErrorKind, Join, Published, Topic},
};
use realtime_testkit::{servers::Redis, wait::until};
use support::{Member, node};

/// Shows the password that is there by then.
fn with_password(url: &str, password: &Arc<Mutex<Result<String, String>>>) -> RedisBrokerConfig {
    let password = Arc::clone(password);
    let builder = RedisBrokerConfig::builder(url).namespace("faults");
    let builder = builder.credentials(move || {
        let password = password.lock().unwrap().clone();
        async { password.map(|password| ServerCredentials::new("rt", password)) }
    });
    builder.build().unwrap()
}

async fn refused(config: RedisBrokerConfig) -> BrokerError {
    let join = Join::new(node(&NodeId::random()));
    RedisBroker::new(config).subscribe(join).await.unwrap_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_asked_for_at_each_connection() {
    let options = Redis::options().user("rt", "old", "&rt:* +@pubsub +@connection");
    let redis = options.start().await.unwrap();
    let url = format!("redis://127.0.0.1:{}", redis.port());
    let password = Arc::new(Mutex::new(Ok("old".to_owned())));
    let mut one = Member::join_with(with_password(&url, &password)).await;
    let mut other = Member::join_with(with_password(&url, &password)).await;
    one.talk(&mut other).await;
    for new in ["new", "newer"] {
        let rotate = ["ACL", "SETUSER", "rt", "resetpass", &format!(">{new}")];
        redis.command(&rotate).await.unwrap();
        // Connections live on with what they were made with.
        one.talk(&mut other).await;
        *password.lock().unwrap() = Ok(new.to_owned());
        for kind in ["normal", "pubsub"] {
            redis
                .command(&["CLIENT", "KILL", "TYPE", kind])
                .await
                .unwrap();
        }
        for member in [&mut one, &mut other] {
            member.until_down().await;
            member.until_up().await;
        }
        // It may have been up again before the other half of its connections was cut.
        until("both are reached again", async || {
            one.say("there?").await == Ok(Published::Routed)
                && one.say_on(&Topic::Node(other.id.clone()), "there?").await
                    == Ok(Published::Routed)
                && other.say_on(&Topic::Node(one.id.clone()), "there?").await
                    == Ok(Published::Routed)
        })
        .await;
        one.talk(&mut other).await;
    }
    *password.lock().unwrap() = Ok("old".to_owned());
    let error = refused(with_password(&url, &password)).await;
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
    *password.lock().unwrap() = Err("the cloud is away".to_owned());
    let error = refused(with_password(&url, &password)).await;
    assert!(error.is_transient(), "{error:?}");
    assert!(
        format!("{error:?}").contains("the cloud is away"),
        "{error:?}"
    );
}

#[test]
fn the_error_of_a_url_says_what_is_wrong() {
    for (url, says) in [
        ("redis://h:x", "port"),
        ("redis://h?namspace=chat", "known parameters are"),
        ("redis-cluster://h?node=nowhere", "host:port"),
    ] {
        let error = RedisBrokerConfig::from_url(url).unwrap_err();
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
}

#[cfg(feature = "rustls")]
mod over_tls {
    use rcgen::{CertifiedKey, generate_simple_self_signed};

    use super::*;

    fn certificate(name: &str) -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn trusting(url: &str, certificate: &str) -> RedisBrokerConfigBuilder {
        let builder = RedisBrokerConfig::builder(url).namespace("faults");
        builder.root_certificates(certificate)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_asks_for_a_certificate_is_shown_one() {
        let (certificate, key) = certificate("127.0.0.1");
        let options = Redis::options().tls(&certificate, &key);
        // It trusts its own.
        let redis = options.line("tls-auth-clients yes").start().await.unwrap();
        let builder = || trusting(&redis.url(), &certificate);
        let own = builder().client_certificate(&certificate, &key);
        let mut one = Member::join_with(own.clone().build().unwrap()).await;
        let mut other = Member::join_with(own.build().unwrap()).await;
        one.talk(&mut other).await;
        let error = refused(builder().build().unwrap()).await;
        assert!(
            error.to_string().contains("client_certificate"),
            "{error:?}"
        );
        let (stranger, key) = self::certificate("127.0.0.1");
        let strange = builder().client_certificate(stranger, key);
        let error = refused(strange.build().unwrap()).await;
        assert!(
            error.to_string().contains("client_certificate"),
            "{error:?}"
        );
        let plain = RedisBrokerConfig::builder("redis://h").client_certificate("", "");
        assert!(plain.build().is_err());
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tls_at_a_port_without_it_says_so_and_the_reverse() {
        let plain = Redis::start().await.unwrap();
        let (certificate, key) = certificate("127.0.0.1");
        let with_tls = format!("rediss://127.0.0.1:{}", plain.port());
        let error = refused(trusting(&with_tls, &certificate).build().unwrap()).await;
        assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
        assert!(error.to_string().contains("expected TLS"), "{error}");
        assert!(error.source().is_some());
        let options = Redis::options().tls(&certificate, &key);
        let tls = options.start().await.unwrap();
        let without = format!("redis://127.0.0.1:{}", tls.port());
        let error = refused(support::config(&without)).await;
        assert!(error.to_string().contains("use rediss:"), "{error:?}");
    }
}
