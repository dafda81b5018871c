//! From what Redis and the network say to the broker's errors.

use std::{borrow::Cow, time::Duration};

use realtime_core::{
    NoCredentials, NodeId,
    broker::{BrokerError, BrokerErrorKind},
};
use realtime_redis::{
    InvalidDeployment, Speech,
    reply::{self, is_misconfigured, says, shown},
};

pub(crate) fn invalid(context: impl Into<Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Config, context)
}

pub(crate) fn unavailable(context: impl Into<Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Unavailable, context)
}

pub(crate) fn unknown(context: impl Into<Cow<'static, str>>) -> BrokerError {
    BrokerError::new(BrokerErrorKind::Unknown, context)
}

pub(crate) fn closed() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Closed, "the broker is closed")
}

pub(crate) fn too_slow(step: &str, limit: Duration) -> BrokerError {
    unavailable(format!("Redis did not answer in {limit:?}: {step}"))
}

pub(crate) fn duplicate(id: &NodeId) -> BrokerError {
    let context =
        format!("another node is alive under the id {id}; give each node an id of its own");
    BrokerError::new(BrokerErrorKind::DuplicateNode, context)
}

pub(crate) fn invalid_deployment(error: InvalidDeployment) -> BrokerError {
    let invalid = invalid(error.what);
    match error.source {
        Some(source) => invalid.with_source(source),
        None => invalid,
    }
}

/// A step that Redis refused, and what to do about it.
pub(crate) fn refused(step: &str, said: &str) -> BrokerError {
    let (kind, advice) = if says(said, "NOPERM") {
        let advice = "give the user the channels &rt:*, and the commands of the crate's page";
        (BrokerErrorKind::Config, advice)
    } else if says(said, "OOM") || says(said, "MISCONF") {
        let advice = "it accepts nothing for now; give it memory or disk";
        (BrokerErrorKind::Blocked, advice)
    } else if said.contains("unknown command") && step != "CLUSTER SLOTS" {
        let advice = "a cluster needs Redis 7 for sharded pub/sub";
        (BrokerErrorKind::Config, advice)
    } else if said.contains("cluster support disabled") {
        let advice = "this Redis is by itself; use redis: (or rediss:) in the URL";
        (BrokerErrorKind::Config, advice)
    } else if is_misconfigured(said) || said.contains("without any password configured") {
        let advice = "check the URL, the user and its password";
        (BrokerErrorKind::Config, advice)
    } else {
        (BrokerErrorKind::Unavailable, "it is tried again")
    };
    let context = format!("Redis refused {step}: {advice}");
    BrokerError::new(kind, context).with_source(shown(said))
}

/// With a server that speaks something else no connection could be made.
pub(crate) fn not_understood(speech: Speech, error: BrokerError) -> BrokerError {
    let not_understood = match speech {
        // It is certain.
        Speech::Plain => invalid(speech.advice()),
        _ => unavailable(speech.advice()),
    };
    not_understood.with_source(error)
}

/// Why nothing can be shown to the server.
pub(crate) fn no_credentials(error: NoCredentials) -> BrokerError {
    unavailable("there are no credentials to be shown to Redis").with_source(error)
}

/// A step that the network or TLS did not allow. A certificate that isn't trusted won't be by
/// trying again.
pub(crate) fn failed(step: &str, error: std::io::Error) -> BrokerError {
    if is_about_our_certificate(&error) {
        let context = "Redis asks for a certificate, or refuses the one that it is shown; set \
                       client_certificate to one that it trusts";
        return invalid(context).with_source(error);
    }
    let is_certificate = error.kind() == std::io::ErrorKind::InvalidData
        && format!("{error:?}").contains("InvalidCertificate");
    if !is_certificate {
        return unavailable(format!("Redis can't be reached: {step}")).with_source(error);
    }
    let context = match format!("{error:?}").contains("NotValidForName") {
        true => {
            "the certificate of Redis has another name than the address; set tls_server_name, in \
             the URL tlsServerName"
        }
        false => "the certificate of Redis is not trusted; set root_certificates",
    };
    invalid(context).with_source(error)
}

/// Whether a server says in TLS that it misses a certificate of this side, or doesn't like it.
fn is_about_our_certificate(error: &std::io::Error) -> bool {
    let text = format!("{error:?}");
    let alert = text.split_once("AlertReceived(").map(|(_, alert)| alert);
    alert.is_some_and(|alert| {
        reply::OUR_CERTIFICATE
            .iter()
            .any(|named| alert.starts_with(named))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_becomes_a_kind() {
        use BrokerErrorKind::{Blocked, Config, Unavailable};
        for (said, kind) in [
            ("NOPERM No permissions to access a channel", Config),
            ("NOAUTH Authentication required.", Config),
            ("WRONGPASS invalid username-password pair", Config),
            ("ERR unknown command 'SSUBSCRIBE'", Config),
            ("ERR This instance has cluster support disabled", Config),
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Blocked,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                Unavailable,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Unavailable,
            ),
            ("MOVED 1 127.0.0.1:7", Unavailable),
            ("CLUSTERDOWN The cluster is down", Unavailable),
            ("ERR max number of clients reached", Unavailable),
        ] {
            assert_eq!(refused("publishing", said).kind(), kind, "{said}");
        }
        let error = refused("publishing", &"a\nb".repeat(500));
        assert!(!format!("{error:?}").contains("\\n\\n"), "{error:?}");
    }
}
