//! From the request to 101 or a refusal, in the documented order.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{
    Gateway, Identity, IdentityKey, Json, Router, Session,
    auth::{AuthError, Authenticator, StaticToken},
    error::DeliverErrorKind,
};
use realtime_testkit::{
    client::{Request, raw_http},
    wait::until,
};
use serde_json::json;
use support::Server;

async fn default_server() -> Server {
    Server::start(support::builder().build().unwrap()).await
}

#[tokio::test]
async fn bad_handshakes_are_refused_with_what_was_expected() {
    let server = default_server().await;
    let key = "dGhlIHNhbXBsZSBub25jZQ==";
    let good = format!(
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n"
    );
    let status = async |head: &str, headers: &str| {
        let request = format!("{head}\r\n{headers}\r\n");
        raw_http(server.addr, request.as_bytes()).await.unwrap()
    };
    let host = format!("Host: gateway.test\r\n{good}");
    assert_eq!(status("GET /ws HTTP/1.1", &host).await.status, 101);
    let answer = status("GET /ws HTTP/1.1", "Host: gateway.test\r\n").await;
    assert_eq!(
        (answer.status, answer.header("upgrade")),
        (426, Some("websocket"))
    );
    let answer = status("POST /ws HTTP/1.1", &host).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("GET")));
    assert_eq!(status("GET /ws HTTP/1.0", &host).await.status, 400);
    let old = host.replace("Version: 13", "Version: 8");
    let answer = status("GET /ws HTTP/1.1", &old).await;
    assert_eq!(
        (answer.status, answer.header("sec-websocket-version")),
        (426, Some("13"))
    );
    assert_eq!(
        status("GET /ws HTTP/1.1", &host.replace(key, "short"))
            .await
            .status,
        400
    );
    assert_eq!(
        status("GET /ws HTTP/1.1", &good).await.status,
        400,
        "no Host"
    );
    assert_eq!(server.gateway.stats().refused, 6);
    server.stop().await;
}

#[tokio::test]
async fn only_pages_of_the_same_or_a_listed_origin_connect() {
    let listed = support::builder()
        .origin_patterns(["*.example.com"])
        .build()
        .unwrap();
    let server = Server::start(listed).await;
    let from = |origin| Request::new("/ws").header("Origin", origin);
    assert!(
        from("http://gateway.test")
            .connect(server.addr)
            .await
            .is_ok()
    );
    assert!(
        from("https://app.example.com")
            .connect(server.addr)
            .await
            .is_ok()
    );
    let answer = from("https://evil.example").refused(server.addr).await;
    assert_eq!(answer.status, 403);
    assert!(
        !answer.head.contains("example.com"),
        "the list is not shown"
    );

    let open = Server::start(support::builder().insecure_origins().build().unwrap()).await;
    assert!(
        from("https://evil.example")
            .connect(open.addr)
            .await
            .is_ok()
    );
}

/// Counts how often it is asked, and does what the name of the user says.
struct Moody(Arc<AtomicUsize>);

impl Authenticator for Moody {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        self.0.fetch_add(1, SeqCst);
        match request.uri.query() {
            Some("hang") => std::future::pending().await,
            Some("panic") => panic!("no"),
            Some("down") => Err(AuthError::unavailable("the directory is down")),
            Some(name) => Ok(Identity::new(name)),
            None => Err(AuthError::unauthorized("expected a name")),
        }
    }
}

#[tokio::test]
async fn an_authenticator_is_asked_last_and_never_hangs_the_gateway() {
    let asked = Arc::new(AtomicUsize::new(0));
    let gateway = support::builder()
        .authenticator(Moody(Arc::clone(&asked)))
        .auth_timeout(Some(Duration::from_millis(100)))
        .max_connections(Some(1))
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let ask = async |query: &str| {
        Request::new(format!("/ws{query}"))
            .refused(server.addr)
            .await
    };
    assert_eq!(ask("").await.status, 401);
    assert_eq!(ask("").await.header("www-authenticate"), Some("Bearer"));
    assert_eq!(ask("?hang").await.status, 503);
    assert_eq!(ask("?down").await.status, 503);
    assert_eq!(ask("?panic").await.status, 500);
    let client = Request::new("/ws?ada").connect(server.addr).await.unwrap();

    let before = asked.load(SeqCst);
    let evil = Request::new("/ws?ada").header("Origin", "https://evil.example");
    assert_eq!(evil.refused(server.addr).await.status, 403);
    let answer = ask("?bob").await;
    assert_eq!(
        (answer.status, answer.header("retry-after").is_some()),
        (503, true)
    );
    assert_eq!(
        asked.load(SeqCst),
        before,
        "a refused request never reaches a later stage"
    );

    drop(client);
    server.until_open(0).await;
    let again = async || Request::new("/ws?bob").connect(server.addr).await.is_ok();
    until("the place is free again", again).await;
}

#[tokio::test]
async fn a_static_token_is_taken_from_where_it_is_switched_on() {
    let token = StaticToken::new("s3cret", Identity::new("worker").with_tenant("acme")).unwrap();
    let token = token.from_query("token").from_subprotocol("token.");
    let server = Server::start(support::builder().authenticator(token).build().unwrap()).await;
    let plain = Request::new("/ws");
    assert_eq!(plain.refused(server.addr).await.status, 401);
    let wrong = plain.clone().header("Authorization", "Bearer S3cret");
    assert_eq!(wrong.refused(server.addr).await.status, 401);
    let right = plain.clone().header("Authorization", "bearer s3cret");
    assert!(right.connect(server.addr).await.is_ok());
    assert!(
        Request::new("/ws?token=s3cret")
            .connect(server.addr)
            .await
            .is_ok()
    );
    assert_eq!(
        Request::new("/ws?other=s3cret")
            .refused(server.addr)
            .await
            .status,
        401
    );
    let alone = plain
        .clone()
        .header("Sec-WebSocket-Protocol", "token.s3cret");
    let client = alone.connect(server.addr).await.unwrap();
    assert_eq!(client.answer.header("sec-websocket-protocol"), None);
    assert!(!client.answer.head.contains("s3cret"));
    let offered = plain.header("Sec-WebSocket-Protocol", "token.s3cret, realtime.json");
    let client = offered.connect(server.addr).await.unwrap();
    assert_eq!(
        client.answer.header("sec-websocket-protocol"),
        Some("realtime.json")
    );
    assert!(!client.answer.head.contains("s3cret"));
}

#[tokio::test]
async fn everybody_is_one_anonymous_identity_by_default() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let sees = Arc::clone(&seen);
    let gateway = support::builder()
        .on_connect(move |session: Session| {
            sees.lock()
                .unwrap()
                .push((session.identity(), session.remote_addr()));
            async {}
        })
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let clients = [server.connect().await, server.connect().await];
    server.until_open(2).await;
    until("both hooks have run", async || {
        seen.lock().unwrap().len() == 2
    })
    .await;
    for (identity, addr) in &*seen.lock().unwrap() {
        assert_eq!((identity.id(), identity.tenant()), ("anonymous", ""));
        assert!(clients.iter().any(|c| c.stream.local_addr().ok() == *addr));
    }
}

/// Whoever the query says.
struct ByQuery;

impl Authenticator for ByQuery {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        Ok(Identity::new(request.uri.query().unwrap_or_default()).with_tenant("t"))
    }
}

#[tokio::test]
async fn an_identity_has_a_longest_length() {
    let gateway = support::builder().authenticator(ByQuery).build().unwrap();
    let server = Server::start(gateway.clone()).await;
    let longest = "x".repeat(IdentityKey::MAX_BYTES - 1);
    let request = Request::new(format!("/ws?{longest}"));
    let client = request.connect(server.addr).await.unwrap();
    server.until_open(1).await;
    let request = Request::new(format!("/ws?{longest}x"));
    assert_eq!(request.refused(server.addr).await.status, 401);
    let reach = async |id: &str| {
        let key = IdentityKey::new(id).with_tenant("t");
        gateway.send_to_identity(&key, "hello", ()).await
    };
    assert_eq!(reach(&longest).await.unwrap().local, 1);
    let kind = reach(&format!("{longest}x")).await.unwrap_err().kind();
    assert_eq!(kind, DeliverErrorKind::NotOnline);
    drop(client);
    server.stop().await;
}

#[tokio::test]
async fn a_forwarded_address_is_believed_from_a_trusted_proxy_only() {
    for (trusted, believed) in [("127.0.0.0/8", true), ("10.0.0.0/8", false)] {
        let router = Router::new().route("who", async |session: Session| {
            Json(session.remote_addr().map(|addr| addr.ip().to_string()))
        });
        let builder = support::builder().router(router).trusted_proxies([trusted]);
        let server = Server::start(builder.build().unwrap()).await;
        let forwarded = Request::new("/ws").header("X-Forwarded-For", "6.6.6.6, 192.0.2.1");
        let mut client = forwarded.connect(server.addr).await.unwrap();
        let address = client.request("who", json!(null)).await.unwrap();
        let expected = if believed { "192.0.2.1" } else { "127.0.0.1" };
        assert_eq!(address["data"], expected);
        server.stop().await;
    }
}

#[tokio::test]
async fn a_gateway_that_makes_no_sense_is_not_built() {
    let cookie = || {
        StaticToken::new("t", Identity::new("x"))
            .unwrap()
            .from_cookie("auth")
    };
    let error = support::builder()
        .authenticator(cookie())
        .insecure_origins()
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("insecure_origins"), "{error}");
    assert!(support::builder().authenticator(cookie()).build().is_ok());
    let error = support::builder().read_limit(0).build().unwrap_err();
    assert!(error.to_string().contains("read_limit"), "{error}");
    let error = support::builder()
        .trusted_proxies(["proxy.local"])
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("trusted_proxies"), "{error}");
}

#[tokio::test]
async fn while_draining_new_upgrades_are_refused() {
    let gateway: Gateway = support::builder().build().unwrap();
    let server = Server::under_axum(gateway.clone()).await;
    gateway.shutdown().await;
    let answer = Request::new("/ws").refused(server.addr).await;
    assert_eq!(
        (answer.status, answer.header("retry-after").is_some()),
        (503, true)
    );
}

#[tokio::test]
async fn parts_of_a_request_that_nobody_asked_about_do_not_refuse_it() {
    let token = StaticToken::new("s3cret", Identity::new("worker")).unwrap();
    let token = token
        .from_query("token")
        .from_cookie("auth")
        .from_subprotocol("token.");
    let server = Server::start(support::builder().authenticator(token).build().unwrap()).await;
    let status = async |query: &str, headers: &str| {
        let request = format!(
            "GET /ws{query} HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
        );
        raw_http(server.addr, request.as_bytes())
            .await
            .unwrap()
            .status
    };
    for (query, headers) in [
        ("?token=s3cret", "Authorization: Basic dTpw\r\n"),
        ("", "Authorization: Basic dTpw\r\nCookie: auth=s3cret\r\n"),
        (
            "",
            "Authorization: Basic dTpw\r\nAuthorization: Bearer s3cret\r\n",
        ),
        (
            "",
            "Authorization: Digest a=\"b\"\r\nSec-WebSocket-Protocol: realtime.json, token.s3cret\r\n",
        ),
        ("", "Authorization: Bearer s3cret\r\nCookie: name=Jörg\r\n"),
        ("", "Cookie: name=Jörg; auth=s3cret; =; ;x\r\n"),
        ("", "Cookie: auth=stale; auth=s3cret\r\n"),
        (
            "",
            "Cookie: auth=a; auth=b; auth=c\r\nCookie: auth=s3cret\r\n",
        ),
        ("?token=s3cret", "Cookie: auth=stale; auth=s3cret\r\n"),
        ("?x=%zz&y=%ff&token=s3cret", ""),
    ] {
        assert_eq!(status(query, headers).await, 101, "{query} {headers}");
    }
    for (query, headers) in [
        ("", "Authorization: Basic dTpw\r\n"),
        ("?token=s3cret", "Authorization: Bearer other\r\n"),
        ("?token=s3cret", "Cookie: auth=other\r\n"),
        (
            "",
            "Authorization: Bearer s3cret\r\nAuthorization: Bearer other\r\n",
        ),
        (
            "",
            "Cookie: auth=a; auth=b; auth=c; auth=d; auth=s3cret\r\n",
        ),
        ("", "Cookie: auth=s3cretä\r\n"),
    ] {
        assert_eq!(status(query, headers).await, 401, "{query} {headers}");
    }
    server.stop().await;
}

#[tokio::test]
async fn an_authenticator_that_can_never_accept_anybody_is_refused_when_it_is_built() {
    for token in ["", " s3cret", "s3 cret", "s3cret\n", "s3cr\u{e9}t"] {
        assert!(
            StaticToken::new(token, Identity::new("x")).is_err(),
            "{token:?}"
        );
    }
    let token = StaticToken::new("a;b", Identity::new("x")).unwrap();
    assert!(
        support::builder()
            .authenticator(token.clone())
            .build()
            .is_ok()
    );
    let error = support::builder()
        .authenticator(token.from_cookie("auth"))
        .build()
        .unwrap_err();
    assert!(error.to_string().contains("cookie"), "{error}");
    // Who offers both as they should would show two tokens that differ.
    for (prefix, accepted) in [
        ("realtime.", false),
        ("realtime.json", false),
        ("r", false),
        ("realtime.json.", true),
        ("token.", true),
    ] {
        let token = StaticToken::new("s3cret", Identity::new("x")).unwrap();
        let built = support::builder()
            .authenticator(token.from_subprotocol(prefix))
            .build();
        assert_eq!(built.is_ok(), accepted, "{prefix}");
    }
}

#[tokio::test]
async fn hosts_origins_and_addresses_are_compared_in_one_form() {
    let router = Router::new().route("who", async |session: Session| {
        Json(session.remote_addr().map(|addr| addr.ip().to_string()))
    });
    let gateway = support::builder()
        .router(router)
        .origin_patterns(["https://app.example.com/", "[::ffff:192.0.2.7]:8080"])
        .trusted_proxies(["::ffff:127.0.0.0/104"])
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let status = async |host: &str, origin: &str| {
        let request = format!(
            "GET /ws HTTP/1.1\r\nHost: {host}\r\nOrigin: {origin}\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        );
        let answer = raw_http(server.addr, request.as_bytes()).await;
        answer.unwrap().status
    };
    for (host, origin) in [
        ("gateway.test:80", "https://gateway.test"),
        ("gateway.test:443", "http://gateway.test"),
        ("[::ffff:127.0.0.1]:8080", "http://127.0.0.1:8080"),
        ("inner:9000", "https://app.example.com"),
        ("inner:9000", "http://192.0.2.7:8080"),
    ] {
        assert_eq!(status(host, origin).await, 101, "{origin} at {host}");
    }
    for (host, origin) in [
        ("gateway.test:80", "https://gateway.test:8443"),
        ("gateway.test:8080", "https://gateway.test"),
        ("inner:9000", "https://app.example.com:8443"),
    ] {
        assert_eq!(status(host, origin).await, 403, "{origin} at {host}");
    }
    let forwarded = Request::new("/ws").header("X-Forwarded-For", "::ffff:192.0.2.1");
    let mut client = forwarded.connect(server.addr).await.unwrap();
    let address = client.request("who", json!(null)).await.unwrap();
    assert_eq!(address["data"], "192.0.2.1");
    server.stop().await;
}

#[tokio::test]
async fn settings_that_can_never_work_are_refused_by_name() {
    let build = || support::builder();
    let refused = [
        ("trusted_proxies", build().trusted_proxies(["10.0.0.1/8"])),
        ("trusted_proxies", build().trusted_proxies(["0.0.0.0"])),
        ("trusted_proxies", build().trusted_proxies(["224.0.0.0/4"])),
        ("trusted_proxies", build().trusted_proxies(["::/80"])),
        (
            "queue_bytes must be at most queue_budget",
            build().queue_bytes(2 << 20).queue_budget((2 << 20) - 1),
        ),
        (
            "max_rooms_per_session must be at most max_rooms",
            build().max_rooms_per_session(100).max_rooms(99),
        ),
        ("origin_patterns", build().origin_patterns(["wss://h"])),
        ("origin_patterns", build().origin_patterns(["127.1"])),
        (
            "origin_patterns",
            build().origin_patterns(["h"]).insecure_origins(),
        ),
        ("queue_budget", build().queue_budget(1)),
        ("assembly_budget", build().assembly_budget(1)),
        (
            "read_limit must be at most assembly_budget",
            build().read_limit(2 << 20).assembly_budget((2 << 20) - 1),
        ),
        ("read_limit", build().read_limit(usize::MAX)),
    ];
    for (name, builder) in refused {
        let error = builder.build().unwrap_err();
        assert!(error.to_string().contains(name), "{name}: {error}");
    }
    // What nobody has set is no reason for it.
    for builder in [
        build().queue_budget((1 << 20) - 1),
        build().max_rooms(100),
        build().assembly_budget((1 << 20) - 1),
        build().read_limit(isize::MAX as usize),
    ] {
        builder.build().unwrap();
    }
    let twice = StaticToken::new("t", Identity::new("x")).unwrap();
    let twice = twice.from_query("a").from_query("b");
    let error = build().authenticator(twice).build().unwrap_err();
    assert!(error.to_string().contains("query parameter"), "{error}");
}
