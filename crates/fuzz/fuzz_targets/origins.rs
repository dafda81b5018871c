//! Origins against patterns, beside a model that reads both with the URL parser of browsers: no
//! page of another host gets in, whatever its origin looks like.
#![no_main]

use std::cell::RefCell;

use http::{HeaderValue, Request, StatusCode};
use libfuzzer_sys::{
    arbitrary::{self, Arbitrary},
    fuzz_target,
};
use realtime::error::BuildErrorKind;
use tower_service::Service;
use url::{Host, Url};

/// What origins and patterns are made of.
const PIECES: [&str; 32] = [
    "https://",
    "http://",
    "ws://",
    "ftp://",
    "://",
    "*.",
    "example.com",
    "EXAMPLE.com",
    "evil",
    "app",
    ".",
    "a",
    "b",
    "127.0.0.1",
    "[::1]",
    "[0:0::1]",
    ":80",
    ":443",
    ":8443",
    ":",
    "@",
    "\\",
    "/",
    "?",
    "#",
    "%2e",
    ",",
    " ",
    "-",
    "null",
    "file://",
    "xn--",
];

#[derive(Arbitrary, Debug)]
struct Input {
    host: u8,
    pattern: Text,
    origin: Text,
}

#[derive(Arbitrary, Debug)]
enum Text {
    Pieces(Vec<u8>),
    Free(String),
}

impl Text {
    fn text(&self) -> String {
        let piece = |index: &u8| PIECES[usize::from(*index) % PIECES.len()];
        match self {
            Self::Pieces(indices) => indices.iter().take(12).map(piece).collect(),
            Self::Free(text) => text.clone(),
        }
    }
}

const HOSTS: [&str; 4] = [
    "app.example.com",
    "example.com:8443",
    "[::1]:80",
    "127.0.0.1",
];

thread_local! {
    static RUNTIME: RefCell<tokio::runtime::Runtime> = RefCell::new(
        tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"),
    );
}

/// Whether a page may connect, if the pattern is one.
fn allows(host: &str, pattern: &str, origin: &HeaderValue) -> Option<bool> {
    let gateway = realtime::builder().origin_patterns([pattern]).build();
    let mut gateway = gateway
        .inspect_err(|error| {
            assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
            assert!(error.to_string().contains("origin_patterns"));
        })
        .ok()?;
    let request = Request::get("/ws")
        .header("host", host)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("origin", origin)
        .body(())
        .expect("a request");
    RUNTIME.with_borrow(|runtime| {
        let Ok(response) = runtime.block_on(async { gateway.call(request).await });
        Some(response.status() != StatusCode::FORBIDDEN)
    })
}

/// A pattern as its documentation has it: `[scheme://][*.]host[:port]`.
fn matches(pattern: &str, origin: &Url) -> bool {
    // These are compared as they stand.
    if matches!(pattern, "null" | "file://") {
        return false;
    }
    let (scheme, rest) = match pattern.split_once("://") {
        Some((scheme, rest)) => (Some(scheme), rest),
        None => (None, pattern),
    };
    let (is_below, rest) = match rest.strip_prefix("*.") {
        Some(rest) => (true, rest),
        None => (false, rest),
    };
    // Read as if it were of the origin's scheme, which says what no port means.
    let Ok(pattern) = Url::parse(&format!("{}://{rest}", origin.scheme())) else {
        return false;
    };
    scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(origin.scheme()))
        && pattern.port_or_known_default() == origin.port_or_known_default()
        && match (is_below, pattern.host(), origin.host()) {
            (false, pattern, origin) => pattern == origin,
            (true, Some(Host::Domain(parent)), Some(Host::Domain(name))) => name
                .strip_suffix(parent)
                .is_some_and(|sub| sub.len() > 1 && sub.ends_with('.')),
            (true, ..) => false,
        }
}

fn is_same(host: &str, origin: &Url) -> bool {
    let Ok(own) = Url::parse(&format!("{}://{host}", origin.scheme())) else {
        return false;
    };
    let names_port = host
        .rsplit(':')
        .next()
        .is_some_and(|port| port.parse::<u16>().is_ok());
    matches!(origin.scheme(), "http" | "https")
        && own.host() == origin.host()
        && match names_port {
            true if !host.ends_with(":80") => {
                host.ends_with(&format!(":{}", origin.port_or_known_default().unwrap_or(0)))
            }
            _ => matches!(origin.port_or_known_default(), Some(80 | 443)),
        }
}

fuzz_target!(|input: Input| {
    let host = HOSTS[usize::from(input.host) % HOSTS.len()];
    let (pattern, origin) = (input.pattern.text(), input.origin.text());
    let Ok(value) = HeaderValue::from_bytes(origin.as_bytes()) else {
        return;
    };
    let Some(allowed) = allows(host, &pattern, &value) else {
        return;
    };
    let pattern = pattern.trim();
    if matches!(&*origin, "null" | "file://") {
        assert_eq!(allowed, pattern == origin);
        return;
    }
    // A browser sends the origin of a page and nothing else, in one form.
    let parsed = Url::parse(&origin).ok();
    let page = parsed.filter(|url| url.origin().ascii_serialization() == origin);
    match page {
        Some(page) => {
            let expected = matches(pattern, &page) || is_same(host, &page);
            assert!(
                expected || !allowed,
                "{origin:?} gets in by {pattern:?} at {host}"
            );
            // Names that no page can have, such as `*.,`, may be kept out.
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-[]:".contains(&byte);
            let is_plain = page.host_str().is_some_and(|name| name.bytes().all(plain));
            assert!(
                allowed || !expected || !is_plain,
                "{origin:?} is kept out by {pattern:?} at {host}"
            );
        }
        None => {
            // What no browser sends may get in only where it is spelled another way.
            let url = allowed.then(|| Url::parse(&origin));
            if let Some(Ok(url)) = url {
                let fits = matches(pattern, &url) || is_same(host, &url);
                let is_special = matches!(url.scheme(), "http" | "https" | "ws" | "wss" | "ftp");
                assert!(
                    fits || !is_special,
                    "{origin:?} gets in by {pattern:?} at {host}"
                );
                assert!(url.username().is_empty() && url.query().is_none());
            }
        }
    }
});
