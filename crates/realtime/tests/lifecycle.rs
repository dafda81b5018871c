//! Sessions from connect to disconnect: hooks, presence, every initiator, heartbeat.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{
    Backpressure, CloseCode, Gateway, Identity, IdentityKey, Initiator, Json, Payload, Router,
    Session, Upgrade, bind,
    error::SendErrorKind,
    presence::{
        MemoryPresence, NodeSessions, Online, Presence, PresenceError, PresenceErrorKind,
        PresenceEvents, Registered, Renewed, SessionInfo, SessionKey, Unregistered,
    },
    serve,
};
use realtime_testkit::client::Client;
use realtime_testkit::wait::{until, within};
use serde_json::{Value, json};
use support::{Ends, Server};
use tokio::io::AsyncWriteExt;

const SHORT: Duration = Duration::from_millis(150);

fn anonymous() -> IdentityKey {
    IdentityKey::new("anonymous")
}

#[tokio::test]
async fn a_session_is_in_hub_and_presence_before_the_hook_and_out_before_the_other() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let (on, off) = (Arc::clone(&log), Arc::clone(&log));
    let look = async |gateway: &Gateway, session: &Session| {
        let hub = gateway.local_session(session.id()).is_some();
        (hub, gateway.is_online(&anonymous()).await.unwrap())
    };
    let gateway = support::builder()
        .on_connect(move |gateway: Gateway, session: Session| {
            let on = Arc::clone(&on);
            async move {
                let seen = look(&gateway, &session).await;
                on.lock().unwrap().push(seen);
                session.send("hello", ()).unwrap();
            }
        })
        .on_disconnect(move |gateway: Gateway, session: Session| {
            let off = Arc::clone(&off);
            async move {
                let seen = look(&gateway, &session).await;
                off.lock().unwrap().push(seen);
            }
        })
        .build()
        .unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    assert_eq!(client.recv_json().await.unwrap(), json!({"route": "hello"}));
    let sessions = gateway.sessions_of(&anonymous()).await.unwrap();
    assert_eq!(sessions.len(), 1);
    assert_eq!(sessions[0].node_id, *gateway.node_id());
    assert!(sessions[0].expires_at.unwrap() > sessions[0].connected_at);
    client.close(1000, "bye").await.unwrap();
    assert_eq!(client.closed().await, Some((1000, "bye".into())), "echoed");
    client.eof().await;
    until("both hooks have run", async || {
        log.lock().unwrap().len() == 2
    })
    .await;
    assert_eq!(*log.lock().unwrap(), [(true, true), (false, false)]);
}

#[tokio::test]
async fn a_failing_connect_hook_leaves_no_trace() {
    for (kind, code) in [("no", 1008), ("panic", 1011), ("hang", 1011)] {
        let ends = Ends::default();
        let builder = support::builder()
            .hook_timeout(Some(SHORT))
            .on_connect(move || async move {
                match kind {
                    "no" => Err("not you"),
                    "panic" => panic!("on purpose"),
                    _ => std::future::pending().await,
                }
            });
        let gateway = ends.hear(builder).build().unwrap();
        let server = Server::start(gateway.clone()).await;
        let mut client = server.connect().await;
        assert_eq!(client.closed().await.unwrap().0, code, "{kind}");
        let closed = async || gateway.stats().closed == 1;
        until("the session is gone", closed).await;
        assert_eq!(gateway.stats().open, 0);
        assert!(!gateway.is_online(&anonymous()).await.unwrap());
        assert_eq!(ends.len(), 0, "on_disconnect is not called");
    }
}

#[tokio::test]
async fn every_initiator_is_reported_with_its_code() {
    let router = || {
        Router::new()
            .route("leave", async |session: Session| {
                session.close(CloseCode::new(4001).unwrap(), "asked")
            })
            .route("flood", async |session: Session| {
                let data = Payload::from(format!("\"{}\"", "x".repeat(1 << 20)));
                while session.send("f", &data).is_ok() {}
            })
    };
    let start = async |ends: &Ends| {
        let builder = ends.hear(
            support::builder()
                .router(router())
                .backpressure(Backpressure::Close),
        );
        Server::start(builder.build().unwrap()).await
    };

    let ends = Ends::default();
    let server = start(&ends).await;
    let mut client = server.connect().await;
    client.close(3001, "done").await.unwrap();
    let info = ends.one().await;
    assert_eq!(
        (info.initiator, info.code),
        (Initiator::Client, CloseCode::new(3001).ok())
    );
    assert!(info.expected && info.reason == "done");

    let ends = Ends::default();
    let server = start(&ends).await;
    drop(server.connect().await);
    let info = ends.one().await;
    assert_eq!(
        (info.initiator, info.code, info.expected),
        (Initiator::Client, None, true)
    );

    let ends = Ends::default();
    let server = start(&ends).await;
    let mut client = server.connect().await;
    client.send("leave", Value::Null).await.unwrap();
    assert_eq!(client.closed().await, Some((4001, "asked".into())));
    let info = ends.one().await;
    assert_eq!((info.initiator, info.expected), (Initiator::Server, true));

    let ends = Ends::default();
    let server = start(&ends).await;
    let mut client = server.connect().await;
    client.send("flood", Value::Null).await.unwrap();
    until("the slow reader is being closed", async || {
        server
            .gateway
            .local_sessions_of(&anonymous())
            .iter()
            .all(Session::is_closed)
    })
    .await;
    assert_eq!(client.closed().await, Some((1013, "slow consumer".into())));
    let info = ends.one().await;
    assert_eq!(
        (info.initiator, info.expected),
        (Initiator::Backpressure, false)
    );

    let ends = Ends::default();
    let server = start(&ends).await;
    let mut client = server.connect().await;
    client.send_raw(b"\x81\x02hi").await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1002, "an unmasked frame");
    let info = ends.one().await;
    assert_eq!((info.initiator, info.expected), (Initiator::Error, false));
    assert!(info.error.is_some());

    let ends = Ends::default();
    let server = start(&ends).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    server.stop().await;
    assert_eq!(client.closed().await.unwrap().0, 1001);
    let info = ends.one().await;
    assert_eq!((info.initiator, info.expected), (Initiator::Shutdown, true));
}

#[tokio::test]
async fn a_peer_that_answers_no_ping_is_closed_with_3012() {
    let quick = || {
        support::builder()
            .heartbeat(Some(SHORT))
            .pong_timeout(Some(SHORT))
    };
    let ends = Ends::default();
    let server = Server::start(ends.hear(quick()).build().unwrap()).await;
    let mut silent = server.connect().await;
    silent.auto_pong = false;
    assert_eq!(silent.closed().await, Some((3012, "pong timeout".into())));
    assert_eq!(ends.one().await.initiator, Initiator::Error);
}

#[tokio::test]
async fn a_slow_handler_stops_neither_pings_nor_writes_and_makes_no_peer_look_dead() {
    let release = Arc::new(tokio::sync::Notify::new());
    let released = Arc::clone(&release);
    let router = Router::new().route("slow", move |Json(n): Json<u32>| {
        let released = Arc::clone(&released);
        async move {
            if n == 0 {
                released.notified().await;
            }
            Json(n)
        }
    });
    let quick = support::builder()
        .heartbeat(Some(SHORT))
        .pong_timeout(Some(SHORT))
        .router(router);
    let server = Server::start(quick.build().unwrap()).await;
    let mut client = server.connect().await;
    client.auto_pong = false;
    // The second message is read ahead and the third stays in the socket, with our pongs behind.
    for n in 0..3 {
        client
            .send_text(&json!({"id": "1", "route": "slow", "data": n}).to_string())
            .await
            .unwrap();
    }
    for _ in 0..6 {
        let ping = client.recv().await.unwrap();
        assert!(
            matches!(ping, realtime_websocket::Event::Ping(_)),
            "{ping:?}"
        );
        client.send_frame(10, true, b"").await.unwrap();
    }
    let broadcast = server.gateway.broadcast("news", Json(&1)).await.unwrap();
    assert_eq!(broadcast.local, 1);
    client.auto_pong = true;
    assert_eq!(client.recv_json().await.unwrap()["route"], "news");
    release.notify_one();
    for n in 0..3 {
        assert_eq!(client.recv_json().await.unwrap()["data"], n);
    }
}

#[tokio::test]
async fn limits_on_messages_hold_and_the_peer_sees_why() {
    let server = Server::start(support::builder().read_limit(1000).build().unwrap()).await;
    let mut client = server.connect().await;
    client.send_text(&"x".repeat(1001)).await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1009);
    let mut client = server.connect().await;
    client.send_frame(1, true, b"\xff").await.unwrap();
    assert_eq!(client.closed().await.unwrap().0, 1007);
}

#[tokio::test]
async fn close_is_idempotent_and_sending_afterwards_says_so() {
    let server = Server::start(support::builder().build().unwrap()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    let session = server.gateway.local_sessions_of(&anonymous()).remove(0);
    assert!(session.close_info().is_none());
    session.close(CloseCode::NORMAL, "first");
    session.close(CloseCode::new(4000).unwrap(), "second");
    assert_eq!(session.close_info().unwrap().reason, "first");
    let error = session.send("late", ()).unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::SessionClosed);
    let error = session.send_wait("late", ()).await.unwrap_err();
    assert_eq!(error.kind(), SendErrorKind::SessionClosed);
    within("closed()", session.closed()).await;
    assert_eq!(client.closed().await, Some((1000, "first".into())));
}

#[tokio::test]
async fn a_dropped_gateway_closes_its_sessions() {
    let gateway = support::builder().build().unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let host = tokio::spawn(async move { axum::serve(listener, app).await });
    let mut client = Client::connect(addr).await.unwrap();
    until("it is open", async || gateway.stats().open == 1).await;
    host.abort();
    drop(gateway);
    assert_eq!(client.closed().await.unwrap().0, 1001);
}

#[test]
fn a_runtime_that_is_dropped_ends_its_sessions_and_no_others() {
    let gateway = support::builder().build().unwrap();
    let runtime = || tokio::runtime::Runtime::new().unwrap();
    let serve = async || {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        let client = Client::connect(addr).await.unwrap();
        until("it is open", async || gateway.stats().open == 1).await;
        client
    };
    let first = runtime();
    let _client = first.block_on(serve());
    let session = gateway.local_sessions().remove(0);
    drop(first);
    assert_eq!((gateway.stats().open, gateway.stats().aborted), (0, 1));
    let info = session.close_info().map(|info| info.initiator);
    assert_eq!(info, Some(Initiator::Shutdown));
    runtime().block_on(async {
        let mut client = serve().await;
        // More than may be on their way.
        for n in 0..300 {
            let said = within("a broadcast", gateway.broadcast("n", Json(n))).await;
            assert_eq!(said.unwrap().local, 1);
        }
        for n in 0..300 {
            assert_eq!(client.recv_json().await.unwrap()["data"], n);
        }
    });
}

#[tokio::test]
async fn a_connection_that_resets_in_mid_frame_is_cleaned_up() {
    let ends = Ends::default();
    let server = Server::start(ends.hear(support::builder()).build().unwrap()).await;
    let mut client = server.connect().await;
    client.send_raw(&[0x81, 0xfe, 0x10]).await.unwrap();
    client.stream.shutdown().await.unwrap();
    ends.one().await;
    server.until_open(0).await;
    assert!(!server.gateway.is_online(&anonymous()).await.unwrap());
}

#[tokio::test]
async fn a_reading_peer_gets_a_pong_for_every_ping() {
    let server = Server::start(support::builder().build().unwrap()).await;
    let mut client = server.connect().await;
    let pings: Vec<u8> = (0..10u8)
        .flat_map(|n| realtime_websocket::frame::fragment(9, true, &[n], Some([1; 4])).to_vec())
        .collect();
    client.send_raw(&pings).await.unwrap();
    for n in 0..10u8 {
        let pong = client.recv().await.unwrap();
        assert_eq!(pong, realtime_websocket::Event::Pong(vec![n].into()));
    }
}

#[tokio::test]
async fn a_handler_learns_that_its_client_has_left_though_more_messages_wait() {
    let (started, mut starts) = tokio::sync::mpsc::unbounded_channel();
    let (left, mut leaves) = tokio::sync::mpsc::unbounded_channel();
    let router = Router::new().route("watch", move |session: Session| {
        let (started, left) = (started.clone(), left.clone());
        async move {
            started.send(()).unwrap();
            session.closed().await;
            left.send(()).unwrap();
        }
    });
    let builder = support::builder().router(router).heartbeat(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send("watch", Value::Null).await.unwrap();
    }
    within("the handler", starts.recv()).await.unwrap();
    drop(client);
    within("the handler's notice", leaves.recv()).await.unwrap();
    server.until_open(0).await;
    server.stop().await;
}

#[tokio::test]
async fn a_message_that_a_layer_holds_back_does_not_outlive_its_session() {
    let ends = Ends::default();
    let hour = Duration::from_secs(3_600);
    let router = Router::new().route("r", async || {});
    let builder = ends.hear(support::builder()).router(router);
    let gateway = builder
        .layer(tower::limit::RateLimitLayer::new(1, hour))
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.connect().await;
    for _ in 0..3 {
        client.send("r", Value::Null).await.unwrap();
    }
    until(
        "one is handled, and the third waits behind the second",
        async || {
            let stats = server.gateway.stats();
            stats.received == 1 && stats.assembling_bytes > 0
        },
    )
    .await;
    let report = within("the shutdown", server.gateway.shutdown()).await;
    assert_eq!(
        (report.sessions, report.aborted, report.tasks_left),
        (1, 0, 0)
    );
    assert_eq!(ends.one().await.initiator, Initiator::Shutdown);
    assert_eq!(server.gateway.stats().unhandled, 2);
}

#[tokio::test]
async fn a_client_whose_101_leaves_when_the_shutdown_has_begun_is_told_1001() {
    let gateway = support::builder().build().unwrap();
    let app = {
        let gateway = gateway.clone();
        let answer = async move |upgrade: Upgrade| {
            let response = gateway.accept(upgrade, Identity::anonymous());
            // The head of the response is written after this.
            gateway.begin_shutdown();
            response
        };
        axum::Router::new().route("/ws", axum::routing::get(answer))
    };
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let host = tokio::spawn(serve(listener, app, gateway).into_future());
    let mut client = Client::connect(addr).await.unwrap();
    let end = within("the end", client.closed()).await;
    assert_eq!(end.expect("a close frame").0, 1001);
    within("the shutdown", host).await.unwrap().unwrap();
}

#[tokio::test]
async fn of_several_shutdowns_the_earliest_deadline_counts() {
    let router = Router::new().route("stuck", async || std::future::pending::<()>().await);
    let builder = support::builder().router(router).shutdown_timeout(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = server.connect().await;
    client.send("stuck", Value::Null).await.unwrap();
    until("the handler runs", async || {
        server.gateway.stats().received == 1
    })
    .await;
    server.gateway.begin_shutdown();
    let report = within("the shutdown", server.gateway.shutdown_within(SHORT)).await;
    assert_eq!((report.sessions, report.aborted), (1, 1));
    assert_eq!(server.gateway.shutdown().await, report);
}

/// Fails for a while, too short to count as an outage: it tells nobody.
#[derive(Debug, Clone, Default)]
struct Hiccup {
    store: MemoryPresence,
    now: Arc<AtomicBool>,
}

impl Hiccup {
    fn check(&self) -> Result<(), PresenceError> {
        match self.now.load(SeqCst) {
            true => Err(PresenceError::new(PresenceErrorKind::Unavailable, "hiccup")),
            false => Ok(()),
        }
    }
}

impl Presence for Hiccup {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        self.check()?;
        self.store.register(sessions, ttl).await
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        self.store.unregister(sessions).await
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        self.check()?;
        self.store.renew(sessions, ttl).await
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        self.store.sessions(identity).await
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        self.store.nodes(identity).await
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        self.store.online(identities).await
    }

    fn events(&self) -> PresenceEvents {
        self.store.events()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}

#[tokio::test]
async fn who_connects_while_presence_has_the_hiccups_is_online_soon_after() {
    // With leases that are renewed much later, and without leases.
    for ttl in [Some(Duration::from_secs(3600)), None] {
        let presence = Hiccup::default();
        presence.now.store(true, SeqCst);
        let builder = support::builder()
            .presence(presence.clone())
            .presence_ttl(ttl);
        let server = Server::start(builder.build().unwrap()).await;
        let client = server.connect().await;
        server.until_open(1).await;
        assert!(!server.gateway.is_online(&anonymous()).await.unwrap());
        presence.now.store(false, SeqCst);
        until("it is registered after all", async || {
            server.gateway.is_online(&anonymous()).await.unwrap()
        })
        .await;
        drop(client);
        server.stop().await;
    }
}
