//! Refusals behind a 101: the code that a page sees.

use realtime::{Identity, Upgrade};
use realtime_testkit::{
    client::{Client, ClientError, Request},
    wait::until,
};
use realtime_websocket::Event;

use super::{
    MS, SECOND, Server, builder, code, crowd, end, nobody, show, start, until_nothing_is_left, who,
    with,
};

/// How many are closed at the same time.
const FAREWELLS: usize = 1_000;

async fn refused(server: &Server, path: &str) -> (u16, String) {
    let mut client = Request::new(path).connect(server.addr).await.unwrap();
    let closed = client.closed().await.expect("a close frame");
    client.close(closed.0, "").await.unwrap();
    client.eof().await;
    closed
}

#[tokio::test]
async fn each_has_its_code() {
    let builder = builder().accept_then_close(true).token_in_message(None);
    let server = start(builder.auth_timeout(Some(100 * MS))).await;
    let mut ann = with(&server, "ann").await;
    let ann_s = realtime::revocation::Revocation::token("ann");
    server.gateway.revoke(ann_s).await.unwrap();
    assert_eq!(code(&mut ann).await, 3500);
    let rows = [
        ("/ws", 3500),
        ("/ws?token=wrong", 3500),
        ("/ws?token=a&token=b", 3500),
        ("/ws?token=ann", 3500),
        ("/ws?token=expired", 3005),
        ("/ws?token=away", 1013),
        ("/ws?token=hangs", 1013),
        ("/ws?token=panics", 1011),
    ];
    for (path, expected) in rows {
        assert_eq!(refused(&server, path).await.0, expected, "{path}");
    }
    let stats = server.gateway.stats();
    assert_eq!(stats.refused, rows.len() as u64);
    assert_eq!((stats.refused_by_close, stats.opened), (stats.refused, 1));
    until_nothing_is_left(&server.gateway).await;
    end(server, ann).await;
}

#[tokio::test]
async fn what_is_no_handshake_and_another_origins_page_get_their_status() {
    let server = start(builder().accept_then_close(true).max_connections(Some(1))).await;
    let ann = with(&server, "ann").await;
    let other = Request::new("/ws?token=wrong").header("Origin", "https://evil.example");
    assert_eq!(other.refused(server.addr).await.status, 403);
    let old = Request::new("/ws").without("Sec-WebSocket-Version");
    assert_eq!(old.refused(server.addr).await.status, 426);
    let keyless = Request::new("/ws").without("Sec-WebSocket-Key");
    assert_eq!(keyless.refused(server.addr).await.status, 400);
    // It is full, and shuts down: still none of that page's business.
    assert_eq!(refused(&server, "/ws?token=bob").await.0, 1013);
    assert_eq!(other.refused(server.addr).await.status, 403);
    server.gateway.begin_shutdown();
    // Whoever it is, it is told before its origin is looked at.
    assert_eq!(other.refused(server.addr).await.status, 503);
    end(server, ann).await;
}

#[tokio::test]
async fn without_it_a_refusal_is_a_status() {
    let server = start(builder().token_in_message(None)).await;
    assert_eq!(Request::new("/ws").refused(server.addr).await.status, 401);
    assert_eq!(server.gateway.stats().refused_by_close, 0);
    end(server, ()).await;
}

#[tokio::test]
async fn a_host_that_accepts_is_refused_in_the_same_way() {
    let gateway = builder()
        .accept_then_close(true)
        .max_connections(Some(1))
        .build()
        .unwrap();
    let accepting = gateway.clone();
    let accept = async move |upgrade: Upgrade| accepting.accept(upgrade, Identity::new("host's"));
    let app = axum::Router::new().route("/ws", axum::routing::any(accept));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let host = tokio::spawn(axum::serve(listener, app).into_future());
    let mut first = Client::connect(addr).await.unwrap();
    assert_eq!(who(&mut first).await, "host's");
    let mut second = Client::connect(addr).await.unwrap();
    let (code, reason) = second.closed().await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&reason).unwrap();
    assert_eq!(
        (code, &said["reason"]),
        (1013, &"too many connections".into())
    );
    assert!((4.0..=5.0).contains(&said["retry_after"].as_f64().unwrap()));
    gateway.shutdown().await;
    host.abort();
}

/// A client that sends as soon as it sees the 101 still sees the close frame, and no more is made of
/// what it sends.
#[tokio::test]
async fn what_the_refused_send_is_thrown_away() {
    let server = start(builder().accept_then_close(true)).await;
    let mut eager = Request::new("/ws?token=wrong")
        .connect(server.addr)
        .await
        .unwrap();
    for _ in 0..20 {
        if eager.send_text(&"x".repeat(60_000)).await.is_err() {
            break;
        }
    }
    assert!(matches!(eager.recv().await.unwrap(), Event::Close(Some(close)) if close.code == 3500));
    // It never answers, and is cut off.
    eager.eof().await;
    assert_eq!(server.gateway.stats().received, 0);
    end(server, eager).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_them_is_bounded_and_leaves_nothing() {
    let builder = builder().accept_then_close(true).token_in_message(None);
    let server = start(builder.trusted_proxies(["127.0.0.1"])).await;
    let mut ann = with(&server, "ann").await;
    let addr = server.addr;
    // None of them answers: each holds its place for a second.
    let mut storm = crowd(addr, 1_500, 401);
    let mut told = Vec::new();
    while let Some(one) = storm.join_next().await {
        told.extend(one.unwrap());
    }
    assert_eq!(who(&mut ann).await, "ann");
    assert!(told.len() >= FAREWELLS, "{}", told.len());
    assert_eq!(server.gateway.stats().refused_by_close, told.len() as u64);
    for client in &mut told {
        assert_eq!(code(client).await, 3500);
    }
    drop(told);
    // Their places are free again.
    until("the places are free", async || {
        Client::connect(addr).await.is_ok()
    })
    .await;
    drop(ann);
    until_nothing_is_left(&server.gateway).await;
    end(server, ()).await;
}

/// Who is refused for having too many connections gets no more of them by it.
#[tokio::test]
async fn of_one_address_a_few_are_told_and_the_others_as_ever() {
    let mut limits = realtime::config::Limits::default();
    limits.max_connections_per_address = Some(1);
    let builder = builder().accept_then_close(true).limits(limits);
    let server = start(builder.trusted_proxies(["127.0.0.1"])).await;
    let from = |address: &str| Request::new("/ws?token=ann").header("X-Forwarded-For", address);
    let [one, other] = [from("10.0.0.1"), from("10.0.0.2")];
    let _ann = one.connect(server.addr).await.unwrap();
    let _bob = other.connect(server.addr).await.unwrap();
    let mut told = Vec::new();
    let begun = tokio::time::Instant::now();
    for _ in 0..16 {
        told.push(one.connect(server.addr).await.unwrap());
    }
    let beyond = one.connect(server.addr).await;
    if begun.elapsed() < SECOND {
        // None of them has gone yet.
        let Err(ClientError::Refused(answer)) = beyond else {
            panic!("expected a status");
        };
        assert_eq!(answer.status, 429);
    }
    let mut elsewhere = other.connect(server.addr).await.unwrap();
    assert_eq!(code(&mut elsewhere).await, 1013);
    for client in &mut told {
        assert_eq!(code(client).await, 1013);
    }
    // They take no leave, and are cut off.
    until("there is a place again", async || {
        one.connect(server.addr).await.is_ok()
    })
    .await;
    end(server, told).await;
}

#[tokio::test]
async fn a_node_that_shuts_down_says_so_and_is_not_held_up() {
    // A session that keeps the gateway draining for a while.
    let busy = realtime::Router::new().route("busy", async || {
        tokio::time::sleep(2 * SECOND).await;
    });
    let builder = builder().accept_then_close(true).router(busy);
    let gateway = builder.trusted_proxies(["127.0.0.1"]).build().unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut ann = with(&server, "ann").await;
    ann.send("busy", serde_json::Value::Null).await.unwrap();
    until("it is busy", async || gateway.stats().received == 1).await;
    gateway.begin_shutdown();
    let mut late = nobody(&server).await;
    assert_eq!(code(&mut late).await, 1001);
    // Those who come at the end and never answer.
    let mut mute = Vec::new();
    for n in 0..50 {
        let from = Request::new("/ws").header("X-Forwarded-For", &format!("10.0.0.{n}"));
        mute.push(from.connect(server.addr).await.unwrap());
    }
    let report = gateway.shutdown().await;
    assert_eq!(
        (report.sessions, report.aborted, report.tasks_left),
        (1, 0, 0)
    );
    for client in &mut mute {
        assert_eq!(code(client).await, 1001);
    }
    server.stop().await;
}

/// Until its balancers have noticed, whoever comes back at once may be sent here again.
#[tokio::test]
async fn who_comes_while_it_drains_comes_back_after_the_notice_however_it_is_told() {
    let notice = 60 * SECOND;
    let waits = async |by_close: bool| {
        let builder = builder().accept_then_close(by_close);
        let server = start(builder.drain_notice(Some(notice))).await;
        server.gateway.begin_drain(SECOND);
        let wait = if by_close {
            let (code, reason) = nobody(&server).await.closed().await.unwrap();
            assert_eq!(code, 1001);
            let said: serde_json::Value = serde_json::from_str(&reason).unwrap();
            said["retry_after"].as_f64().unwrap()
        } else {
            let answer = Request::new("/ws").refused(server.addr).await;
            assert_eq!(answer.status, 503);
            answer.header("Retry-After").unwrap().parse().unwrap()
        };
        // Or its end would wait for the notice.
        server.gateway.shutdown().await;
        server.stop().await;
        wait
    };
    for by_close in [true, false] {
        let wait: f64 = waits(by_close).await;
        assert!((59.0..=61.0).contains(&wait), "{wait}");
    }
}

/// Once they have noticed, another node takes who comes back in a moment.
#[tokio::test]
async fn who_comes_after_the_notice_does_not_wait_for_it() {
    let notice = 3 * SECOND;
    let builder = builder().accept_then_close(true);
    let server = start(builder.drain_notice(Some(notice))).await;
    let _sessions = (with(&server, "ann").await, with(&server, "ann").await);
    // The second one's turn is far away.
    server.gateway.begin_drain(120 * SECOND);
    until("the first is closed", async || {
        server.gateway.stats().open == 1
    })
    .await;
    let (code, reason) = nobody(&server).await.closed().await.unwrap();
    let said: serde_json::Value = serde_json::from_str(&reason).unwrap();
    let wait = said["retry_after"].as_f64().unwrap();
    assert_eq!(code, 1001);
    assert!((0.0..=1.0).contains(&wait), "{wait}");
    server.gateway.shutdown().await;
    server.stop().await;
}

/// Both together: nothing shown is a matter of the first message, and a wrong one of a close frame.
#[tokio::test]
async fn it_goes_together_with_the_first_message() {
    let server = start(builder().accept_then_close(true)).await;
    assert_eq!(refused(&server, "/ws?token=wrong").await.0, 3500);
    let mut ann = nobody(&server).await;
    show(&mut ann, "ann").await;
    assert_eq!(who(&mut ann).await, "ann");
    end(server, ann).await;
}
