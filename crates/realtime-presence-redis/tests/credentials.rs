//! What is shown to Redis: passwords that change while the program runs, certificates, and what is
//! said where one side speaks TLS and the other doesn't.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(dead_code, reason = "shared with the tests of faults")]
mod support;

use std::sync::{Arc, Mutex};

use realtime_core::{
    ServerCredentials,
    presence::{Presence, PresenceErrorKind},
};
use realtime_presence_redis::{RedisConfig, RedisPresence};
use realtime_testkit::{
    servers::{Redis, RedisCluster},
    wait::until,
};
use support::{ann, next_down, next_up, works};

/// Shows the password that is there by then.
fn with_password(url: &str, password: &Arc<Mutex<Result<String, String>>>) -> RedisPresence {
    let password = Arc::clone(password);
    let builder = RedisConfig::builder(url).credentials(move || {
        let password = password.lock().unwrap().clone();
        async { password.map(|password| ServerCredentials::new("rt", password)) }
    });
    RedisPresence::new(builder.build().unwrap())
}

async fn rotates(redis: &mut [Redis], url: &str) {
    let password = Arc::new(Mutex::new(Ok("old".to_owned())));
    let presence = with_password(url, &password);
    let mut events = presence.events();
    works(&presence).await;
    for new in ["new", "newer"] {
        let rotate = ["ACL", "SETUSER", "rt", "resetpass", &format!(">{new}")];
        for redis in &*redis {
            redis.command(&rotate).await.unwrap();
        }
        works(&presence).await;
        *password.lock().unwrap() = Ok(new.to_owned());
        for redis in &*redis {
            redis
                .command(&["CLIENT", "KILL", "TYPE", "normal"])
                .await
                .unwrap();
        }
        next_down(&mut events).await;
        next_up(&mut events).await;
        works(&presence).await;
    }
    *password.lock().unwrap() = Ok("old".to_owned());
    let late = with_password(url, &password);
    let error = late.is_online(&ann()).await.unwrap_err();
    assert_eq!(error.kind(), PresenceErrorKind::Config, "{error:?}");
    *password.lock().unwrap() = Err("the cloud is away".to_owned());
    let late = with_password(url, &password);
    let error = late.is_online(&ann()).await.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
    assert!(
        format!("{error:?}").contains("the cloud is away"),
        "{error:?}"
    );
    *password.lock().unwrap() = Ok("newer".to_owned());
    until("there are some again", async || {
        late.is_online(&ann()).await.is_ok()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_changes_is_asked_for_at_each_connection() {
    let options = Redis::options().user("rt", "old", "~rt:* +@all -@dangerous");
    let redis = options.start().await.unwrap();
    let url = format!("redis://127.0.0.1:{}", redis.port());
    rotates(&mut [redis], &url).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_for_all_servers_of_a_cluster() {
    let rules = "~rt:* +@all -@dangerous +cluster|slots";
    let options = Redis::options().user("rt", "old", rules);
    let mut cluster = RedisCluster::with(options).await.unwrap();
    let url = cluster.url().replace("rt:old@", "");
    rotates(cluster.nodes(), &url).await;
}

#[test]
fn the_error_of_a_url_says_what_is_wrong() {
    for (url, says) in [
        ("redis://h:x", "port"),
        ("redis://h?namspace=chat", "known parameters are"),
        ("redis-cluster://h?node=nowhere", "host:port"),
    ] {
        let error = RedisConfig::from_url(url).unwrap_err();
        assert!(error.to_string().contains(says), "{url}: {error}");
    }
}

#[cfg(feature = "rustls")]
mod over_tls {
    use rcgen::{CertifiedKey, generate_simple_self_signed};
    use realtime_presence_redis::RedisConfigBuilder;

    use super::*;

    fn certificate(name: &str) -> (String, String) {
        let CertifiedKey { cert, signing_key } =
            generate_simple_self_signed(vec![name.to_owned()]).unwrap();
        (cert.pem(), signing_key.serialize_pem())
    }

    fn trusting(url: &str, certificate: &str) -> RedisConfigBuilder {
        RedisConfig::builder(url).root_certificates(certificate)
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_server_that_asks_for_a_certificate_is_shown_one() {
        let (certificate, key) = certificate("127.0.0.1");
        let options = Redis::options().tls(&certificate, &key);
        // It trusts its own.
        let redis = options.line("tls-auth-clients yes").start().await.unwrap();
        let builder = || trusting(&redis.url(), &certificate);
        let own = builder().client_certificate(&certificate, &key);
        works(&RedisPresence::new(own.build().unwrap())).await;
        let none = RedisPresence::new(builder().build().unwrap());
        assert!(none.is_online(&ann()).await.is_err());
        let (stranger, key) = self::certificate("127.0.0.1");
        let strange = builder().client_certificate(stranger, key);
        let strange = RedisPresence::new(strange.build().unwrap());
        assert!(strange.is_online(&ann()).await.is_err());
        let plain = RedisConfig::builder("redis://h").client_certificate("", "");
        assert!(plain.build().is_err());
    }

    /// Said within the time of one call or of the next one.
    async fn says(presence: &RedisPresence, what: &str) {
        let mut said = String::new();
        let is_said = until("it is said", async || {
            said = presence.is_online(&ann()).await.unwrap_err().to_string();
            said.contains(what)
        });
        is_said.await;
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn tls_at_a_port_without_it_says_so_and_the_reverse() {
        let plain = Redis::start().await.unwrap();
        let (certificate, key) = certificate("127.0.0.1");
        for scheme in ["rediss", "rediss-cluster"] {
            let with_tls = format!("{scheme}://127.0.0.1:{}", plain.port());
            let with_tls = trusting(&with_tls, &certificate).build().unwrap();
            says(&RedisPresence::new(with_tls), "expected TLS").await;
        }
        let options = Redis::options().tls(&certificate, &key);
        let tls = options.start().await.unwrap();
        for scheme in ["redis", "redis-cluster"] {
            let without = format!("{scheme}://127.0.0.1:{}", tls.port());
            says(&RedisPresence::from_url(without).unwrap(), "use rediss:").await;
        }
    }
}
