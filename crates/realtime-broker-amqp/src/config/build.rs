//! Whether what was chosen goes together.

use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use realtime_core::{
    InvalidNamespace,
    broker::{BrokerError, stream::MAX_STAMP},
};

#[cfg(feature = "rustls")]
use super::certificates;
use super::{AmqpConfig, AmqpConfigBuilder};
use crate::{address, error::config as invalid};

const DEFAULT_HEARTBEAT: Duration = Duration::from_secs(5);

impl AmqpConfigBuilder {
    /// Checks everything. Opens no connection.
    ///
    /// # Errors
    /// Kind [`Config`](realtime_core::broker::BrokerErrorKind::Config), naming what was not as
    /// expected.
    pub fn build(self) -> Result<AmqpConfig, BrokerError> {
        let (mut urls, mut names) = (Vec::new(), Vec::new());
        let (mut namespaces, mut heartbeats) = (Vec::new(), Vec::new());
        let mut has_credentials = Vec::new();
        for url in &self.urls {
            let address = address::read(url)?;
            has_credentials.push(address.has_credentials);
            namespaces.extend(address.namespace);
            heartbeats.extend(address.heartbeat);
            names.extend(address.tls_server_name);
            urls.push(address.uri);
        }
        let namespace = match &self.namespace {
            Some(named) => Some(named.parse().map_err(not_a_namespace)?),
            None => the_one("namespace", namespaces)?,
        };
        let heartbeat = match self.heartbeat {
            Some(heartbeat) => heartbeat,
            None => the_one("heartbeat", heartbeats)?.unwrap_or(DEFAULT_HEARTBEAT),
        };
        check_heartbeat(heartbeat)?;
        check_that_they_lead_to_one(&urls)?;
        check_that_none_is_forgotten(&has_credentials)?;
        self.check(&urls)?;
        #[cfg(feature = "rustls")]
        let tls = certificates::read(&self, urls.iter().any(is_tls))?;
        #[cfg(not(feature = "rustls"))]
        let tls = lapin::tcp::OwnedTLSConfig::default();
        let tls_server_name = self.server_name(&urls, names)?;
        Ok(AmqpConfig {
            urls,
            credentials: self.credentials,
            namespace: namespace.unwrap_or_default(),
            heartbeat,
            confirms: self.confirms,
            declares: self.declares,
            queue_messages: self.queue_messages,
            queue_bytes: self.queue_bytes,
            queue_ttl: self.queue_ttl,
            prefetch: self.prefetch,
            max_message: self.max_message,
            tls,
            tls_server_name,
        })
    }

    /// The name that is expected in certificates, in place of the host.
    fn server_name(
        &self,
        urls: &[AMQPUri],
        named: Vec<String>,
    ) -> Result<Option<String>, BrokerError> {
        #[cfg(feature = "rustls")]
        let set = self.tls_server_name.clone();
        #[cfg(not(feature = "rustls"))]
        let set = None;
        let name = match set {
            Some(name) => Some(name),
            None => the_one("tlsServerName", named)?,
        };
        if name.is_some() && !urls.iter().any(is_tls) {
            let got = "a TLS server name was given, but no amqps: URL; use amqps: to speak TLS";
            return Err(invalid(got.to_owned()));
        }
        #[cfg(feature = "rustls")]
        if let Some(name) = &name {
            rustls_pki_types::ServerName::try_from(name.as_str()).map_err(|e| {
                invalid("tls_server_name: expected a host name".to_owned()).with_source(e)
            })?;
        }
        Ok(name)
    }

    fn check(&self, urls: &[AMQPUri]) -> Result<(), BrokerError> {
        let second = Duration::from_secs(1);
        if self.queue_ttl < second || self.queue_ttl > 86_400 * second {
            let got = self.queue_ttl;
            return Err(invalid(format!(
                "queue_ttl: expected 1 s to a day; got {got:?}"
            )));
        }
        let numbers = [
            ("queue_messages", self.queue_messages as usize),
            ("queue_bytes", self.queue_bytes as usize),
            ("prefetch", usize::from(self.prefetch)),
            ("max_message", self.max_message),
        ];
        for (name, number) in numbers {
            if number == 0 {
                return Err(invalid(format!("{name}: expected at least 1; got 0")));
            }
        }
        let (room, message) = (self.queue_bytes as usize, self.max_message);
        if room < message.saturating_add(MAX_STAMP) {
            return Err(invalid(format!(
                "queue_bytes: expected room for the largest message, so max_message ({message}) and \
                 {MAX_STAMP} bytes at least; got {room}: no queue would ever have it"
            )));
        }
        if !cfg!(feature = "rustls") && urls.iter().any(is_tls) {
            return Err(invalid(
                "amqps: needs the feature `rustls` of realtime-broker-amqp; switch it on or use \
                 amqp:"
                    .to_owned(),
            ));
        }
        Ok(())
    }
}

fn is_tls(url: &AMQPUri) -> bool {
    url.scheme == AMQPScheme::AMQPS
}

fn not_a_namespace(_: InvalidNamespace) -> BrokerError {
    // What it got may be a part of the URL that was meant as something else.
    let expected = "expected a namespace of 1 to 64 ASCII letters, digits, '-', '_' or '.'";
    invalid(expected.to_owned())
}

/// What several URLs say of one thing.
fn the_one<T: PartialEq>(name: &str, said: Vec<T>) -> Result<Option<T>, BrokerError> {
    let mut said = said.into_iter();
    let first = said.next();
    if said.any(|other| Some(other) != first) {
        return Err(invalid(format!(
            "{name}: expected the same in each URL; got two that differ"
        )));
    }
    Ok(first)
}

/// Nodes in two vhosts don't meet, so which URL a node gets to would decide whom it can reach.
fn check_that_they_lead_to_one(urls: &[AMQPUri]) -> Result<(), BrokerError> {
    let vhosts = urls.iter().map(|url| url.vhost.as_str()).collect();
    the_one("vhost", vhosts).map(drop).map_err(|_| {
        let got = "vhost: expected the same in each URL; got two that differ: without a slash it is /, \
                   which /%2F says, too";
        invalid(got.to_owned())
    })
}

/// A URL without credentials would show those of RabbitMQ's guest, unlike the others. With a provider
/// that names no user it would still show the guest's name.
fn check_that_none_is_forgotten(has_credentials: &[bool]) -> Result<(), BrokerError> {
    the_one("credentials", has_credentials.to_vec()).map(drop).map_err(|_| {
        let got = "credentials: expected a user and a password in each URL, or in none; got a URL \
                   with them and one without";
        invalid(got.to_owned())
    })
}

/// The protocol counts in whole seconds.
fn check_heartbeat(heartbeat: Duration) -> Result<(), BrokerError> {
    if (1..=60).contains(&heartbeat.as_secs()) && heartbeat.subsec_nanos() == 0 {
        return Ok(());
    }
    Err(invalid(format!(
        "heartbeat: expected 1 to 60 whole seconds; got {heartbeat:?}"
    )))
}

#[cfg(test)]
mod tests {
    use realtime_core::{ServerCredentials, broker::BrokerErrorKind};

    use super::*;

    #[test]
    fn nonsense_is_refused_by_name_and_without_the_password() {
        let config = || AmqpConfig::builder("amqp://u:s3cret@h");
        let rows = [
            (config().namespace("a b"), "expected a namespace"),
            (config().heartbeat(Duration::ZERO), "heartbeat"),
            (
                config().heartbeat(Duration::from_millis(1_500)),
                "heartbeat",
            ),
            (config().url("amqp://u:s3cret@h?heartbeat=61"), "heartbeat"),
            (config().queue_limits(0, 1), "queue_messages"),
            (config().queue_limits(1, 0), "queue_bytes"),
            (config().queue_limits(1, 8 << 20), "queue_bytes"),
            (
                config().max_message(1_000).queue_limits(1, 1_000),
                "queue_bytes",
            ),
            (config().max_message(usize::MAX), "queue_bytes"),
            (config().queue_ttl(Duration::ZERO), "queue_ttl"),
            (config().prefetch(0), "prefetch"),
            (config().max_message(0), "max_message"),
            (config().url("http://u:s3cret@h"), "expected a URL"),
            (
                config().url("amqp://u:s3cret@h?tlsServerName=h"),
                "a TLS server name",
            ),
        ];
        for (builder, name) in rows {
            assert!(!format!("{builder:?}").contains("s3cret"));
            let error = builder.build().unwrap_err();
            assert!(error.to_string().starts_with(name), "{error}");
        }
        for url in [
            "",
            "h:1",
            "http://u:s3cret@h",
            "amqp://u:s3cret@h:port",
            "amqp://u@h?namespace=s3cret%20",
        ] {
            let error = AmqpConfig::from_url(url).unwrap_err();
            assert_eq!(error.kind(), BrokerErrorKind::Config);
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
        assert!(!format!("{:?}", config().build().unwrap()).contains("s3cret"));
    }

    #[test]
    fn what_the_urls_say_is_used_unless_the_builder_says_otherwise() {
        let config = AmqpConfig::from_url("amqp://h/v?namespace=chat&heartbeat=9").unwrap();
        assert_eq!(config.namespace().as_str(), "chat");
        assert_eq!(config.heartbeat, Duration::from_secs(9));
        let config = AmqpConfig::builder("amqp://h?namespace=a&heartbeat=9");
        let config = config.namespace("b").heartbeat(Duration::from_secs(8));
        let config = config.build().unwrap();
        assert_eq!(config.namespace().as_str(), "b");
        assert_eq!(config.heartbeat, Duration::from_secs(8));
    }

    #[test]
    fn what_a_further_url_says_counts_too() {
        let config = AmqpConfig::builder("amqp://a").url("amqp://b?namespace=chat&heartbeat=9");
        let config = config.build().unwrap();
        assert_eq!(config.namespace().as_str(), "chat");
        assert_eq!(config.heartbeat, Duration::from_secs(9));
        for (one, other) in [
            ("namespace=a", "namespace=b"),
            ("heartbeat=1", "heartbeat=2"),
        ] {
            let config = AmqpConfig::builder(format!("amqp://a?{one}"));
            let error = config.url(format!("amqp://b?{other}")).build().unwrap_err();
            assert!(error.to_string().contains("the same"), "{error}");
        }
    }

    #[test]
    fn all_urls_lead_to_one_vhost_and_with_credentials_or_without() {
        let builder = |urls: [&str; 2]| AmqpConfig::builder(urls[0]).url(urls[1]);
        let build = |urls| builder(urls).build();
        let provided = |urls| {
            let config = builder(urls)
                .credentials(async || Ok::<_, std::io::Error>(ServerCredentials::password("p")));
            config.build()
        };
        for urls in [
            ["amqp://u:s3cret@a/prod", "amqp://u:s3cret@b"],
            ["amqp://u:s3cret@a", "amqp://u:s3cret@b/"],
            ["amqp://a/prod", "amqp://b/staging"],
        ] {
            let error = build(urls).unwrap_err();
            assert!(error.to_string().starts_with("vhost"), "{urls:?}: {error}");
        }
        for urls in [
            ["amqp://u:s3cret@a", "amqp://b"],
            ["amqp://a", "amqp://u:s3cret@b"],
        ] {
            for error in [build(urls), provided(urls)] {
                let error = error.unwrap_err().to_string();
                assert!(error.starts_with("credentials"), "{urls:?}: {error}");
            }
        }
        for urls in [
            ["amqp://a", "amqp://b/%2F"],
            ["amqp://a/prod", "amqp://b/prod"],
            ["amqp://u:s3cret@a/v", "amqp://v:another@b/v"],
        ] {
            assert!(build(urls).is_ok() && provided(urls).is_ok(), "{urls:?}");
        }
    }

    #[cfg(not(feature = "rustls"))]
    #[test]
    fn tls_names_the_feature_that_it_needs() {
        let error = AmqpConfig::from_url("amqps://h").unwrap_err();
        assert!(error.to_string().contains("`rustls`"), "{error}");
    }
}
