//! Backends by URL, so that an operator chooses them with an environment variable.
//!
//! | URL | backend | feature |
//! | --- | --- | --- |
//! | `local:` | in this process | |
//! | `amqp://user:password@host:5672/vhost` | RabbitMQ, as broker | `broker-amqp` |
//! | `redis://user:password@host:6379/database` | Redis, as broker, as presence store, for histories or for revocations | `broker-redis`, `presence-redis`, `history-redis`, `revocation-redis` |
//! | `redis-cluster://…`, `redis-sentinel://…` | Redis Cluster, or behind Sentinel | the same |
//! | `amqps://…`, `rediss://…`, `rediss-cluster://…`, `rediss-sentinel://…` | over TLS | `rustls` too |
//!
//! `?namespace=` in either keeps clusters that share a server apart; the default is `realtime`. What
//! a URL can't say, such as certificates or where credentials come from, is said to the
//! configuration of each backend.

use realtime_core::{
    broker::{AnyBroker, BrokerError, BrokerErrorKind, LocalBroker},
    history::{AnyHistory, HistoryError, HistoryErrorKind, MemoryHistory},
    presence::{AnyPresence, MemoryPresence, PresenceError, PresenceErrorKind},
    revocation::{AnyRevocations, MemoryRevocations, RevocationError, RevocationErrorKind},
};

/// The broker that a URL names. Nothing is connected before the gateway is started.
///
/// # Errors
/// Kind `Config` for a URL that makes no sense, a scheme that is not known, or one whose feature
/// is off; the error says which.
///
/// ```
/// let broker = realtime::connect::broker("local:")?;
/// # Ok::<(), realtime::broker::BrokerError>(())
/// ```
pub fn broker(url: &str) -> Result<AnyBroker, BrokerError> {
    let refused = |context| Err(BrokerError::new(BrokerErrorKind::Config, context));
    match &*scheme(url) {
        "local" if has_more(url) => refused(NOTHING_ELSE.to_owned()),
        "local" => Ok(AnyBroker::new(LocalBroker::new())),
        #[cfg(feature = "broker-amqp")]
        "amqp" | "amqps" => {
            use realtime_broker_amqp::AmqpBroker;

            AmqpBroker::from_url(url).map(AnyBroker::new)
        }
        #[cfg(not(feature = "broker-amqp"))]
        other @ ("amqp" | "amqps") => refused(feature_is_off(other, "broker-amqp")),
        #[cfg(feature = "broker-redis")]
        "redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel" => {
            use realtime_broker_redis::RedisBroker;

            RedisBroker::from_url(url).map(AnyBroker::new)
        }
        #[cfg(not(feature = "broker-redis"))]
        other @ ("redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel") => refused(feature_is_off(other, "broker-redis")),
        other => {
            let known = "local:, amqp:, redis:, redis-cluster: or redis-sentinel:, or amqps: and \
                         rediss… for TLS";
            refused(unknown(known, other))
        }
    }
}

/// The presence store that a URL names. Nothing is connected before it is used.
///
/// # Errors
/// Those of [`broker`].
pub fn presence(url: &str) -> Result<AnyPresence, PresenceError> {
    let refused = |context| Err(PresenceError::new(PresenceErrorKind::Config, context));
    match &*scheme(url) {
        "local" if has_more(url) => refused(NOTHING_ELSE.to_owned()),
        "local" => Ok(AnyPresence::new(MemoryPresence::new())),
        #[cfg(feature = "presence-redis")]
        "redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel" => {
            use realtime_presence_redis::RedisPresence;

            RedisPresence::from_url(url).map(AnyPresence::new)
        }
        #[cfg(not(feature = "presence-redis"))]
        other @ ("redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel") => refused(feature_is_off(other, "presence-redis")),
        other => {
            let known = "local:, redis:, redis-cluster: or redis-sentinel:, or rediss… for TLS";
            refused(unknown(known, other))
        }
    }
}

/// The history that a URL names. Nothing is connected before it is used.
///
/// `local:` has the bounds of [`MemoryHistory::new`].
///
/// # Errors
/// Those of [`broker`].
///
/// ```
/// let history = realtime::connect::history("local:")?;
/// # Ok::<(), realtime::history::HistoryError>(())
/// ```
pub fn history(url: &str) -> Result<AnyHistory, HistoryError> {
    let refused = |context| Err(HistoryError::new(HistoryErrorKind::Config, context));
    match &*scheme(url) {
        "local" if has_more(url) => refused(NOTHING_ELSE.to_owned()),
        "local" => Ok(AnyHistory::new(MemoryHistory::new())),
        #[cfg(feature = "history-redis")]
        "redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel" => {
            use realtime_history_redis::RedisHistory;

            RedisHistory::from_url(url).map(AnyHistory::new)
        }
        #[cfg(not(feature = "history-redis"))]
        other @ ("redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel") => refused(feature_is_off(other, "history-redis")),
        other => {
            let known = "local:, redis:, redis-cluster: or redis-sentinel:, or rediss… for TLS";
            refused(unknown(known, other))
        }
    }
}

/// The store of revocations that a URL names. Nothing is connected before it is used.
///
/// `local:` is [`MemoryRevocations::new`], which no other node sees.
///
/// # Errors
/// Kind `InvalidOption`, where [`broker`] fails with `Config`.
///
/// ```
/// let revocations = realtime::connect::revocations("local:")?;
/// # Ok::<(), realtime::revocation::RevocationError>(())
/// ```
pub fn revocations(url: &str) -> Result<AnyRevocations, RevocationError> {
    let refused = |context| {
        let kind = RevocationErrorKind::InvalidOption;
        Err(RevocationError::new(kind, context))
    };
    match &*scheme(url) {
        "local" if has_more(url) => refused(NOTHING_ELSE.to_owned()),
        "local" => Ok(AnyRevocations::new(MemoryRevocations::new())),
        #[cfg(feature = "revocation-redis")]
        "redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel" => {
            use realtime_revocation_redis::RedisRevocations;

            RedisRevocations::from_url(url).map(AnyRevocations::new)
        }
        #[cfg(not(feature = "revocation-redis"))]
        other @ ("redis" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster"
        | "rediss-sentinel") => refused(feature_is_off(other, "revocation-redis")),
        other => {
            let known = "local:, redis:, redis-cluster: or redis-sentinel:, or rediss… for TLS";
            refused(unknown(known, other))
        }
    }
}

const NOTHING_ELSE: &str =
    "expected local: with nothing behind it, which names no server; got something behind it";

fn has_more(url: &str) -> bool {
    url.split_once(':')
        .is_some_and(|(_, rest)| !rest.is_empty())
}

/// The rest of the URL may hold a password: it is never shown.
fn scheme(url: &str) -> String {
    let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
    scheme.to_ascii_lowercase()
}

fn unknown(known: &str, scheme: &str) -> String {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    let is_one = scheme.starts_with(|c: char| c.is_ascii_alphabetic()) && scheme.chars().all(fits);
    // What stands before the first colon may be a password as well.
    let got = match is_one {
        true => format!("{:?}", scheme.chars().take(32).collect::<String>()),
        false => "none".to_owned(),
    };
    format!("expected a URL with the scheme {known}; got {got}")
}

#[cfg(any(
    not(feature = "broker-amqp"),
    not(feature = "broker-redis"),
    not(feature = "history-redis"),
    not(feature = "presence-redis"),
    not(feature = "revocation-redis")
))]
fn feature_is_off(scheme: &str, feature: &str) -> String {
    format!("{scheme}: needs the feature `{feature}` of the crate `realtime`; switch it on")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_or_not_on_is_refused_without_the_rest_of_the_url() {
        for url in [
            "nats://user:s3cret@host",
            "s3cret",
            "s3cret@host:5672",
            "//s3cret@host:5672",
            "",
            "amqp:s3cret",
            "redis:s3cret",
            "local:s3cret",
            "local://h?namespace=s3cret",
        ] {
            for error in [
                broker(url)
                    .map(drop)
                    .map_err(|e| e.to_string())
                    .unwrap_err(),
                presence(url)
                    .map(drop)
                    .map_err(|e| e.to_string())
                    .unwrap_err(),
                history(url)
                    .map(drop)
                    .map_err(|e| e.to_string())
                    .unwrap_err(),
                revocations(url)
                    .map(drop)
                    .map_err(|e| e.to_string())
                    .unwrap_err(),
            ] {
                assert!(
                    error.starts_with("expected") || error.contains("needs"),
                    "{error}"
                );
                assert!(!error.contains("s3cret"), "{error}");
            }
        }
        assert!(broker("local:").is_ok() && presence("local:").is_ok());
        assert!(history("local:").is_ok() && history("LOCAL:").is_ok());
        assert!(revocations("local:").is_ok());
    }

    #[test]
    fn a_scheme_is_known_in_any_case_and_whole() {
        assert!(broker("LOCAL:").is_ok() && presence("Local:").is_ok());
        let error = presence("redisfoo://host").map(drop).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("redis-cluster:") && error.contains("redisfoo"),
            "{error}"
        );
        let on = broker("AMQP://host").is_ok() && presence("REDIS://host").is_ok();
        assert_eq!(
            on,
            cfg!(all(feature = "broker-amqp", feature = "presence-redis"))
        );
    }

    #[test]
    fn a_scheme_needs_its_feature() {
        let on = broker("amqp://user:s3cret@host?namespace=chat").is_ok();
        assert_eq!(on, cfg!(feature = "broker-amqp"));
        let on = presence("redis://user:s3cret@host?namespace=chat").is_ok();
        assert_eq!(on, cfg!(feature = "presence-redis"));
        let on = history("redis://user:s3cret@host?namespace=chat").is_ok();
        assert_eq!(on, cfg!(feature = "history-redis"));
        let on = revocations("redis://user:s3cret@host?namespace=chat").is_ok();
        assert_eq!(on, cfg!(feature = "revocation-redis"));
        let on = broker("redis://user:s3cret@host/2?namespace=chat").is_ok();
        assert_eq!(on, cfg!(feature = "broker-redis"));
        let on = broker("Rediss-Cluster://host").is_ok();
        assert_eq!(on, cfg!(feature = "full"));
        let on = broker("amqps://host").is_ok() && presence("rediss://host").is_ok();
        assert_eq!(on, cfg!(all(feature = "full")));
    }
}
