//! Requests that are no proper handshake, or no request at all.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use realtime_testkit::{
    client::{Client, Request},
    wait::{until, within},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    http::{LINES, exchange, head, replaced, start, statuses, until_closed, with},
    support::{HOSTS, Host, Server, router},
};

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
        ("comma in the host", host("a,b"), 400, &[]),
        ("no address in the host", host("[zz]"), 400, &[]),
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
    let server = Server::start(realtime::builder().router(router()).build().unwrap()).await;
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
        #[cfg(not(feature = "http2"))]
        (
            "HTTP/2",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0".to_vec(),
        ),
        ("HTTP/9", head("GET /ws HTTP/9.9", &LINES)),
    ];
    for host in HOSTS {
        let gateway = realtime::builder().router(router()).build().unwrap();
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
    for host in HOSTS {
        let gateway = realtime::builder().router(router()).build().unwrap();
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
    let server = Server::start(realtime::builder().router(router()).build().unwrap()).await;
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

#[tokio::test]
async fn frames_glued_to_the_handshake_are_handled() {
    for host in HOSTS {
        let gateway = realtime::builder().router(router()).build().unwrap();
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
        within("both answers", read).await;
        assert_eq!(statuses(&answer), [101]);
        drop(stream);
        server.until_alone().await;
        server.finish().await;
    }
}

/// Writes bytes with pauses until the server closes, and says how long it took.
async fn patience(addr: SocketAddr, bytes: &[u8]) -> Duration {
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
    let server = Server::start(realtime::builder().router(router()).build().unwrap()).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let secured = listener.local_addr().unwrap();
    let app = axum::Router::new();
    let tls = realtime::serve(listener, app, realtime::builder().build().unwrap()).secure(
        |tcp| async move {
            std::future::pending::<()>().await;
            Ok(tcp)
        },
    );
    let tls = tokio::spawn(tls.into_future());
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
