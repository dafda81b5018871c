//! The keys that an issuer publishes: where they are, and how long they are good for.

mod cache;
mod document;
mod fetch;
mod remote;
mod tls;

use std::{fmt, time::Duration};

use realtime_core::{
    ServerUrl,
    auth::{AuthError, AuthErrorKind},
};
use url::{Host, Url};

pub(crate) use remote::Remote;

/// The shortest of all these times.
const SHORTEST: Duration = Duration::from_millis(100);
const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// An issuer's keys, which it publishes at a URL as a JSON Web Key Set, and changes from time to
/// time.
///
/// They are fetched when a token needs them, one fetch at a time, whoever waits for it, and kept.
/// Of what is published, keys that may verify signatures by an algorithm of ours are taken; all
/// others, secrets (`oct`) among them, are skipped.
///
/// ```
/// use std::time::Duration;
///
/// use realtime::auth::jwt::{Jwks, Jwt};
///
/// let keys = Jwks::from_url("https://login.example.com/.well-known/jwks.json")?
///     .refresh_after(Duration::from_secs(300));
/// let jwt = Jwt::builder(keys).issuer("https://login.example.com").audience("chat").build()?;
/// # Ok::<(), realtime::auth::AuthError>(())
/// ```
#[derive(Clone)]
#[must_use]
pub struct Jwks {
    url: Url,
    timing: Timing,
    timeout: Duration,
    root_certificates: Option<String>,
}

/// When keys are fetched, and for how long they are good.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    pub(crate) refresh_after: Duration,
    pub(crate) stale_for: Duration,
    pub(crate) unknown_kid_interval: Duration,
    /// After which a fetch that is under way is taken for one that fails.
    pub(crate) slow_after: Duration,
    /// After which a fetch is taken for lost, though it has not said so.
    pub(crate) lost_after: Duration,
}

impl Jwks {
    /// The keys at this URL: `https`, or `http` to this machine alone. A server that redirects isn't
    /// followed.
    ///
    /// # Errors
    /// Kind [`InvalidOption`](AuthErrorKind::InvalidOption) for anything else, and for a URL with a
    /// user, a password or a fragment, which would not be sent, or whose host would be read as
    /// another one than is written: `010.0.0.1`, `10.1`.
    pub fn from_url(url: impl AsRef<str>) -> Result<Self, AuthError> {
        // What came isn't shown: it may have a password in it.
        let expected = "expected the URL of a JSON Web Key Set";
        let url = url.as_ref();
        ServerUrl::check(url).map_err(|e| invalid(format!("{expected}; {}", e.reason())))?;
        let url = Url::parse(url).map_err(|e| invalid(expected).with_source(e))?;
        let is_here = match url.host() {
            Some(Host::Domain(name)) => name == "localhost",
            Some(Host::Ipv4(ip)) => ip.is_loopback(),
            Some(Host::Ipv6(ip)) => ip.is_loopback(),
            None => false,
        };
        match url.scheme() {
            "https" => {}
            "http" if is_here => {}
            _ => {
                return Err(invalid(
                    "expected the URL of a JSON Web Key Set with `https`, or with `http` on this \
                     machine: whoever can change the keys on their way can be anybody",
                ));
            }
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err(invalid(
                "expected the URL of a JSON Web Key Set without a user and a password",
            ));
        }
        Ok(Self {
            url,
            timing: Timing {
                refresh_after: Duration::from_secs(600),
                stale_for: DAY,
                unknown_kid_interval: Duration::from_secs(30),
                slow_after: Duration::ZERO,
                lost_after: Duration::ZERO,
            },
            timeout: Duration::from_secs(4),
            root_certificates: None,
        })
    }

    /// After which age keys are fetched again, by the next token that comes: 10 minutes; from 100 ms
    /// to a day. Nobody waits for that, unless they are twice as old by then. So a key that the issuer
    /// has withdrawn is accepted for twice as long at most, but for what
    /// [`stale_for`](Self::stale_for) says.
    pub fn refresh_after(mut self, age: Duration) -> Self {
        self.timing.refresh_after = age;
        self
    }

    /// Up to which age keys are accepted while they can't be fetched, which means that it was tried
    /// within the last seconds: 24 h; from [`refresh_after`](Self::refresh_after) to 7 days. Then
    /// nobody can be authenticated until they can.
    pub fn stale_for(mut self, age: Duration) -> Self {
        self.timing.stale_for = age;
        self
    }

    /// How long it takes until one more fetch may be made for the sake of an unknown `kid`: 30 s;
    /// from 100 ms to an hour. Three may be made at once, and those that fail don't count. So a flood
    /// of tokens with `kid`s at random makes one request in that time, and a new key of the issuer's
    /// may be unknown for as long. Its tokens are refused for the time being
    /// ([`Unavailable`](AuthErrorKind::Unavailable)), and not for good.
    pub fn unknown_kid_interval(mut self, interval: Duration) -> Self {
        self.timing.unknown_kid_interval = interval;
        self
    }

    /// How long a fetch may take, from the look-up of the name to the last byte: 4 s, from 100 ms to
    /// 30 s. A token waits for keys for 4 s at the most, however long this is, and is then judged by
    /// the old ones, or refused for the time being. So the gateway's `auth_timeout`, 5 s by default,
    /// should be longer than that. [`Jwt::fetch_keys`](crate::Jwt::fetch_keys) waits to the end.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Trusts these root certificates, in PEM, as well as the system's.
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    fn validate(&self) -> Result<(), AuthError> {
        let Timing {
            refresh_after,
            stale_for,
            unknown_kid_interval,
            ..
        } = self.timing;
        let ranges = [
            ("timeout", self.timeout, SHORTEST, Duration::from_secs(30)),
            ("refresh_after", refresh_after, SHORTEST, DAY),
            ("stale_for", stale_for, refresh_after, 7 * DAY),
            (
                "unknown_kid_interval",
                unknown_kid_interval,
                SHORTEST,
                Duration::from_secs(3_600),
            ),
        ];
        for (what, got, least, most) in ranges {
            if !(least..=most).contains(&got) {
                let got = format!("{what}: expected {least:?} to {most:?}; got {got:?}");
                return Err(invalid(got));
            }
        }
        Ok(())
    }

    /// Scheme, host and port of the URL: a path may hold a secret as well as a query.
    fn shown(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

impl fmt::Debug for Jwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Jwks")
            .field("url", &self.shown())
            .field("timing", &self.timing)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

fn invalid(expected: impl Into<std::borrow::Cow<'static, str>>) -> AuthError {
    AuthError::new(AuthErrorKind::InvalidOption, expected)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use super::*;

    #[test]
    fn the_host_is_shown_and_nothing_behind_it() {
        for (url, shown) in [
            ("https://a.example/s3cret?x=s3cret", "https://a.example"),
            ("https://a.example:444/s3cret", "https://a.example:444"),
            ("http://[::1]:80/", "http://[::1]"),
        ] {
            assert_eq!(Jwks::from_url(url).unwrap().shown(), shown);
        }
    }

    #[test]
    fn only_what_nobody_can_change_on_its_way_is_fetched() {
        for url in [
            "https://login.example.com/jwks?x=s3cret",
            "https://login.example.com:8443/s3cret/jwks",
            "http://127.0.0.1:8080/jwks",
            "http://[::1]/",
            "http://localhost/jwks",
        ] {
            let jwks = Jwks::from_url(url).unwrap();
            assert!(!format!("{jwks:?}").contains("s3cret"));
        }
        for url in [
            "",
            "jwks.json",
            "http://login.example.com/jwks",
            "http://127.0.0.1.example.com/",
            "http://localhost.example.com/",
            "file:///etc/jwks",
            "https://user:s3cret@login.example.com/",
            "https://s3cret@login.example.com/",
            "https://login.example.com/jwks#s3cret",
            "https://010.0.0.1/s3cret",
            "https://10.1/s3cret",
            "https://login.example.com:0/s3cret",
            "https://@login.example.com/s3cret",
            " https://login.example.com/s3cret",
        ] {
            let error = Jwks::from_url(url).unwrap_err();
            assert_eq!(error.kind(), AuthErrorKind::InvalidOption, "{url}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }
}
