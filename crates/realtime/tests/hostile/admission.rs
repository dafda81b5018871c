//! Requests from where they may not come, with credentials that don't count, or with offers that
//! nobody takes.

use realtime::{Identity, auth::StaticToken};
use realtime_testkit::client::{Request, raw_http};

use crate::{
    http::{exchange, replaced, statuses, with},
    log::SECRET,
    support::{Host, Server, router},
};

/// What is refused for its origin, what isn't, and in either case not because of authentication.
#[tokio::test]
async fn origins_are_judged_by_host_and_port() {
    let listed = ["*.example.com", "https://app.site.example:8443", "null"];
    let rows: &[(&str, &[&str], u16)] = &[
        ("same", &["http://gateway.test"], 101),
        ("same, TLS before us", &["https://gateway.test"], 101),
        ("upper case", &["HTTP://GATEWAY.TEST"], 101),
        ("same, port", &["http://gateway.test:80"], 101),
        ("other port", &["http://gateway.test:8080"], 403),
        ("no origin", &[], 101),
        ("listed below", &["https://a.b.example.com"], 101),
        ("listed itself", &["https://example.com"], 403),
        ("no dot", &["https://xexample.com"], 403),
        ("suffix", &["https://app.example.com.evil"], 403),
        ("prefix", &["https://evilgateway.test"], 403),
        ("user", &["https://app.example.com@evil.example"], 403),
        ("backslash", &["https://evil.example\\.example.com"], 403),
        ("listed with port", &["https://app.site.example:8443"], 101),
        ("another port", &["https://app.site.example"], 403),
        ("another scheme", &["http://app.site.example:8443"], 403),
        ("a default port", &["https://app.example.com:443"], 101),
        ("not a default port", &["https://app.example.com:444"], 403),
        ("null, listed", &["null"], 101),
        ("file", &["file://"], 403),
        ("empty", &[""], 403),
        ("two", &["http://gateway.test", "http://gateway.test"], 403),
        ("a list", &["http://gateway.test, http://evil.example"], 403),
        ("spaces", &["http://gateway.test http://evil.example"], 403),
    ];
    let builder = realtime::builder().router(router()).origin_patterns(listed);
    let server = Server::start(builder.build().unwrap()).await;
    for (what, origins, status) in rows {
        let lines: Vec<_> = origins.iter().map(|o| format!("Origin: {o}")).collect();
        let request = with(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let answer = raw_http(server.addr, &request).await.unwrap();
        assert_eq!(answer.status, *status, "{what}");
        assert!(!answer.head.contains("example"), "the list is not shown");
    }
    let v6 = replaced("Host", &["Host: [::1]:80", "Origin: http://[0:0:0::1]"]);
    assert_eq!(raw_http(server.addr, &v6).await.unwrap().status, 101);
    let refused = rows.iter().filter(|row| row.2 == 403).count() as u64;
    assert_eq!(server.stats().refused, refused);
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn only_the_very_token_from_one_source_opens() {
    let token = StaticToken::new(SECRET, Identity::new("anonymous")).unwrap();
    let token = token.from_query("token").from_subprotocol("token.");
    let gateway = realtime::builder().router(router()).authenticator(token);
    let bearer = format!("Bearer {SECRET}");
    let me = Request::new("/ws").header("Authorization", &bearer);
    let server = Server::under(Host::Ours, gateway.build().unwrap(), me.clone()).await;
    let own = |value: &str| Request::new("/ws").header("Authorization", value);
    let upper = SECRET.to_uppercase();
    let rows = [
        ("missing", Request::new("/ws")),
        ("wrong", own("Bearer other")),
        ("a prefix", own(&bearer[..bearer.len() - 1])),
        ("longer", own(&format!("{bearer}x"))),
        ("other case", own(&format!("Bearer {upper}"))),
        ("twice", me.clone().header("Authorization", "Bearer other")),
        ("Basic", own(&format!("Basic {SECRET}"))),
        ("no scheme", own(SECRET)),
        ("empty", own("Bearer ")),
        ("non-ASCII", own(&format!("{bearer}ä"))),
        ("over 8 KB", own(&format!("Bearer {}", "x".repeat(8193)))),
        ("wrong query", Request::new(format!("/ws?token={upper}"))),
        (
            "two that differ",
            Request::new("/ws?token=other").header("Authorization", &bearer),
        ),
        (
            "a subprotocol that differs",
            me.clone().header("Sec-WebSocket-Protocol", "token.other"),
        ),
    ];
    for (what, request) in &rows {
        let answer = request.refused(server.addr).await;
        assert_eq!(answer.status, 401, "{what}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{what}");
        assert!(!answer.head.contains(SECRET));
    }
    assert_eq!(server.stats().refused, rows.len() as u64);
    for scheme in ["bearer", "BEARER", "bEaReR"] {
        let client = own(&format!("{scheme} {SECRET}"));
        assert!(client.connect(server.addr).await.is_ok(), "{scheme}");
    }
    let by_query = Request::new(format!("/ws?token={SECRET}"));
    assert!(by_query.connect(server.addr).await.is_ok());
    server.until_alone().await;
    server.finish().await;
}

#[tokio::test]
async fn no_subprotocol_or_extension_but_our_own_is_ever_echoed() {
    let server = Server::start(realtime::builder().router(router()).build().unwrap()).await;
    let secret = format!("token.{SECRET}");
    let long = vec!["chat"; 1000].join(",");
    let rows: [(&str, &str, Option<&str>); 9] = [
        ("ours", "realtime.json", Some("realtime.json")),
        ("upper case", "REALTIME.JSON", None),
        ("among others", "a, realtime.json ,b", Some("realtime.json")),
        ("unknown", "chat", None),
        ("empty", "", None),
        ("alike", "realtime.json2", None),
        ("a token alone", &secret, None),
        ("a thousand", &long, None),
        ("non-ASCII", "chät, ☃", None),
    ];
    for (what, offered, echoed) in rows {
        let request = Request::new("/ws").header("Sec-WebSocket-Protocol", offered);
        let client = request.connect(server.addr).await.unwrap();
        let header = client.answer.header("sec-websocket-protocol");
        assert_eq!(header, echoed, "{what}");
        assert!(!client.answer.head.contains(SECRET));
    }
    let injected = with(&["Sec-WebSocket-Protocol: a\r\n b: c\r\nrealtime.json"]);
    assert_eq!(statuses(&exchange(server.addr, &injected).await), [400]);

    let offers = vec!["permessage-deflate; client_max_window_bits=99"; 1000].join(", ");
    for offered in [
        &offers[..],
        ";;;=,,\"",
        "x-ä; \"unclosed",
        "permessage-deflate",
    ] {
        let request = Request::new("/ws").header("Sec-WebSocket-Extensions", offered);
        let mut client = request.connect(server.addr).await.unwrap();
        assert_eq!(client.answer.header("sec-websocket-extensions"), None);
        let answer = client.request("echo", true.into()).await.unwrap();
        assert_eq!(answer["data"], true);
    }
    server.until_alone().await;
    server.finish().await;
}
