//! Upgrade requests: handshake, origin, credentials, subprotocols and forwarded addresses. Never a
//! panic, never a 101 for a stranger's page or a wrong token.
#![no_main]

use std::cell::RefCell;

use http::{HeaderName, HeaderValue, Request, StatusCode};
use libfuzzer_sys::fuzz_target;
use realtime::{Gateway, Identity, auth::StaticToken, service::PeerAddr};
use tower_service::Service;

thread_local! {
    static HOST: RefCell<(tokio::runtime::Runtime, Gateway)> = RefCell::new(host());
}

fn host() -> (tokio::runtime::Runtime, Gateway) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let token = StaticToken::new("correct-horse", Identity::new("ann")).unwrap();
    let token = token
        .from_query("token")
        .from_cookie("session")
        .from_subprotocol("bearer.");
    let gateway = realtime::builder()
        .authenticator(token)
        .origin_patterns(["*.example.com", "https://other.org:8443", "[::1]"])
        .trusted_proxies(["127.0.0.0/8"])
        .on_error(async || {})
        .build()
        .unwrap();
    (runtime, gateway)
}

const NAMES: [&str; 12] = [
    "host",
    "connection",
    "upgrade",
    "sec-websocket-version",
    "sec-websocket-key",
    "sec-websocket-protocol",
    "sec-websocket-extensions",
    "origin",
    "authorization",
    "cookie",
    "x-forwarded-for",
    "transfer-encoding",
];

fuzz_target!(|input: (bool, String, Vec<(u8, Vec<u8>)>)| {
    let (valid, query, headers) = input;
    let Ok(mut request) = Request::builder().uri(format!("/ws?{query}")).body(()) else {
        return;
    };
    let names_the_token = |text: &[u8]| text.windows(13).any(|word| word == b"correct-horse");
    let mut token = names_the_token(query.as_bytes()) || query.contains('%');
    if valid {
        let head = request.headers_mut();
        for (name, value) in [
            ("host", "app.test"),
            ("connection", "Upgrade"),
            ("upgrade", "websocket"),
            ("sec-websocket-version", "13"),
            ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ] {
            head.insert(name, HeaderValue::from_static(value));
        }
    }
    for (name, value) in &headers {
        token |= names_the_token(value);
        let name = HeaderName::from_static(NAMES[usize::from(*name) % NAMES.len()]);
        if let Ok(value) = HeaderValue::from_bytes(value) {
            request.headers_mut().append(name, value);
        }
    }
    request
        .extensions_mut()
        .insert(PeerAddr(([127, 0, 0, 1], 9).into()));
    HOST.with_borrow_mut(|(runtime, gateway)| {
        let response = runtime.block_on(async { gateway.call(request).await });
        let Ok(response) = response;
        // There is no connection to upgrade, so nobody gets 101; whoever gets past
        // authentication is told so by a 4xx or 5xx other than 401.
        assert_ne!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        let refused_earlier = response.status().is_client_error();
        assert!(token || refused_earlier, "{}", response.status());
    });
});
