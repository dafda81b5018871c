//! RabbitMQ over TLS, on a real one.
#![cfg(feature = "rustls")]
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::{Duration, Instant};

use bytes::Bytes;
use realtime_broker_amqp::{AmqpBroker, AmqpConfig, AmqpConfigBuilder};
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, Join, NodeInfo, Published, Topic},
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
    let refused = within("the refusal", stranger.subscribe(Join::new(node()))).await;
    let kind = refused.err().map(|error| error.kind());
    assert_eq!(kind, Some(BrokerErrorKind::Config), "as for Redis");

    let trusting = AmqpBroker::new(config.root_certificates(certificate).build().unwrap());
    let joined = within("joining", trusting.subscribe(Join::new(node()))).await;
    assert!(joined.is_ok(), "{joined:?}");
    let said = trusting
        .publish(&Topic::All, Bytes::from_static(b"secret"))
        .await;
    assert_eq!(said.unwrap(), Published::Routed);
}

#[tokio::test]
async fn a_server_that_is_known_by_another_name_has_that_of_its_certificate() {
    let own = rcgen::generate_simple_self_signed(vec!["rabbit.example".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let server = RabbitMq::with_tls(&certificate, &key).await.unwrap();
    let config = || AmqpConfig::builder(server.url()).root_certificates(&certificate);
    let join = async |config: AmqpConfigBuilder| {
        let broker = AmqpBroker::new(config.build().unwrap());
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let joined = within("an answer", broker.subscribe(Join::new(node))).await;
        joined.map(drop)
    };
    let error = join(config()).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
    assert!(error.to_string().contains("tls_server_name"), "{error}");
    let other = config().tls_server_name("other.example");
    let error = join(other).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");

    let set = join(config().tls_server_name("rabbit.example")).await;
    assert!(set.is_ok(), "{set:?}");
    let separator = if server.url().contains('?') { '&' } else { '?' };
    let url = format!("{}{separator}tlsServerName=rabbit.example", server.url());
    let named = join(AmqpConfig::builder(url).root_certificates(&certificate)).await;
    assert!(named.is_ok(), "{named:?}");
}

#[test]
fn a_server_name_is_one_and_has_a_use() {
    let build = |url: &str| AmqpConfig::from_url(url).map(drop);
    assert!(build("amqps://h?tlsServerName=rabbit.example").is_ok());
    assert!(build("amqps://h?tlsServerName=a%20b").is_err());
    assert!(build("amqps://h?tlsServerName=").is_err());
    assert!(build("amqp://h?tlsServerName=h").is_err());
    let two = AmqpConfig::builder("amqps://a?tlsServerName=a").url("amqps://b?tlsServerName=b");
    assert!(two.clone().build().is_err());
    assert!(two.tls_server_name("c").build().is_ok());
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
    let (pem, key) = (&*own.cert.pem(), &*own.signing_key.serialize_pem());
    for (url, chain, key) in [("amqp://h", pem, key), ("amqps://h", key, key)] {
        let config = AmqpConfig::builder(url).client_certificate(chain, key);
        assert!(config.build().is_err());
    }
    let no_key = AmqpConfig::builder("amqps://h").client_certificate(pem, "s3cret");
    let error = no_key.build().unwrap_err();
    assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    let both = AmqpConfig::builder("amqps://h").client_certificate(pem, key);
    let secret = key.lines().nth(1).unwrap();
    assert!(!format!("{both:?} {:?}", both.clone().build().unwrap()).contains(secret));
    assert!(build("amqps://h", &own.cert.pem()).is_ok());
}

#[tokio::test]
async fn a_server_that_demands_a_certificate_is_shown_one() {
    let own = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let (certificate, key) = (own.cert.pem(), own.signing_key.serialize_pem());
    let issuer_key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::new(Vec::new()).unwrap();
    let name = rcgen::DnType::CommonName;
    authority.distinguished_name.push(name.clone(), "authority");
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority_pem = authority.self_signed(&issuer_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(authority, issuer_key);
    let client_key = rcgen::KeyPair::generate().unwrap();
    let mut client = rcgen::CertificateParams::new(vec!["node".to_owned()]).unwrap();
    client.distinguished_name.push(name, "node");
    let client = client.signed_by(&client_key, &issuer).unwrap().pem();
    let client_key = client_key.serialize_pem();
    let server = RabbitMq::with_mutual_tls(&certificate, &key, &authority_pem);
    let server = server.await.unwrap();
    let config = || AmqpConfig::builder(server.url()).root_certificates(&certificate);
    let join = async |config: AmqpConfigBuilder| {
        let broker = AmqpBroker::new(config.build().unwrap());
        let node = NodeInfo::new(NodeId::random(), Incarnation::random());
        let joined = within("an answer", broker.subscribe(Join::new(node))).await;
        joined.map(drop)
    };
    // With which words it refuses is a matter of which of its last bytes arrive.
    assert!(join(config()).await.is_err());
    let of_another = config().client_certificate(&certificate, &key);
    assert!(join(of_another).await.is_err());
    let key_of_another = config().client_certificate(&client, &key);
    let error = join(key_of_another).await.unwrap_err();
    assert_eq!(error.kind(), BrokerErrorKind::Config, "{error:?}");
    let shown = join(config().client_certificate(client, client_key)).await;
    assert!(shown.is_ok(), "{shown:?}");
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
    let _inbox = within("joining", broker.subscribe(Join::new(node)))
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
