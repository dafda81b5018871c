//! The opening handshake: what a request must have, and the answer to it. Over HTTP/1.1 that is an
//! upgrade, over HTTP/2 a stream that becomes a WebSocket (RFC 8441).

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{
        CONNECTION, CONTENT_LENGTH, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS,
        SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING,
        UPGRADE,
    },
    request::Parts,
};
use realtime_websocket::handshake::{accept_key, is_valid_key};

use super::{Body, Refusal, host::HostAndPort};
use crate::{
    compression::{Agreed, Deflater},
    dialects::DialectId,
};

/// A request that is a proper WebSocket handshake.
#[derive(Debug)]
pub(crate) struct Handshake {
    opening: Opening,
    /// Whom the client wants to reach.
    pub(super) host: HostAndPort,
    /// What the client has offered first of what is spoken here, if anything.
    protocol: Option<HeaderValue>,
    /// Which dialect that is.
    pub(crate) dialect: Option<DialectId>,
    /// How messages are compressed.
    pub(crate) agreed: Agreed,
    /// The header that says so.
    extensions: Option<HeaderValue>,
}

/// How a WebSocket begins.
#[derive(Debug)]
enum Opening {
    /// The connection is nothing else from then on. This proves that the request was understood.
    Upgrade { accept: String },
    /// One stream of HTTP/2 is, beside others.
    Stream,
}

impl Handshake {
    /// `named` knows the dialects by their names. What is answered to offers of compression is said by
    /// `deflater`; one by whom nothing is to be agreed says no.
    pub(crate) fn check(
        request: &Parts,
        named: impl Fn(&[u8]) -> Option<DialectId>,
        deflater: &Deflater,
    ) -> Result<Self, Refusal> {
        let headers = &request.headers;
        match request.version {
            Version::HTTP_11 if request.method != Method::GET => return Err(Refusal::Method),
            Version::HTTP_2 if request.method == Method::CONNECT => {}
            Version::HTTP_11 => {}
            _ => return Err(Refusal::HttpVersion),
        }
        let is_stream = request.version == Version::HTTP_2;
        let no_length = |length: &HeaderValue| length.as_bytes() == b"0";
        if headers.contains_key(TRANSFER_ENCODING)
            || !headers.get_all(CONTENT_LENGTH).iter().all(no_length)
        {
            return Err(Refusal::HasBody);
        }
        let is_upgrade =
            has_token(headers, &UPGRADE, "websocket") && has_token(headers, &CONNECTION, "upgrade");
        if !is_stream && !is_upgrade {
            return Err(Refusal::NotUpgrade);
        }
        if is_stream && !is_for_websockets(request) {
            return Err(Refusal::NotUpgrade);
        }
        if single(headers, &SEC_WEBSOCKET_VERSION).is_none_or(|version| version != "13") {
            return Err(Refusal::Version);
        }
        let opening = if is_stream {
            Opening::Stream
        } else {
            let key = single(headers, &SEC_WEBSOCKET_KEY).ok_or(Refusal::BadKey)?;
            if !is_valid_key(key.as_bytes()) {
                return Err(Refusal::BadKey);
            }
            Opening::Upgrade {
                accept: accept_key(key.as_bytes()),
            }
        };
        let host = HostAndPort::of_request(request).ok_or(Refusal::BadHost)?;
        // A name in another case is another name: clients refuse one that they haven't offered.
        let mut offered = items(headers, &SEC_WEBSOCKET_PROTOCOL);
        let chosen = offered.find_map(|item| Some((item, named(item)?)));
        let (agreed, extensions) = deflater.answer(headers);
        Ok(Self {
            opening,
            host,
            agreed,
            extensions,
            protocol: chosen.and_then(|(name, _)| HeaderValue::from_bytes(name).ok()),
            dialect: chosen.map(|(_, dialect)| dialect),
        })
    }

    /// 101 Switching Protocols, or over HTTP/2 200.
    pub(crate) fn response(self) -> Option<Response<Body>> {
        let mut response = Response::new(Body::default());
        if let Opening::Upgrade { accept } = &self.opening {
            *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
            let headers = response.headers_mut();
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
            headers.insert(SEC_WEBSOCKET_ACCEPT, HeaderValue::from_str(accept).ok()?);
        }
        let headers = response.headers_mut();
        if let Some(protocol) = self.protocol {
            headers.insert(SEC_WEBSOCKET_PROTOCOL, protocol);
        }
        if let Some(extensions) = self.extensions {
            headers.insert(SEC_WEBSOCKET_EXTENSIONS, extensions);
        }
        Some(response)
    }
}

/// Whether a `CONNECT` is one for WebSockets (RFC 8441) and not for a proxy.
fn is_for_websockets(request: &Parts) -> bool {
    #[cfg(feature = "http2")]
    {
        let protocol = request.extensions.get::<hyper::ext::Protocol>();
        protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
    }
    // Its name is nowhere to be found without HTTP/2 of hyper. Only an extended `CONNECT` has more
    // than an authority, and what else it may be for has no version of WebSockets.
    #[cfg(not(feature = "http2"))]
    {
        request.uri.scheme().is_some()
    }
}

pub(super) fn single<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h HeaderValue> {
    let mut values = headers.get_all(name).iter();
    let first = values.next()?;
    values.next().is_none().then_some(first)
}

/// The items of a header that holds a list, maybe on several lines. As bytes: the one beside ours
/// may be anything.
fn items<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let lines = headers.get_all(name).into_iter();
    let items = lines.flat_map(|line| line.as_bytes().split(|byte| *byte == b','));
    items.map(<[u8]>::trim_ascii)
}

/// Whether a header that holds a list has this item, in any case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    items(headers, name).any(|item| item.eq_ignore_ascii_case(token.as_bytes()))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    const GOOD: [(&str, &str); 5] = [
        ("host", "example.com"),
        ("upgrade", "h2c, WebSocket"),
        ("connection", "keep-alive, Upgrade"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];

    fn request(change: impl FnOnce(&mut Parts)) -> Result<Handshake, Refusal> {
        let mut parts = Request::new(()).into_parts().0;
        for (name, value) in GOOD {
            parts.headers.append(name, HeaderValue::from_static(value));
        }
        change(&mut parts);
        let named = |name: &[u8]| (name == b"realtime.json").then_some(DialectId::CODEC);
        Handshake::check(&parts, named, &Deflater::default())
    }

    fn set(name: &'static str, value: &'static str) -> impl FnOnce(&mut Parts) {
        move |parts| {
            parts.headers.insert(name, HeaderValue::from_static(value));
        }
    }

    fn add(name: &'static str, value: &'static str) -> impl FnOnce(&mut Parts) {
        move |parts| {
            parts.headers.append(name, HeaderValue::from_static(value));
        }
    }

    fn without(name: &'static str) -> impl FnOnce(&mut Parts) {
        move |parts| {
            parts.headers.remove(name);
        }
    }

    #[test]
    fn a_proper_handshake_is_accepted() {
        let response = request(|_| ()).unwrap().response().unwrap();
        assert_eq!(response.status(), 101);
        assert_eq!(
            response.headers()["sec-websocket-accept"],
            "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
        );
        assert!(!response.headers().contains_key("sec-websocket-protocol"));
        assert!(request(set("content-length", "0")).is_ok());
    }

    /// As hyper shows one: no `Host`, no `Upgrade`, no key.
    fn stream(change: impl FnOnce(&mut Parts)) -> Result<Handshake, Refusal> {
        request(|parts| {
            parts.version = Version::HTTP_2;
            parts.method = Method::CONNECT;
            parts.uri = "https://example.com/ws".parse().unwrap();
            #[cfg(feature = "http2")]
            parts
                .extensions
                .insert(hyper::ext::Protocol::from_static("websocket"));
            for name in ["host", "upgrade", "connection", "sec-websocket-key"] {
                parts.headers.remove(name);
            }
            change(parts);
        })
    }

    #[test]
    fn a_stream_of_http2_may_become_one() {
        let offered = add("sec-websocket-protocol", "realtime.json");
        let response = stream(offered).unwrap().response().unwrap();
        assert_eq!(response.status(), 200);
        let headers: Vec<_> = response.headers().keys().collect();
        assert_eq!(headers, ["sec-websocket-protocol"]);
        let refused = |change: Box<dyn FnOnce(&mut Parts)>| stream(change).unwrap_err();
        assert_eq!(
            refused(Box::new(|p| p.method = Method::GET)),
            Refusal::HttpVersion
        );
        assert_eq!(
            refused(Box::new(without("sec-websocket-version"))),
            Refusal::Version
        );
        let of_a_proxy = |p: &mut Parts| {
            p.uri = "example.com:443".parse().unwrap();
            #[cfg(feature = "http2")]
            p.extensions.remove::<hyper::ext::Protocol>();
        };
        assert_eq!(refused(Box::new(of_a_proxy)), Refusal::NotUpgrade);
        #[cfg(feature = "http2")]
        {
            let other = hyper::ext::Protocol::from_static("connect-udp");
            let of_another = |p: &mut Parts| drop(p.extensions.insert(other));
            assert_eq!(refused(Box::new(of_another)), Refusal::NotUpgrade);
        }
        // hyper has an authority; others may have a `Host`.
        #[cfg(feature = "http2")]
        {
            let nameless = |p: &mut Parts| p.uri = "/ws".parse().unwrap();
            assert_eq!(refused(Box::new(nameless)), Refusal::BadHost);
            let named = stream(|p| {
                nameless(p);
                set("host", "example.com")(p);
            });
            assert!(named.is_ok());
        }
        for named in ["http://example.com:/ws", "http://example.com/ws"] {
            let host = stream(|p| p.uri = named.parse().unwrap()).unwrap().host;
            assert_eq!(host, request(set("host", "example.com:")).unwrap().host);
        }
        let two = |p: &mut Parts| set("host", "evil.example")(p);
        assert_eq!(
            stream(two).unwrap().host,
            request(|_| ()).unwrap().host,
            "the authority counts"
        );
        assert_eq!(
            request(|p| p.method = Method::CONNECT).unwrap_err(),
            Refusal::Method
        );
    }

    #[test]
    fn only_our_own_subprotocol_is_echoed() {
        let offer = |value: &'static str| {
            let response = request(add("sec-websocket-protocol", value))
                .unwrap()
                .response();
            response
                .unwrap()
                .headers()
                .get("sec-websocket-protocol")
                .cloned()
        };
        assert_eq!(
            offer("token.s3cret, realtime.json").unwrap(),
            "realtime.json"
        );
        assert_eq!(offer("token.s3cret"), None);
        assert_eq!(offer("realtime.jsonx"), None);
        assert_eq!(
            offer("Realtime.JSON"),
            None,
            "a client refuses another case"
        );
        let strange = HeaderValue::from_bytes(b"\xff, realtime.json").unwrap();
        let beside = request(|p| drop(p.headers.insert("sec-websocket-protocol", strange)));
        assert!(beside.unwrap().protocol.is_some());
    }

    #[test]
    fn everything_else_is_refused() {
        type Change = Box<dyn FnOnce(&mut Parts)>;
        let refused = |change: Change| request(change).unwrap_err();
        let rows: Vec<(Refusal, Change)> = vec![
            (Refusal::Method, Box::new(|p| p.method = Method::POST)),
            (
                Refusal::HttpVersion,
                Box::new(|p| p.version = Version::HTTP_10),
            ),
            (Refusal::NotUpgrade, Box::new(without("upgrade"))),
            (Refusal::NotUpgrade, Box::new(without("connection"))),
            (
                Refusal::NotUpgrade,
                Box::new(set("connection", "keep-alive")),
            ),
            (Refusal::Version, Box::new(without("sec-websocket-version"))),
            (
                Refusal::Version,
                Box::new(set("sec-websocket-version", "8")),
            ),
            (Refusal::BadKey, Box::new(without("sec-websocket-key"))),
            (Refusal::BadKey, Box::new(set("sec-websocket-key", ""))),
            (
                Refusal::BadKey,
                Box::new(set("sec-websocket-key", "c2hvcnQ=")),
            ),
            (
                Refusal::BadKey,
                Box::new(add("sec-websocket-key", GOOD[4].1)),
            ),
            (Refusal::BadHost, Box::new(without("host"))),
            (Refusal::BadHost, Box::new(set("host", "exa mple.com"))),
            (Refusal::BadHost, Box::new(set("host", "user@example.com"))),
            (Refusal::BadHost, Box::new(set("host", "example.com::"))),
            (Refusal::BadHost, Box::new(set("host", "example.com:+80"))),
            (Refusal::BadHost, Box::new(add("host", "other.example"))),
            (
                Refusal::HasBody,
                Box::new(set("transfer-encoding", "chunked")),
            ),
            (Refusal::HasBody, Box::new(set("content-length", "5"))),
        ];
        for (expected, change) in rows {
            assert_eq!(refused(change), expected);
        }
    }
}
