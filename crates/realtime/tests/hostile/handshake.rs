//! Requests that are no proper handshake, or come from where they may not.

use std::time::{Duration, Instant};

use realtime::{Identity, auth::StaticToken, gateway};
use realtime_testkit::{
    client::{Request, raw_http},
    wait::until,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    log::SECRET,
    support::{Host, Server, exchange, router, statuses, until_closed},
};

const LINES: [&str; 5] = [
    "Host: gateway.test",
    "Upgrade: websocket",
    "Connection: Upgrade",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
];

fn head(first: &str, lines: &[&str]) -> Vec<u8> {
    [&[first], lines, &["", ""]].concat().join("\r\n").into()
}

fn start() -> String {
    format!("GET /ws?token={SECRET} HTTP/1.1")
}

/// A proper request with more lines.
fn with(lines: &[&str]) -> Vec<u8> {
    head(&start(), &[&LINES, lines].concat())
}

/// A proper request with these lines in place of those of the same name; `""` is none.
fn replaced(name: &str, by: &[&str]) -> Vec<u8> {
    let mut lines = LINES.to_vec();
    lines.retain(|line| !line.starts_with(&format!("{name}:")));
    head(&start(), &[&lines, by].concat())
}

#[tokio::test]
async fn what_is_no_handshake_is_refused_with_what_was_expected() {
    let key = |key: &str| replaced("Sec-WebSocket-Key", &[&format!("Sec-WebSocket-Key: {key}")]);
    let host = |host: &str| replaced("Host", &[&format!("Host: {host}")]);
    let version = |by: &[&str]| replaced("Sec-WebSocket-Version", by);
    type Row = (&'static str, Vec<u8>, u16, &'static [&'static str]);
    let upgrade: &[&str] = &["upgrade: websocket", "connection: upgrade"];
    let thirteen: &[&str] = &["sec-websocket-version: 13"];
    let rows: Vec<Row> = vec![
        (
            "plain GET",
            head(&start(), &["Host: gateway.test"]),
            426,
            upgrade,
        ),
        (
            "POST",
            head("POST /ws HTTP/1.1", &LINES),
            405,
            &["allow: get"],
        ),
        (
            "OPTIONS",
            head("OPTIONS /ws HTTP/1.1", &LINES),
            405,
            &["allow: get"],
        ),
        ("HTTP/1.0", head("GET /ws HTTP/1.0", &LINES), 400, &[]),
        ("no version", version(&[]), 426, thirteen),
        (
            "version 8",
            version(&["Sec-WebSocket-Version: 8"]),
            426,
            thirteen,
        ),
        (
            "version 013",
            version(&["Sec-WebSocket-Version: 013"]),
            426,
            thirteen,
        ),
        ("no key", replaced("Sec-WebSocket-Key", &[]), 400, &[]),
        ("empty key", key(""), 400, &[]),
        ("two keys", with(&[LINES[4]]), 400, &[]),
        ("no base64", key("!!!!!!!!!!!!!!!!!!!!!!=="), 400, &[]),
        ("15 bytes", key("dGhlIHNhbXBsZSBub25j"), 400, &[]),
        ("17 bytes", key("dGhlIHNhbXBsZSBub25jZXM="), 400, &[]),
        ("no host", replaced("Host", &[]), 400, &[]),
        ("two hosts", with(&[LINES[0]]), 400, &[]),
        ("empty host", host(""), 400, &[]),
        ("space in the host", host("a b"), 400, &[]),
        ("slash in the host", host("a/b"), 400, &[]),
        ("backslash in the host", host("a\\b"), 400, &[]),
        ("user in the host", host("a@b"), 400, &[]),
        ("percent in the host", host("a%00b"), 400, &[]),
        ("no port in the host", host("a:b"), 400, &[]),
        ("port over 65535", host("a:65536"), 400, &[]),
        ("non-ASCII host", host("gät"), 400, &[]),
        (
            "a body",
            [with(&["Content-Length: 5"]), b"hello".to_vec()].concat(),
            400,
            &[],
        ),
    ];
    let server = Server::start(gateway().router(router()).build().unwrap()).await;
    for (what, request, status, headers) in &rows {
        let answer = exchange(server.addr, request).await;
        assert_eq!(statuses(&answer), [*status], "{what}");
        let answer = String::from_utf8(answer).unwrap().to_ascii_lowercase();
        for header in *headers {
            assert!(answer.contains(header), "{what}: {header} in {answer}");
        }
    }
    let stats = server.stats();
    assert_eq!((stats.refused, stats.opened), (rows.len() as u64, 1));
    server.finish().await;
}

/// What isn't HTTP never reaches the gateway, and the host closes after its answer, if it gives
/// one.
#[tokio::test]
async fn what_is_no_http_is_answered_with_400_or_closed() {
    let hello = [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        vec![7; 512],
    ]
    .concat();
    let random: Vec<u8> = (0..4096u32)
        .map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8)
        .collect();
    let rows = [
        ("CR in a value", with(&["X: a\rb"])),
        ("NUL in a value", with(&["X: a\0b"])),
        ("NUL in a name", with(&["X\0: a"])),
        ("obs-fold", with(&["X: a", " b"])),
        ("space before the colon", with(&["X : a"])),
        ("no colon", with(&["X"])),
        ("TLS", hello),
        ("random bytes", random),
        (
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        ("HTTP/9", head("GET /ws HTTP/9.9", &LINES)),
    ];
    for host in [Host::Ours, Host::Axum] {
        let gateway = gateway().router(router()).build().unwrap();
        let server = Server::under(host, gateway, Request::new("/ws")).await;
        for (what, bytes) in &rows {
            let answer = until_closed(server.addr, bytes).await;
            assert!(
                matches!(statuses(&answer)[..], [] | [400]),
                "{what}: {:?}",
                String::from_utf8_lossy(&answer)
            );
        }
        if host == Host::Ours {
            let all = async || server.stats().connections_failed == rows.len() as u64;
            until("all are counted", all).await;
        }
        assert_eq!(server.stats().opened, 1);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_body_never_becomes_a_second_request() {
    let hidden = String::from_utf8(head("GET /ws HTTP/1.1", &LINES)).unwrap();
    let length = format!("Content-Length: {}", hidden.len() + 5);
    let rows = [
        ("chunked", with(&["Transfer-Encoding: chunked"])),
        (
            "chunked with a length",
            with(&["Transfer-Encoding: chunked", &length]),
        ),
        ("identity", with(&["Transfer-Encoding: identity"])),
        ("made up", with(&["Transfer-Encoding: xchunked"])),
        (
            "twice",
            with(&["Transfer-Encoding: chunked", "Transfer-Encoding: chunked"]),
        ),
        ("a length", with(&[&length])),
        (
            "two lengths",
            with(&["Content-Length: 0", "Content-Length: 5"]),
        ),
    ];
    for host in [Host::Ours, Host::Axum] {
        let gateway = gateway().router(router()).build().unwrap();
        let server = Server::under(host, gateway, Request::new("/ws")).await;
        for (what, request) in &rows {
            let bytes = [&request[..], b"0\r\n\r\n", hidden.as_bytes()].concat();
            let answer = until_closed(server.addr, &bytes).await;
            assert_eq!(statuses(&answer), [400], "{what}");
        }
        assert_eq!(server.stats().opened, 1);
        server.finish().await;
    }
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let uri = head(
        &format!("GET /ws?{} HTTP/1.1", "x".repeat(70_000)),
        &LINES[..],
    );
    let large = with(&[&format!("X: {}", "x".repeat(1 << 20))]);
    let many: Vec<String> = (0..2000).map(|n| format!("X-{n}: 1")).collect();
    let many = with(&many.iter().map(String::as_str).collect::<Vec<_>>());
    let endless = [start().into_bytes(), b"\r\n".to_vec(), vec![b'x'; 1 << 20]].concat();
    let server = Server::start(gateway().router(router()).build().unwrap()).await;
    for (what, bytes) in [
        ("URI", &uri),
        ("header", &large),
        ("headers", &many),
        ("endless", &endless),
    ] {
        let answer = until_closed(server.addr, bytes).await;
        // An answer may be lost to the reset that follows what was not read.
        let refused = matches!(statuses(&answer)[..], [] | [400 | 414 | 431]);
        assert!(refused, "{what}: {:?}", statuses(&answer));
    }
    until("all are counted", async || {
        server.stats().connections_failed == 4
    })
    .await;
    assert_eq!(server.stats().opened, 1);
    server.finish().await;
}

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
    let builder = gateway().router(router()).origin_patterns(listed);
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
    let gateway = gateway().router(router()).authenticator(token);
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
        ("twice", me.clone().header("Authorization", &bearer)),
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
    let server = Server::start(gateway().router(router()).build().unwrap()).await;
    let secret = format!("token.{SECRET}");
    let long = vec!["chat"; 1000].join(",");
    let rows: [(&str, &str, Option<&str>); 9] = [
        ("ours", "realtime.json", Some("realtime.json")),
        ("upper case", "REALTIME.JSON", Some("realtime.json")),
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

#[tokio::test]
async fn frames_glued_to_the_handshake_are_handled() {
    use realtime_testkit::client::Client;

    for host in [Host::Ours, Host::Axum] {
        let gateway = gateway().router(router()).build().unwrap();
        let server = Server::under(host, gateway, Request::new("/ws")).await;
        let frame = |n: u8| {
            let text = format!(r#"{{"id":"{n}","route":"echo","data":{n}}}"#);
            Client::<TcpStream>::text_frame(&text)
        };
        let bytes = [&with(&[])[..], &frame(1), &frame(2)].concat();
        let mut stream = TcpStream::connect(server.addr).await.unwrap();
        stream.write_all(&bytes).await.unwrap();
        let mut answer = Vec::new();
        let both = |answer: &[u8]| String::from_utf8_lossy(answer).contains(r#""data":2"#);
        let read = async {
            while !both(&answer) {
                assert_ne!(stream.read_buf(&mut answer).await.unwrap(), 0);
            }
        };
        realtime_testkit::wait::within("both answers", read).await;
        assert_eq!(statuses(&answer), [101]);
        drop(stream);
        server.until_alone().await;
        server.finish().await;
    }
}

/// Writes bytes with pauses until the server closes, and says how long it took.
async fn patience(addr: std::net::SocketAddr, bytes: &[u8]) -> Duration {
    let begun = Instant::now();
    let mut stream = TcpStream::connect(addr).await.unwrap();
    let (mut read, mut write) = stream.split();
    let dripping = async {
        for byte in bytes {
            if write.write_all(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        std::future::pending::<()>().await;
    };
    let mut answer = Vec::new();
    let closed = async { while let Ok(1..) = read.read_buf(&mut answer).await {} };
    let deadline = tokio::time::sleep(Duration::from_secs(15));
    tokio::select! {
        () = closed => {}
        () = dripping => {}
        () = deadline => panic!("the server doesn't close"),
    }
    assert!(matches!(statuses(&answer)[..], [] | [408]));
    begun.elapsed()
}

/// `axum::serve` has no such limit, and a gateway can't give it one.
#[tokio::test]
async fn a_handshake_that_does_not_come_is_waited_for_10_seconds() {
    let server = Server::start(gateway().router(router()).build().unwrap()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secured = listener.local_addr().unwrap();
    let app = axum::Router::new();
    let tls = realtime::serve(listener, app, gateway().build().unwrap()).secure(|tcp| async move {
        std::future::pending::<()>().await;
        Ok(tcp)
    });
    let tls = tokio::spawn(tls.until(std::future::pending::<()>()));
    let head = with(&[]);
    let waited = tokio::join!(
        patience(server.addr, b""),
        patience(server.addr, &head),
        patience(secured, b"\x16\x03\x01"),
    );
    for waited in [waited.0, waited.1, waited.2] {
        assert!(waited > Duration::from_secs(9), "closed after {waited:?}");
    }
    until("both are counted", async || {
        server.stats().connections_failed == 2
    })
    .await;
    tls.abort();
    server.finish().await;
}
