//! What the log says, and how often, at which level.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    collections::HashSet,
    io,
    sync::{Arc, Mutex, OnceLock},
    time::Duration,
};

use futures::StreamExt;
use realtime::{
    BoxError, ClientError, CloseCode, DisconnectInfo, Gateway, IdentityKey, Json, Router, Session,
    error::{DeliverError, DeliverErrorKind, SendError},
    history::{
        Append, Appended, History, HistoryError, HistoryEvent, HistoryEvents, MemoryHistory, Page,
        Position, Retention, Since,
    },
    middleware::{LoggerLayer, RecoveryLayer},
    room::{RoomName, RoomRule},
};
use realtime_testkit::{
    client::{Request, raw_http},
    wait::{until, within},
};
use realtime_websocket::{Kind, frame};
use serde_json::json;
use support::Server;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tracing::subscriber::DefaultGuard;

/// What this test's thread logs, from a level on. The runtime of each test is its own thread's.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn at(level: tracing::Level) -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_ansi(false)
            .with_max_level(level)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    fn lines(&self) -> Vec<String> {
        let log = self.0.lock().unwrap();
        let log = String::from_utf8_lossy(&log);
        log.lines().map(ToOwned::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn a_refused_origin_is_said_once_with_its_host_and_the_setting() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::start(support::builder().build().unwrap()).await;
    let page = Request::new("/ws").header("Origin", "https://app.example.com");
    for _ in 0..50 {
        assert_eq!(page.refused(server.addr).await.status, 403);
    }
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in [
        "WARN",
        "realtime::admission",
        "https://app.example.com",
        "gateway.test",
        "origin_patterns",
    ] {
        assert!(lines[0].contains(word), "{word} in {}", lines[0]);
    }
    let stats = server.gateway.stats();
    assert_eq!((stats.refused, stats.refused_origins), (50, 50));
    // Another host has a line of its own.
    let other = Request::new("/ws").without("Host");
    let other = other.header("Host", "behind.the.proxy:8080");
    let other = other.header("Origin", "https://app.example.com");
    assert_eq!(other.refused(server.addr).await.status, 403);
    let lines = log.lines();
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert!(lines[1].contains("behind.the.proxy:8080"), "{}", lines[1]);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_origin_is_escaped_and_cut() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::start(support::builder().build().unwrap()).await;
    let origin = format!("https://\u{202e}\u{1b}{}", "x".repeat(4_000)).replace('\u{1b}', "\t");
    let page = Request::new("/ws").header("Origin", &origin);
    assert_eq!(page.refused(server.addr).await.status, 403);
    let lines = log.lines();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(!lines[0].chars().any(|c| c.is_control() || c == '\u{202e}'));
    assert!(lines[0].len() < 700, "{}", lines[0]);
    server.stop().await;
}

fn warnings(log: &Log) -> Vec<String> {
    let mut lines = log.lines();
    lines.retain(|line| line.contains("WARN") || line.contains("ERROR"));
    lines
}

#[tokio::test]
async fn a_client_that_only_makes_mistakes_is_closed_and_warns_nobody() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let router = || Router::new().route("number", async |Json(_): Json<u8>| ());
    let builder = support::builder()
        .layer(LoggerLayer::new())
        .router(router());
    let server = Server::start(builder.build().unwrap()).await;
    for mistake in [
        r#"{"id":"1","route":"nowhere"}"#,
        r#"{"route":"nowhere"}"#,
        r#"{"id":"1","route":"number","data":"x"}"#,
    ] {
        let mut client = server.connect().await;
        let frame = frame::client_frame(true, Kind::Text, mistake.as_bytes(), [1; 4]);
        client.send_raw(&frame.repeat(5_000)).await.unwrap();
        let (code, reason) = client.closed().await.unwrap();
        assert_eq!(code, 1008, "{reason}");
    }
    let stats = server.gateway.stats();
    // One more for each second that it took.
    assert!((300..400).contains(&stats.failed), "{}", stats.failed);
    assert_eq!(stats.violations, 3);
    assert_eq!(warnings(&log), Vec::<String>::new());

    // Who does something right now and then is closed, too; who makes few mistakes is not, nor is who
    // gets errors of the application's own.
    let router = router().route("full", async || {
        Err::<(), _>(ClientError::new("full", "come back later"))
    });
    // Of one name they would be warned of.
    let other = support::builder().name("other").router(router);
    let other = Server::start(other.build().unwrap()).await;
    let mut client = other.connect().await;
    for _ in 0..90 {
        let answer = client.request("nowhere", json!(null)).await.unwrap();
        assert_eq!(answer["data"]["code"], "unknown_route");
    }
    for _ in 0..200 {
        let answer = client.request("full", json!(null)).await.unwrap();
        assert_eq!(answer["data"]["code"], "full");
    }
    let mut pairs = 0;
    while client.request("nowhere", json!(null)).await.is_ok()
        && client.request("number", json!(1)).await.is_ok()
    {
        pairs += 1;
        assert!(pairs < 1_000, "it is never closed");
    }
    assert!(pairs >= 9, "{pairs}");
    assert_eq!(warnings(&log), Vec::<String>::new());
    server.stop().await;
    other.stop().await;
}

#[tokio::test]
async fn a_failure_is_logged_once_and_a_flood_of_them_is_bounded() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let router = Router::new()
        .route("fail", async || {
            Err::<(), BoxError>("the disk is full".into())
        })
        .route("panic", async || -> () { panic!("a bug") });
    let builder = support::builder()
        .router(router)
        .layer(LoggerLayer::new())
        .layer(RecoveryLayer::new());
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    for (route, words) in [("fail", "the disk is full"), ("panic", "panicked")] {
        let before = warnings(&log).len();
        let answer = client.request(route, json!(null)).await.unwrap();
        assert_eq!(answer["data"]["code"], "internal");
        let lines = warnings(&log);
        assert_eq!(lines.len(), before + 1, "{lines:?}");
        assert!(lines[before].contains(words), "{}", lines[before]);
    }
    for _ in 0..500 {
        client.request("fail", json!(null)).await.unwrap();
    }
    let lines = warnings(&log).len();
    assert!((3..=50).contains(&lines), "{lines} lines");
    server.stop().await;
}

#[tokio::test]
async fn an_app_that_panics_again_and_again_is_bounded_and_counted() {
    const PANICS: u64 = 200;
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let gateway = support::builder().build().unwrap();
    let panicking = axum::routing::get(async || -> &'static str { panic!("on purpose") });
    let app = axum::Router::new().route("/panic", panicking);
    let listener = realtime::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = tokio::spawn(realtime::serve(listener, app, gateway.clone()).into_future());
    for n in 1..=PANICS {
        let request = b"GET /panic HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
        assert!(raw_http(addr, request).await.is_err());
        until("it is counted", async || {
            gateway.stats().connections_failed == n
        })
        .await;
    }
    let lines = warnings(&log);
    assert!((1..=40).contains(&lines.len()), "{} lines", lines.len());
    assert!(lines[0].contains("left_out=0"), "{}", lines[0]);
    gateway.shutdown().await;
    server.await.unwrap().unwrap();
}

/// In debug lines the layer says that a handler has panicked, where `RecoveryLayer` is inside it.
#[tokio::test]
async fn the_logger_says_how_each_message_ended() {
    let (log, _guard) = Log::at(tracing::Level::DEBUG);
    let router = Router::new()
        .route("fine", async || ())
        .route("panic", async || -> () { panic!("a bug") });
    let builder = support::builder()
        .router(router)
        .layer(LoggerLayer::new())
        .layer(RecoveryLayer::new());
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    for route in ["fine", "panic", "nowhere"] {
        client.request(route, json!(null)).await.unwrap();
    }
    let mut lines = log.lines();
    lines.retain(|line| line.contains("realtime::message"));
    assert_eq!(lines.len(), 3, "{lines:?}");
    assert!(lines[0].contains("handled") && lines[0].contains("fine"));
    assert!(lines[1].contains("failed") && lines[1].contains("internal"));
    assert!(lines[2].contains("failed") && lines[2].contains("unknown_route"));
    server.stop().await;
}

/// What a handler logs says whose message it was, if the layer is asked for that.
#[tokio::test]
async fn a_handlers_own_line_says_whose_message_it_was() {
    for in_span in [false, true] {
        let (log, _guard) = Log::at(tracing::Level::INFO);
        let save = async |session: Session| {
            tokio::task::yield_now().await;
            tracing::info!(target: "app", "saved");
            Json(session.id())
        };
        let layer = match in_span {
            true => LoggerLayer::new().in_span(),
            false => LoggerLayer::new(),
        };
        let builder = support::builder().router(Router::new().route("save", save));
        let server = Server::start(builder.layer(layer).build().unwrap()).await;
        let mut client = server.connect().await;
        let answer = client.request("save", json!(null)).await.unwrap();
        let session = answer["data"].as_str().unwrap();
        let lines = log.lines();
        let line = lines.iter().find(|line| line.contains("saved")).unwrap();
        let whose = format!("message{{session={session} route=\"save\"}}");
        assert_eq!(line.contains(&whose), in_span, "{line}");
        server.stop().await;
    }
}

/// What the gateway itself says of a session has its id.
#[tokio::test]
async fn a_sessions_own_lines_say_which_it_is() {
    let (log, _guard) = Log::at(tracing::Level::DEBUG);
    let id = async |session: Session| Json(session.id());
    let router = Router::new().route("id", id);
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut client = server.connect().await;
    let answer = client.request("id", json!(null)).await.unwrap();
    let session = format!("session={}", answer["data"].as_str().unwrap());
    client.close(1000, "").await.unwrap();
    client.closed().await;
    for word in [" connected", " disconnected"] {
        let says = |line: &String| line.contains(word) && line.contains("realtime::session");
        until("it is said", async || log.lines().iter().any(says)).await;
        let line = log.lines().into_iter().find(says).unwrap();
        assert!(line.contains(&session), "{line}");
    }
    server.stop().await;
}

#[tokio::test]
async fn a_client_that_is_lost_is_no_warning() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let builder = support::builder()
        .heartbeat(Some(Duration::from_millis(50)))
        .pong_timeout(Some(Duration::from_millis(50)))
        .write_timeout(Some(Duration::from_millis(100)));
    let server = Server::start(builder.build().unwrap()).await;

    // A reset, in the middle of a frame.
    let mut client = server.connect().await;
    server.until_open(1).await;
    client.send_raw(&[0x81]).await.unwrap();
    client.stream.set_zero_linger().unwrap();
    drop(client);
    server.until_open(0).await;

    // An end without a close frame, and no pong.
    drop(server.connect().await);
    let silent = server.connect().await;
    until("a ping has gone unanswered", async || {
        server.gateway.stats().pong_timeouts == 1
    })
    .await;
    drop(silent);

    // A broken frame.
    let mut client = server.connect().await;
    client.send_raw(&[0xff; 16]).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1002);

    // A peer that takes nothing.
    let deaf = server.connect().await;
    server.until_open(1).await;
    let data = "x".repeat(100_000);
    while server.gateway.broadcast("fill", Json(&data)).await.is_ok()
        && server.gateway.stats().open > 0
    {
        tokio::task::yield_now().await;
    }
    drop(deaf);
    server.until_open(0).await;
    assert_eq!(warnings(&log), Vec::<String>::new());
    server.stop().await;
}

/// A handler that passes on what `send` says of somebody else.
#[tokio::test]
async fn that_somebody_else_has_left_is_no_warning() {
    static KEPT: OnceLock<Session> = OnceLock::new();
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let router = Router::new()
        .route("keep", async |session: Session| drop(KEPT.set(session)))
        .route("whisper", async || -> Result<(), SendError> {
            KEPT.get().unwrap().send("whisper", ())
        })
        .route(
            "page",
            async |gateway: Gateway| -> Result<(), DeliverError> {
                let somebody = IdentityKey::new("somebody");
                gateway.send_to_identity(&somebody, "page", ()).await?;
                Ok(())
            },
        );
    let server = Server::start(support::builder().router(router).build().unwrap()).await;
    let mut other = server.connect().await;
    other.request("keep", json!(null)).await.unwrap();
    drop(other);
    server.until_open(0).await;
    let mut client = server.connect().await;
    for route in ["whisper", "page"] {
        let answer = client.request(route, json!(null)).await.unwrap();
        assert_eq!(answer["data"]["code"], "internal", "{route}");
    }
    assert_eq!(warnings(&log), Vec::<String>::new());
    server.stop().await;
}

fn with_a_broker() -> Gateway {
    let broker = realtime::connect::broker("local:").unwrap();
    support::builder().broker(broker).build().unwrap()
}

fn is_said_to_be_alone(lines: &[String]) {
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in [
        "WARN",
        "realtime::broker",
        "isn't started",
        "Gateway::start",
    ] {
        assert!(lines[0].contains(word), "{word} in {}", lines[0]);
    }
}

/// Under a host that doesn't start it, as `serve` does, half a cluster looks like a whole one: to
/// those who send nothing, too.
#[tokio::test]
async fn a_gateway_with_a_broker_that_is_not_started_says_so_with_its_first_session() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::under_axum(with_a_broker()).await;
    assert_eq!(warnings(&log), Vec::<String>::new());
    for _ in 0..3 {
        let mut client = server.connect().await;
        client.request("nowhere", json!(null)).await.unwrap();
        is_said_to_be_alone(&warnings(&log));
    }
    // A host that listens first and starts it then has done nothing wrong in the end.
    assert!(!log.lines().iter().any(|line| line.contains("INFO")));
    server.gateway.start().await.unwrap();
    let lines = log.lines();
    let taken_back = |line: &&String| line.contains("INFO") && line.contains("is started now");
    assert_eq!(lines.iter().filter(taken_back).count(), 1, "{lines:?}");
    server.stop().await;
    // Under `serve` it is started.
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::start(with_a_broker()).await;
    let mut client = server.connect().await;
    client.request("nowhere", json!(null)).await.unwrap();
    assert_eq!(warnings(&log), Vec::<String>::new());
    server.stop().await;
}

#[tokio::test]
async fn a_gateway_with_a_broker_that_is_not_started_says_so_once() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::under_axum(with_a_broker()).await;
    for _ in 0..5 {
        server.gateway.broadcast("news", ()).await.unwrap();
        let nobody = IdentityKey::new("nobody");
        let sent = server.gateway.send_to_identity(&nobody, "news", ()).await;
        assert_eq!(sent.unwrap_err().kind(), DeliverErrorKind::NotOnline);
    }
    drop(server.connect().await);
    is_said_to_be_alone(&warnings(&log));
    server.stop().await;

    // Started, or alone for good: there is nothing to say.
    let started = with_a_broker();
    started.start().await.unwrap();
    let alone = support::builder().name("alone").build().unwrap();
    for gateway in [started, alone] {
        gateway.broadcast("news", ()).await.unwrap();
        gateway.shutdown().await;
    }
    assert_eq!(warnings(&log).len(), 1);
}

/// Each of them, and not now one and now the other of two that end at the same moment.
#[tokio::test]
async fn requests_that_are_cut_off_when_the_server_ends_are_counted_in_one_line() {
    let (log, _guard) = Log::at(tracing::Level::INFO);
    let server = Server::start(support::builder().build().unwrap()).await;
    let mut halves = Vec::new();
    for _ in 0..3 {
        let mut half = TcpStream::connect(server.addr).await.unwrap();
        half.write_all(b"GET /ws HTTP/1.1\r\nHo").await.unwrap();
        halves.push(half);
    }
    // So that they are with the server.
    drop(server.connect().await);
    server.stop().await;
    let lines = warnings(&log);
    assert_eq!(lines.len(), 1, "{lines:?}");
    for word in ["realtime::serve", "cut off at the deadline", "cut_off=3"] {
        assert!(lines[0].contains(word), "{word} in {}", lines[0]);
    }
    for mut half in halves {
        let end = within("its end", half.read(&mut [0])).await;
        assert!(end.is_ok_and(|read| read == 0), "the connection has ended");
    }
}

/// The backends know of it first, and it is the gateway that says it.
#[cfg(all(feature = "broker-redis", feature = "presence-redis"))]
#[tokio::test]
async fn each_cause_of_an_outage_is_one_line_and_its_end_another() {
    use realtime_testkit::servers::Redis;

    let (log, _guard) = Log::at(tracing::Level::INFO);
    let mut redis = Redis::start().await.unwrap();
    let builder = support::builder()
        .broker(realtime::connect::broker(&redis.url()).unwrap())
        .presence(realtime::connect::presence(&redis.url()).unwrap());
    let server = Server::start(builder.build().unwrap()).await;
    server.gateway.start().await.unwrap();
    let outages = || {
        let stats = server.gateway.stats();
        (stats.broker_outages, stats.presence_outages)
    };
    redis.kill().unwrap();
    until("both have noticed", async || outages() == (1, 1)).await;
    redis.restart().await.unwrap();
    let all_said = async || {
        let lines = warnings(&log).join("\n");
        lines.contains("the broker is up again") && lines.contains("presence is up again")
    };
    until("both are back", all_said).await;
    let lines = warnings(&log);
    let with = |what| lines.iter().filter(|line| line.contains(what)).count();
    let broker = with("realtime::broker: the broker is down");
    let presence = with("realtime::presence: presence is down");
    assert!(broker >= 1 && presence >= 1, "{lines:#?}");
    assert_eq!(lines.len(), broker + presence + 2, "{lines:#?}");
    // Each cause of the outage is said once: that it ended, say, and that nobody is there.
    let said = |line: &String| line.split_once("WARN").unwrap().1.to_owned();
    let all: HashSet<_> = lines.iter().map(said).collect();
    assert_eq!(all.len(), lines.len(), "{lines:#?}");
    server.stop().await;
}

/// The same of those that tell nobody else. A session keeps the store of revocations asked.
#[cfg(all(feature = "history-redis", feature = "revocation-redis"))]
#[tokio::test]
async fn so_are_those_of_histories_and_of_revocations() {
    use realtime_testkit::servers::Redis;

    let (log, _guard) = Log::at(tracing::Level::INFO);
    let mut redis = Redis::start().await.unwrap();
    let rule = RoomRule::open().history(Retention::new(8, Duration::from_secs(60)).unwrap());
    let builder = support::builder()
        .router(Router::new().room("a", rule))
        .history(realtime::connect::history(&redis.url()).unwrap())
        .revocations(realtime::connect::revocations(&redis.url()).unwrap());
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    client.request("join", json!({"room": "a"})).await.unwrap();
    let outages = || {
        let stats = server.gateway.stats();
        (stats.history_outages, stats.revocation_outages)
    };
    redis.kill().unwrap();
    until("both have noticed", async || outages() == (1, 1)).await;
    redis.restart().await.unwrap();
    let all_said = async || {
        let lines = warnings(&log).join("\n");
        lines.contains("the history of rooms is up again, after ")
            && lines.contains("the store of revocations is up again, after ")
    };
    until("both are back", all_said).await;
    let lines = log.lines();
    let with = |said: &str| lines.iter().filter(|line| line.contains(said)).count();
    let history = with("WARN realtime::history: the history of rooms is down: ");
    assert!(history >= 1, "{lines:#?}");
    for said in [
        "WARN realtime::history: the history of rooms is up again",
        "WARN realtime::revocation: the store of revocations is down: ",
        "WARN realtime::revocation: the store of revocations is up again",
    ] {
        assert_eq!(with(said), 1, "{said}: {lines:#?}");
    }
    assert_eq!(lines.len(), history + 3, "{lines:#?}");
    // Each cause of the outage is said once.
    let said = |line: &String| line.split_once("WARN").unwrap().1.to_owned();
    let all: HashSet<_> = lines.iter().map(said).collect();
    assert_eq!(all.len(), lines.len(), "{lines:#?}");
    server.stop().await;
}

/// A history that comes and goes all the time, and then panics where it tells of it.
struct Flapping(MemoryHistory, Mutex<Option<HistoryEvents>>);

const OUTAGES: usize = 100;

impl Flapping {
    fn new() -> Self {
        let down = HistoryEvent::down("as it should");
        let flaps = [down, HistoryEvent::Up]
            .into_iter()
            .cycle()
            .take(2 * OUTAGES);
        let breaks = futures::stream::once(async { panic!("as it should") });
        let events = futures::stream::iter(flaps).chain(breaks);
        Self(
            MemoryHistory::new(),
            Mutex::new(Some(HistoryEvents::new(events))),
        )
    }
}

impl History for Flapping {
    async fn append(&self, room: &RoomName, append: Append) -> Result<Appended, HistoryError> {
        self.0.append(room, append).await
    }

    async fn since(
        &self,
        room: &RoomName,
        after: &Position,
        limit: usize,
    ) -> Result<Since, HistoryError> {
        self.0.since(room, after, limit).await
    }

    async fn latest(
        &self,
        room: &RoomName,
        before: Option<u64>,
        count: usize,
    ) -> Result<Page, HistoryError> {
        self.0.latest(room, before, count).await
    }

    async fn position(
        &self,
        room: &RoomName,
        retention: Retention,
    ) -> Result<Position, HistoryError> {
        self.0.position(room, retention).await
    }

    async fn remove(&self, room: &RoomName) -> Result<(), HistoryError> {
        self.0.remove(room).await
    }

    fn events(&self) -> HistoryEvents {
        let first = self.1.lock().unwrap().take();
        first.unwrap_or_else(|| HistoryEvents::new(futures::stream::pending()))
    }

    async fn close(&self) {
        self.0.close().await;
    }
}

#[tokio::test]
async fn outages_and_ends_of_outages_without_end_are_a_few_lines_and_a_dead_task_is_one() {
    for has_hook in [false, true] {
        let (log, _guard) = Log::at(tracing::Level::INFO);
        let retention = Retention::new(8, Duration::from_secs(60)).unwrap();
        let heard = Arc::new(Mutex::new(0));
        let hears = Arc::clone(&heard);
        let builder = support::builder()
            .router(Router::new().room("a", RoomRule::open().history(retention)))
            .history(Flapping::new());
        let builder = match has_hook {
            false => builder,
            true => builder.on_error(move || {
                *hears.lock().unwrap() += 1;
                async {}
            }),
        };
        let server = Server::start(builder.build().unwrap()).await;
        drop(server.connect().await);
        until("the task has died", async || {
            server.gateway.stats().background_restarts == 1
        })
        .await;
        assert_eq!(server.gateway.stats().history_outages as usize, OUTAGES);
        if has_hook {
            until("hooks hear of all that they have places for", async || {
                let lost = server.gateway.stats().errors_unreported as usize;
                *heard.lock().unwrap() + lost == 2 * OUTAGES + 1
            })
            .await;
        }
        server.stop().await;
        let lines = warnings(&log);
        let with = |what| lines.iter().filter(|line| line.contains(what)).count();
        assert_eq!(with("the history of rooms is "), 20, "{lines:#?}");
        assert_eq!(with("ERROR realtime::background: "), 1, "{lines:#?}");
        assert_eq!(lines.len(), 21, "{lines:#?}");
    }
}

/// One whose handler hangs, and one whose hook does, which is out of the hub already.
#[tokio::test]
async fn what_was_cut_off_at_the_shutdown_deadline_is_said_as_it_was() {
    let hangs = || std::future::pending::<()>();
    for (stuck, ends) in [(0, 0), (1, 0), (0, 1), (1, 1)] {
        let (log, _guard) = Log::at(tracing::Level::INFO);
        let gateway = support::builder()
            .router(Router::new().route("hang", hangs))
            .hook_timeout(None)
            .on_disconnect(move |info: DisconnectInfo| async move {
                if info.code == CloseCode::new(4000).ok() {
                    hangs().await;
                }
            });
        let server = Server::start(gateway.build().unwrap()).await;
        let mut clients = Vec::new();
        for _ in 0..stuck {
            let mut client = server.connect().await;
            client.send("hang", json!(null)).await.unwrap();
            clients.push(client);
        }
        let stats = || server.gateway.stats();
        until("it hangs", async || stats().received == stuck).await;
        for _ in 0..ends {
            let mut client = server.connect().await;
            server.until_open(stuck + 1).await;
            client.close(4000, "").await.unwrap();
            server.until_open(stuck).await;
            within("its end", client.eof()).await;
            clients.push(client);
        }
        let report = server
            .gateway
            .shutdown_within(Duration::from_millis(50))
            .await;
        assert_eq!(report.aborted as u64, stuck + ends);
        let lines = warnings(&log);
        let said: Vec<_> = lines
            .iter()
            .filter(|l| l.contains("realtime::shutdown"))
            .collect();
        if stuck + ends == 0 {
            assert!(said.is_empty(), "{said:?}");
        } else {
            assert_eq!(said.len(), 1, "{lines:?}");
            let expected = format!("cut_off={} tasks_left=0", stuck + ends);
            assert!(said[0].contains(&expected), "{said:?}");
        }
        server.stop().await;
    }
}

/// Without leases, nothing ends the sessions of a node that crashed. In memory they end with it.
#[cfg(feature = "presence-redis")]
#[tokio::test]
async fn sessions_without_a_lease_in_a_store_that_outlives_the_node_are_warned_of() {
    let lease = Some(Duration::from_secs(90));
    // Nothing is connected before it is used.
    let redis = "redis://127.0.0.1:1";
    for (url, ttl, warns) in [(redis, None, 1), (redis, lease, 0), ("local:", None, 0)] {
        let (log, _guard) = Log::at(tracing::Level::WARN);
        let presence = realtime::connect::presence(url).unwrap();
        let builder = support::builder().presence(presence).presence_ttl(ttl);
        drop(builder.build().unwrap());
        let warned = warnings(&log);
        let about = |line: &&String| line.contains("presence_ttl");
        assert_eq!(
            warned.iter().filter(about).count(),
            warns,
            "{url} {ttl:?}: {warned:?}"
        );
    }
}
