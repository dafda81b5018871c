//! From the client's errors to those of presence.

use fred::error::{Error, ErrorKind};
use realtime_core::presence::{PresenceError, PresenceErrorKind};

/// What Redis says when it was set up wrongly for us: user, password, permissions, version.
const CONFIG: [&str; 3] = ["NOAUTH", "NOPERM", "WRONGPASS"];

/// The same, where it has no code of its own, or comes from TLS.
const CONFIG_TEXTS: [&str; 6] = [
    "ACL failure",
    "DB index is out of range",
    "can't run this command",
    "cluster support disabled",
    "unknown command",
    "InvalidCertificate",
];

/// What is said of a server that is spoken to as another kind of server than it is.
pub(crate) const A_CLUSTER: &str = "this Redis is a node of a cluster; use redis-cluster: (or \
                                    rediss-cluster:) in the URL";
pub(crate) const A_SENTINEL: &str =
    "this is a sentinel and not a Redis; use redis-sentinel: (or rediss-sentinel:) in the URL";

/// How much of an error's text is shown: it is the server's.
const SHOWN: usize = 256;

/// Whether the text has this word, which Redis puts in front, or after other words where the
/// error comes out of a script.
pub(crate) fn says(error: &Error, code: &str) -> bool {
    let words = error.details().split_whitespace();
    let mut words = words.map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
    words.any(|word| word == code)
}

pub(crate) fn kind_of(error: &Error) -> PresenceErrorKind {
    let text = error.details();
    if says(error, "WRONGTYPE") {
        return PresenceErrorKind::Corrupt;
    }
    if CONFIG.iter().any(|code| says(error, code))
        || CONFIG_TEXTS.iter().any(|part| text.contains(part))
    {
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
    let shown = error.details().chars().take(SHOWN);
    shown.flat_map(char::escape_debug).collect()
}

pub(crate) fn presence_error(error: Error) -> PresenceError {
    let kind = kind_of(&error);
    let context = match kind {
        _ if error.details() == A_CLUSTER => A_CLUSTER,
        _ if error.details() == A_SENTINEL => A_SENTINEL,
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

    #[test]
    fn a_cause_is_one_bounded_line() {
        let cause = cause_of(&Error::new(ErrorKind::Unknown, "a\nb".repeat(500)));
        assert!(!cause.contains('\n') && cause.len() < 3 * SHOWN, "{cause}");
    }
}
