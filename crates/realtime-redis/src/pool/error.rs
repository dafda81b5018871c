//! What the client's errors mean.

use fred::error::{Error, ErrorKind};
use realtime_core::NoCredentials;

use crate::{Speech, reply};

/// Whether the error has this word; see [`reply::says`].
pub(crate) fn says(error: &Error, code: &str) -> bool {
    reply::says(error.details(), code)
}

/// What happened, for people, on one line.
pub(crate) fn cause_of(error: &Error) -> String {
    reply::shown(error.details())
}

/// Whose fault a failed command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// Something is set up wrongly; trying again won't help.
    Config,
    /// Something else lies under the keys.
    Corrupt,
    /// The server can't be reached or can't do it now.
    Unavailable,
}

impl Fault {
    /// Whose fault this error is.
    #[must_use]
    pub fn of(error: &Error) -> Self {
        if says(error, "WRONGTYPE") {
            return Self::Corrupt;
        }
        if reply::is_misconfigured(error.details()) {
            return Self::Config;
        }
        match error.kind() {
            ErrorKind::Auth | ErrorKind::Config | ErrorKind::Url => Self::Config,
            #[cfg(feature = "rustls")]
            ErrorKind::Tls => Self::Config,
            ErrorKind::NotFound | ErrorKind::Parse => Self::Corrupt,
            _ => Self::Unavailable,
        }
    }

    /// What there is to be said and done about an error. `corrupt` is said of what lies under the
    /// keys.
    #[must_use]
    pub fn advice(self, error: &Error, corrupt: &'static str) -> &'static str {
        match self {
            _ if error.details() == Speech::Plain.advice() => Speech::Plain.advice(),
            _ if error.details() == Speech::Ends.advice() => Speech::Ends.advice(),
            _ if error.details().starts_with(NO_CREDENTIALS) => NO_CREDENTIALS,
            _ if error.details() == reply::A_CLUSTER => reply::A_CLUSTER,
            _ if error.details() == reply::A_SENTINEL => reply::A_SENTINEL,
            _ if is_another_name(error) => {
                "the certificate of Redis has another name than the address; set tls_server_name, \
                 in the URL tlsServerName"
            }
            Self::Config => {
                "Redis refused the command: check the URL, the user, its password and permissions"
            }
            Self::Corrupt => corrupt,
            Self::Unavailable => {
                "Redis did not confirm the command; the same call may succeed later"
            }
        }
    }
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

/// Why a pool didn't run a command.
#[derive(Debug, Clone)]
pub enum PoolError {
    /// The pool was closed.
    Closed,
    /// It was to open its connections, and not on a Tokio runtime.
    NoRuntime,
    /// The client or the server failed.
    Redis(Error),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_redis_says_is_somebodys_fault() {
        use Fault::{Config, Corrupt, Unavailable};
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
        for (text, fault) in cases {
            assert_eq!(
                Fault::of(&Error::new(ErrorKind::Unknown, text)),
                fault,
                "{text}"
            );
        }
        assert_eq!(Fault::of(&Error::new(ErrorKind::Auth, "NOAUTH")), Config);
        assert_eq!(
            Fault::of(&Error::new(ErrorKind::Timeout, "late")),
            Unavailable
        );
    }
}
