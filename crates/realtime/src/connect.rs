//! Backends by URL, so that an operator chooses them with an environment variable.
//!
//! | URL | backend |
//! | --- | --- |
//! | `local:` | in this process |

use realtime_core::{
    broker::{AnyBroker, BrokerError, BrokerErrorKind, LocalBroker},
    presence::{AnyPresence, MemoryPresence, PresenceError, PresenceErrorKind},
};

/// The broker that a URL names. Nothing is connected before the gateway is started.
///
/// # Errors
/// Kind `Config` for a scheme that this build doesn't know.
///
/// ```
/// let broker = realtime::connect::broker("local:")?;
/// # Ok::<(), realtime::broker::BrokerError>(())
/// ```
pub fn broker(url: &str) -> Result<AnyBroker, BrokerError> {
    match scheme(url) {
        "local" => Ok(AnyBroker::new(LocalBroker::new())),
        other => Err(BrokerError::new(
            BrokerErrorKind::Config,
            unknown("broker", other),
        )),
    }
}

/// The presence store that a URL names.
///
/// # Errors
/// Kind `Config` for a scheme that this build doesn't know.
pub fn presence(url: &str) -> Result<AnyPresence, PresenceError> {
    match scheme(url) {
        "local" => Ok(AnyPresence::new(MemoryPresence::new())),
        other => Err(PresenceError::new(
            PresenceErrorKind::Config,
            unknown("presence", other),
        )),
    }
}

/// The rest of the URL may hold a password: it is never shown.
fn scheme(url: &str) -> &str {
    url.split_once(':').map_or("", |(scheme, _)| scheme)
}

fn unknown(what: &str, scheme: &str) -> String {
    format!("expected a {what} URL with the scheme local:; got {scheme:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scheme_is_refused_without_the_rest_of_the_url() {
        let error = broker("amqp://user:s3cret@host").unwrap_err().to_string();
        assert!(
            error.contains("amqp") && !error.contains("s3cret"),
            "{error}"
        );
        assert!(presence("redis://host").is_err());
        assert!(broker("local:").is_ok() && presence("local:").is_ok());
    }
}
