//! From the client's errors to those of presence.

use fred::error::{Error, ErrorKind};
use realtime_core::{
    NoCredentials,
    presence::{PresenceError, PresenceErrorKind},
};
use realtime_redis::{InvalidDeployment, Speech, reply};

/// Whether the error has this word; see [`reply::says`].
pub(crate) fn says(error: &Error, code: &str) -> bool {
    reply::says(error.details(), code)
}

pub(crate) fn kind_of(error: &Error) -> PresenceErrorKind {
    if says(error, "WRONGTYPE") {
        return PresenceErrorKind::Corrupt;
    }
    if reply::is_misconfigured(error.details()) {
        return PresenceErrorKind::Config;
    }
    match error.kind() {
        ErrorKind::Auth | ErrorKind::Config | ErrorKind::Url => PresenceErrorKind::Config,
        #[cfg(feature = "rustls")]
        ErrorKind::Tls => PresenceErrorKind::Config,
        ErrorKind::NotFound | ErrorKind::Parse => PresenceErrorKind::Corrupt,
        _ => PresenceErrorKind::Unavailable,
    }
}

/// What happened, for people, on one line.
pub(crate) fn cause_of(error: &Error) -> String {
    reply::shown(error.details())
}

pub(crate) fn presence_error(error: Error) -> PresenceError {
    let kind = kind_of(&error);
    let context = match kind {
        _ if error.details() == Speech::Plain.advice() => Speech::Plain.advice(),
        _ if error.details() == Speech::Ends.advice() => Speech::Ends.advice(),
        _ if error.details().starts_with(NO_CREDENTIALS) => NO_CREDENTIALS,
        _ if error.details() == reply::A_CLUSTER => reply::A_CLUSTER,
        _ if error.details() == reply::A_SENTINEL => reply::A_SENTINEL,
        _ if is_another_name(&error) => {
            "the certificate of Redis has another name than the address; set tls_server_name, in \
             the URL tlsServerName"
        }
        PresenceErrorKind::Config => {
            "Redis refused the command: check the URL, the user, its password and permissions"
        }
        PresenceErrorKind::Corrupt => {
            "expected the keys that presence writes; found something else under their names"
        }
        _ => "Redis did not confirm the command; the same call may succeed later",
    };
    PresenceError::new(kind, context).with_source(error)
}

const NO_CREDENTIALS: &str = "there are no credentials to be shown to Redis";

/// Why nothing can be shown to the server. A later attempt may have something.
pub(crate) fn no_credentials(error: NoCredentials) -> Error {
    let mut why = error.to_string();
    if let NoCredentials::Failed(of_the_provider) = error {
        why = format!("{why}: {of_the_provider}");
    }
    Error::new(ErrorKind::Unknown, format!("{NO_CREDENTIALS}: {why}"))
}

fn is_another_name(error: &Error) -> bool {
    error.details().contains("NotValidForName")
}

pub(crate) fn closed() -> PresenceError {
    PresenceError::new(PresenceErrorKind::Closed, "presence is closed")
}

/// A complaint about a configuration, which holds no value that might be secret.
pub(crate) fn invalid(what: impl Into<std::borrow::Cow<'static, str>>) -> PresenceError {
    PresenceError::new(PresenceErrorKind::Config, what)
}

pub(crate) fn invalid_deployment(error: InvalidDeployment) -> PresenceError {
    let invalid = invalid(error.what);
    match error.source {
        Some(source) => invalid.with_source(source),
        None => invalid,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_becomes_a_kind() {
        use PresenceErrorKind::{Config, Corrupt, Unavailable};
        let cases = [
            (
                "OOM command not allowed when used memory > 'maxmemory'.",
                Unavailable,
            ),
            (
                "ERR Error running script (call to f_1): @user_script:3: -OOM command not",
                Unavailable,
            ),
            (
                "READONLY You can't write against a read only replica.",
                Unavailable,
            ),
            (
                "LOADING Redis is loading the dataset in memory",
                Unavailable,
            ),
            ("ERR max number of clients reached", Unavailable),
            (
                "NOPERM this user has no permissions to access one of the keys",
                Config,
            ),
            (
                "ERR ACL failure in script: User rt has no permissions",
                Config,
            ),
            ("ERR unknown command 'EVALSHA'", Config),
            (
                "WRONGTYPE Operation against a key holding the wrong kind of value",
                Corrupt,
            ),
        ];
        for (text, kind) in cases {
            assert_eq!(
                kind_of(&Error::new(ErrorKind::Unknown, text)),
                kind,
                "{text}"
            );
        }
        assert_eq!(kind_of(&Error::new(ErrorKind::Auth, "NOAUTH")), Config);
        assert_eq!(
            kind_of(&Error::new(ErrorKind::Timeout, "late")),
            Unavailable
        );
    }
}
