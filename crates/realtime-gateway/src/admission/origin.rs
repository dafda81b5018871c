//! Which pages may connect.
//!
//! A browser sends the `Origin` of the page, which the page can't forge. Without this check any
//! page could connect with its visitor's cookies. Callers that are not browsers send none.

use http::{HeaderMap, header::ORIGIN};

use super::host::{Host, HostAndPort};
use crate::{BuildError, BuildErrorKind};

/// Pages of the same origin, and those that match a pattern; or all.
#[derive(Debug, Clone, Default)]
pub(crate) struct OriginPolicy {
    patterns: Vec<Pattern>,
    insecure: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Pattern {
    /// Compared as it stands, for origins that are not URLs: `null`, `file://`.
    Literal(String),
    Site {
        scheme: Option<String>,
        host: HostPattern,
        port: Option<u16>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum HostPattern {
    Exactly(Host),
    /// `*.example.com`: whatever ends in this, its dot included.
    Below(String),
}

/// What an `Origin` header says.
struct Origin {
    scheme: String,
    host: Host,
    port: Option<u16>,
}

fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" | "ws" => Some(80),
        "https" | "wss" => Some(443),
        _ => None,
    }
}

/// Schemes whose pages have no host in their origin.
const WITHOUT_HOST: [&str; 5] = ["about", "blob", "data", "file", "javascript"];

fn is_scheme(text: &str) -> bool {
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.');
    text.starts_with(|c: char| c.is_ascii_alphabetic()) && text.chars().all(fits)
}

impl Origin {
    fn parse(text: &str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        // Only scheme, host and port: a path or a query can't stand in an origin.
        let HostAndPort { host, port } = HostAndPort::parse(&authority.parse().ok()?)?;
        let scheme = scheme.to_ascii_lowercase();
        is_scheme(&scheme).then(|| Self {
            port: port.or(default_port(&scheme)),
            host,
            scheme,
        })
    }
}

impl Pattern {
    fn parse(text: &str) -> Option<Self> {
        let literals = ["null", "file://"];
        if literals.iter().any(|l| l.eq_ignore_ascii_case(text)) {
            return Some(Self::Literal(text.to_owned()));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme.to_ascii_lowercase()), rest),
            None => (None, text),
        };
        // That is the address of a socket: no page comes from it.
        if matches!(scheme.as_deref(), Some("ws" | "wss")) {
            return None;
        }
        // As it is copied from an address bar.
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let HostAndPort { host, port } = HostAndPort::parse(&rest.parse().ok()?)?;
        let host = match (below, host) {
            // Browsers read it as an address, in whose one form it would never match.
            (_, Host::Name(name)) if ends_in_number(&name) => return None,
            // Such as `.example.com`, which is meant for `*.example.com`. But `app://.` is where
            // the pages of desktop shells come from.
            (below, Host::Name(name))
                if has_empty_label(&name) && !is_shell(below, &name, scheme.as_deref()) =>
            {
                return None;
            }
            (false, host) => HostPattern::Exactly(host),
            (true, Host::Name(name)) => HostPattern::Below(format!(".{name}")),
            (true, Host::Address(_)) => return None,
        };
        // Of what isn't one, no origin has it, and these have the origin `null`.
        let has_origin = |scheme: &str| is_scheme(scheme) && !WITHOUT_HOST.contains(&scheme);
        let can_match = scheme.as_deref().is_none_or(has_origin) && port != Some(0);
        can_match.then_some(Self::Site { scheme, host, port })
    }

    fn matches(&self, text: &str, origin: Option<&Origin>) -> bool {
        let (scheme, host, port) = match (self, origin) {
            (Self::Literal(literal), _) => return literal.eq_ignore_ascii_case(text),
            (Self::Site { .. }, None) => return false,
            (Self::Site { scheme, host, port }, Some(_)) => (scheme, host, port),
        };
        let Some(origin) = origin else { return false };
        // A pattern without a port means the default one of the scheme.
        scheme
            .as_ref()
            .is_none_or(|scheme| *scheme == origin.scheme)
            && port.or(default_port(&origin.scheme)) == origin.port
            && match (host, &origin.host) {
                (HostPattern::Exactly(host), theirs) => host == theirs,
                (HostPattern::Below(end), Host::Name(name)) => {
                    name.len() > end.len() && name.ends_with(end.as_str())
                }
                (HostPattern::Below(_), Host::Address(_)) => false,
            }
    }
}

/// Such as `127.1` or `0x7f.1`.
fn ends_in_number(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let last = name.rsplit('.').next().unwrap_or(name);
    let digits = last.bytes().all(|byte| byte.is_ascii_digit());
    let hex = last
        .strip_prefix("0x")
        .is_some_and(|hex| hex.bytes().all(|byte| byte.is_ascii_hexdigit()));
    !last.is_empty() && (digits || hex)
}

/// Whether it is the host of a program that brings its own pages, such as `app://.`.
fn is_shell(below: bool, host: &str, scheme: Option<&str>) -> bool {
    !below && host == "." && scheme.is_some_and(|scheme| default_port(scheme).is_none())
}

/// A name has one at most at its end.
fn has_empty_label(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    name.split('.').any(str::is_empty)
}

impl OriginPolicy {
    pub(crate) fn new(patterns: &[String], insecure: bool) -> Result<Self, BuildError> {
        let parse = |text: &String| {
            Pattern::parse(text.trim()).ok_or_else(|| {
                let got = format!(
                    "origin_patterns: expected a host such as app.example.com or *.example.com, \
                     or an origin such as https://app.example.com:8443; got {text:?}"
                );
                BuildError::new(BuildErrorKind::InvalidOption, got)
            })
        };
        let patterns = patterns.iter().map(parse).collect::<Result<_, _>>()?;
        Ok(Self { patterns, insecure })
    }

    /// Whether a request for this host may come from where it comes from.
    pub(crate) fn allows(&self, host: &HostAndPort, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let text = match (origins.next(), origins.next()) {
            _ if self.insecure => return true,
            (None, _) => return true,
            (Some(origin), None) => origin.to_str(),
            (Some(_), Some(_)) => return false,
        };
        let Ok(text) = text else { return false };
        let origin = Origin::parse(text);
        origin.as_ref().is_some_and(|origin| is_same(origin, host))
            || self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(text, origin.as_ref()))
    }
}

/// Whether the page comes from this host and port. The scheme isn't compared: TLS may end before
/// us. So neither is 80 distinguished from 443: behind a proxy, `Host` may be without a port, or have that
/// of the proxy's way to us.
fn is_same(origin: &Origin, host: &HostAndPort) -> bool {
    let default = |port: u16| matches!(port, 80 | 443);
    host.host == origin.host
        && matches!(origin.scheme.as_str(), "http" | "https")
        && match (host.port, origin.port) {
            (Some(port), theirs) if !default(port) => theirs == Some(port),
            (_, theirs) => theirs.is_some_and(default),
        }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn allows(patterns: &[&str], host: &str, origins: &[&str]) -> bool {
        let patterns: Vec<_> = patterns.iter().map(|p| (*p).to_owned()).collect();
        let policy = OriginPolicy::new(&patterns, false).unwrap();
        let mut headers = HeaderMap::new();
        let host = HostAndPort::of_host(host).unwrap();
        for origin in origins {
            headers.append(
                "origin",
                HeaderValue::from_bytes(origin.as_bytes()).unwrap(),
            );
        }
        policy.allows(&host, &headers)
    }

    #[test]
    fn the_same_origin_may_connect_and_others_may_not() {
        let rows = [
            ("example.com", "https://example.com", true),
            ("example.com", "http://example.com", true),
            ("EXAMPLE.com", "https://Example.COM", true),
            ("example.com:443", "https://example.com", true),
            ("example.com:80", "https://example.com", true),
            ("example.com:", "https://example.com", true),
            ("example.com:443", "http://example.com", true),
            ("[::ffff:127.0.0.1]", "http://127.0.0.1", true),
            ("example.com:80", "https://example.com:8443", false),
            ("example.com", "https://example.com:443", true),
            ("example.com:8080", "http://example.com:8080", true),
            ("[::1]:80", "http://[0:0:0:0:0:0:0:1]", true),
            ("127.0.0.1:8080", "http://127.0.0.1:8080", true),
            ("example.com:8080", "http://example.com", false),
            ("example.com", "http://example.com:8080", false),
            ("example.com", "https://other.example", false),
            ("example.com", "https://example.com.evil.example", false),
            ("example.com", "https://evilexample.com", false),
            ("example.com", "https://example.com@evil.example", false),
            ("example.com", "https://evil.example\\@example.com", false),
            ("example.com", "https://evil.example/example.com", false),
            ("example.com", "https://example.com/path", false),
            ("example.com", "https://example.com:", false),
            ("example.com", "https://example.com:99999", false),
            ("example.com", "https://example.com:+443", false),
            ("example.com", "null", false),
            ("example.com", "file://", false),
            ("example.com", "", false),
            (
                "example.com",
                "https://example.com, https://evil.example",
                false,
            ),
            ("example.com", "ftp://example.com:80", false),
        ];
        for (host, origin, allowed) in rows {
            assert_eq!(allows(&[], host, &[origin]), allowed, "{origin} at {host}");
        }
        assert!(allows(&[], "example.com", &[]), "not a browser");
        let twice = ["https://example.com", "https://example.com"];
        assert!(!allows(&[], "example.com", &twice));
    }

    #[test]
    fn patterns_match_host_or_full_origin() {
        let rows = [
            ("app.example.com", "https://app.example.com", true),
            ("app.example.com", "http://app.example.com:80", true),
            ("app.example.com", "https://app.example.com:8443", false),
            ("app.example.com:8443", "https://app.example.com:8443", true),
            ("https://app.example.com", "https://APP.example.com", true),
            ("https://app.example.com", "http://app.example.com", false),
            (
                "https://app.example.com",
                "https://app.example.com:8443",
                false,
            ),
            (
                "app.example.com",
                "https://app.example.com.evil.example",
                false,
            ),
            ("*.example.com", "https://example.com", false),
            ("*.example.com", "https://a.b.example.com", true),
            ("*.example.com", "https://xexample.com", false),
            ("*.example.com", "https://a.example.com:1", false),
            ("https://app.example.com/", "https://app.example.com", true),
            ("app.example.com/", "https://app.example.com", true),
            ("*.example.com/", "https://app.example.com", true),
            ("https://a.example:8443/", "https://a.example:8443", true),
            ("[::ffff:127.0.0.1]", "http://127.0.0.1", true),
            ("null", "null", true),
            ("NULL", "null", true),
            ("file://", "file://", true),
            ("null", "file://", false),
            ("[::1]", "http://[::1]", true),
            ("app://.", "app://.", true),
            ("app://.", "app://x.", false),
            ("capacitor://localhost", "capacitor://localhost", true),
        ];
        for (pattern, origin, allowed) in rows {
            let got = allows(&[pattern], "server.example", &[origin]);
            assert_eq!(got, allowed, "{origin} against {pattern}");
        }
    }

    #[test]
    fn a_pattern_that_could_not_match_is_refused() {
        for bad in [
            "",
            "*",
            "*.",
            "a b",
            "https://",
            "https://a/b",
            "*.127.0.0.1",
            "a@b",
            "h:x",
            "h//",
            "wss://app.example.com",
            "127.1",
            "0x7f.0.0.1",
            "*.0.1",
            "://h",
            "ht_tp://h",
            "9p://h",
            ".example.com",
            "https://.example.com",
            "a..b",
            "*..",
            ".",
            "https://.",
            "app://*..",
            "h:0",
            "https://h:0",
            "file://h",
            "data://h",
        ] {
            let error = OriginPolicy::new(&[bad.to_owned()], false).unwrap_err();
            assert!(error.to_string().contains("origin_patterns"), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn names_agree_with_a_naive_model(pattern in "(\\*\\.)?[ab]{1,2}(\\.[ab]{1,2}){0,2}", name in "[ab]{1,2}(\\.[ab]{1,2}){0,3}") {
            let naive = match pattern.strip_prefix("*.") {
                Some(parent) => name.strip_suffix(parent).is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
                None => name == pattern,
            };
            let origin = format!("https://{name}");
            prop_assert_eq!(allows(&[&pattern], "server.example", &[&origin]), naive);
        }

        #[test]
        fn no_origin_makes_it_panic(origin in "\\PC{0,40}") {
            let _ = Origin::parse(&origin);
            let _ = Pattern::parse(&origin);
        }
    }
}
