//! What was read and waits for a slow handler: it holds up no control frame, is counted where it
//! is given up, and its memory is in the accounts.

use std::sync::Arc;

use realtime::{Builder, Gateway, Json, Router, Session};
use realtime_testkit::wait::{until, within};
use realtime_websocket::{Event, Kind as FrameKind, frame};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::host::{ALL, AnyClient, ByName, Host, Kind};

/// More than are decoded ahead, and what one read brings together with the first.
const MANY: usize = 600;
const KEY: [u8; 4] = [1, 2, 3, 4];

fn message(text: &str) -> Vec<u8> {
    frame::client_frame(true, FrameKind::Text, text.as_bytes(), KEY).to_vec()
}

fn many(count: usize) -> Vec<u8> {
    message(r#"{"route":"n"}"#).repeat(count)
}

fn control(opcode: u8, payload: &[u8]) -> Vec<u8> {
    frame::fragment(opcode, true, payload, Some(KEY)).to_vec()
}

fn builder() -> Builder {
    let router = Router::new()
        .route("stuck", async || std::future::pending::<()>().await)
        .route("panic", async || -> () { panic!("on purpose") })
        .route("n", async || ());
    realtime::builder().router(router).authenticator(ByName)
}

/// A handler's wait until the test lets it go on.
async fn passes(gate: Arc<Semaphore>) {
    gate.acquire().await.unwrap().forget();
}

/// A client whose handler never returns, and which has sent this behind it, all at once.
async fn behind(host: &Host, sent: &[u8]) -> (AnyClient, Session) {
    behind_running(host, sent, 1).await
}

/// The same where so many are taken, and not only that handler's.
async fn behind_running(host: &Host, sent: &[u8], taken: u64) -> (AnyClient, Session) {
    let (mut client, _) = host.connect("busy").await;
    let session = host.session("busy").await;
    let all = [&message(r#"{"route":"stuck"}"#), sent].concat();
    client.send_raw(&all).await.unwrap();
    let runs = async || host.gateway.stats().received == taken;
    until("its handler runs", runs).await;
    (client, session)
}

#[tokio::test]
async fn a_ping_is_answered_at_once_wherever_it_stands() {
    for kind in ALL {
        let host = Host::start(kind, builder().build().unwrap()).await;
        let sent = [
            many(MANY),
            control(9, b"one"),
            // Within a message that is not complete.
            frame::fragment(1, false, br#"{"route""#, Some(KEY)).to_vec(),
            control(9, b"two"),
            frame::fragment(0, true, br#":"n"}"#, Some(KEY)).to_vec(),
            control(9, b"three"),
        ];
        let (mut client, session) = behind(&host, &sent.concat()).await;
        for expected in ["one", "two", "three"] {
            let answer = within("the pong", client.recv()).await.unwrap();
            assert_eq!(answer, Event::Pong(expected.into()), "{kind:?}");
        }
        assert_eq!(host.gateway.stats().received, 1);
        session.close(realtime::CloseCode::new(4000).unwrap(), "");
        until("all are counted", async || {
            host.gateway.stats().unhandled == MANY as u64 + 1
        })
        .await;
    }
}

/// Of a client that sees no control frames: a slow handler is no dead connection. What an application
/// answers itself has its turn, as everything has.
#[tokio::test]
async fn a_ping_on_the_gateways_own_route_is_answered_while_a_handler_runs() {
    let ping = message(r#"{"id":0,"route":"ping"}"#);
    for kind in ALL {
        let host = Host::start(kind, builder().build().unwrap()).await;
        let sent = [many(3), message(r#"{"route":"ping"}"#), ping.clone()];
        let (mut client, session) = behind_running(&host, &sent.concat(), 3).await;
        let answer = within("the answer", client.recv_json()).await.unwrap();
        assert_eq!(answer["id"], 0, "{kind:?}: {answer}");
        session.close(realtime::CloseCode::new(4000).unwrap(), "");
        until("the others wait", async || {
            host.gateway.stats().unhandled == 3
        })
        .await;
    }
    let gate = Arc::new(Semaphore::new(0));
    let waits = Arc::clone(&gate);
    let router = Router::new()
        .route("stuck", move || passes(Arc::clone(&waits)))
        .route("ping", async || Json("mine"))
        .route("n", async || ());
    let builder = realtime::builder().router(router).authenticator(ByName);
    let host = Host::start(Kind::Plain, builder.build().unwrap()).await;
    let sent = [message(r#"{"id":1,"route":"n"}"#), ping];
    let (mut client, _) = behind(&host, &sent.concat()).await;
    gate.add_permits(1);
    for expected in [1, 0] {
        let answer = within("an answer", client.recv_json()).await.unwrap();
        assert_eq!(answer["id"], expected, "{answer}");
    }
}

/// No ping is answered twice, and none of the messages is lost.
#[tokio::test]
async fn what_was_looked_through_is_handled_as_ever() {
    for kind in ALL {
        let gate = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&gate);
        let router = Router::new()
            .route("stuck", move || passes(Arc::clone(&waits)))
            .route("echo", async |Json(data): Json<Value>| Json(data));
        let builder = realtime::builder().router(router).authenticator(ByName);
        let host = Host::start(kind, builder.build().unwrap()).await;
        let mut sent = Vec::new();
        for n in 0..MANY / 2 {
            sent.extend(message(&format!(
                r#"{{"id":"{n}","route":"echo","data":{n}}}"#
            )));
        }
        sent.extend(control(9, b"ping"));
        sent.extend(message(r#"{"id":"last","route":"echo"}"#));
        let (mut client, _) = behind(&host, &sent).await;
        let answer = within("the pong", client.recv()).await.unwrap();
        assert_eq!(answer, Event::Pong("ping".into()), "{kind:?}");
        gate.add_permits(1);
        for n in 0..MANY / 2 {
            let reply = within("a reply", client.recv_json()).await.unwrap();
            assert_eq!(reply["data"], n);
        }
        let Event::Text(last) = within("the last", client.recv()).await.unwrap() else {
            panic!("expected the last reply");
        };
        assert!(last.contains("\"last\""), "{last}");
        assert_eq!(host.gateway.stats().assembling_bytes, 0);
    }
}

#[tokio::test]
async fn a_close_frame_is_seen_at_once_and_what_came_before_it_is_answered() {
    for kind in ALL {
        let gate = Arc::new(Semaphore::new(0));
        let waits = Arc::clone(&gate);
        let router = Router::new()
            .route("stuck", move || passes(Arc::clone(&waits)))
            .route("n", async || ());
        let builder = realtime::builder().router(router).authenticator(ByName);
        let host = Host::start(kind, builder.build().unwrap()).await;
        let last = message(r#"{"id":"last","route":"n"}"#);
        // What is behind a close frame is nothing.
        let behind_it = [control(9, b"late"), many(5)].concat();
        let close = control(8, &1000u16.to_be_bytes());
        let sent = [many(MANY), last, close, behind_it].concat();
        let (mut client, session) = behind(&host, &sent).await;
        within("its close frame", session.closed()).await;
        assert_eq!(host.gateway.stats().received, 1, "{kind:?}");
        gate.add_permits(1);
        let reply = within("the last reply", client.recv_json()).await.unwrap();
        assert_eq!(reply["id"], "last");
        let (code, _) = within("the echo", client.closed()).await.unwrap();
        assert_eq!(code, 1000);
        let stats = host.gateway.stats();
        assert_eq!((stats.received, stats.unhandled), (MANY as u64 + 2, 0));
    }
}

#[tokio::test]
async fn what_was_read_and_is_given_up_is_counted_however_a_session_ends() {
    type End = fn(&Gateway, &Session);
    let ends: [(&str, End); 2] = [
        ("closed", |_, session| {
            session.close(realtime::CloseCode::new(4000).unwrap(), "")
        }),
        ("shut down", |gateway, _| gateway.begin_shutdown()),
    ];
    for kind in ALL {
        for (what, end) in ends {
            let host = Host::start(kind, builder().build().unwrap()).await;
            // Decoded, not decoded, and not read yet.
            let (mut client, session) = behind(&host, &many(3_000)).await;
            end(&host.gateway, &session);
            within("the close frame", client.closed()).await;
            // Behind all of them.
            client.close(1000, "").await.unwrap();
            until(&format!("all are counted: {kind:?}, {what}"), async || {
                host.gateway.stats().unhandled == 3_000
            })
            .await;
        }
        let host = Host::start(kind, builder().build().unwrap()).await;
        let (mut client, _) = host.connect("busy").await;
        let all = [message(r#"{"route":"panic"}"#), many(MANY)].concat();
        client.send_raw(&all).await.unwrap();
        until("all are counted after a panic", async || {
            host.gateway.stats().unhandled == MANY as u64
        })
        .await;
    }
}

/// Eleven that are malformed end the session, whatever stands behind them.
#[tokio::test]
async fn so_it_is_behind_what_ends_the_session() {
    let host = Host::start(Kind::Plain, builder().build().unwrap()).await;
    let (mut client, _) = host.connect("bad").await;
    let all = [message("{").repeat(10), many(MANY)].concat();
    client.send_raw(&all).await.unwrap();
    within("the end", client.closed()).await;
    until("all are counted", async || {
        host.gateway.stats().unhandled == MANY as u64
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_fails_after_its_session_has_ended_is_counted() {
    let gate = Arc::new(Semaphore::new(0));
    for panics in [false, true] {
        let waits = Arc::clone(&gate);
        let router = Router::new().route("fails", move || {
            let passes = passes(Arc::clone(&waits));
            async move {
                passes.await;
                assert!(!panics, "on purpose");
                Err::<(), _>("on purpose")
            }
        });
        let builder = realtime::builder().router(router).authenticator(ByName);
        let host = Host::start(Kind::Plain, builder.build().unwrap()).await;
        let (mut client, _) = host.connect("one").await;
        client.send("fails", Value::Null).await.unwrap();
        let runs = async || host.gateway.stats().received == 1;
        until("its handler runs", runs).await;
        host.session("one")
            .await
            .close(realtime::CloseCode::new(4000).unwrap(), "");
        within("the end of the connection", client.eof()).await;
        assert_eq!(host.gateway.stats().failed, 0);
        gate.add_permits(1);
        until("it is counted", async || host.gateway.stats().failed == 1).await;
    }
}

/// The memory of this process, in bytes.
fn memory() -> i64 {
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let resident: i64 = pages.split(' ').nth(1).unwrap().parse().unwrap();
    resident * 4096
}

/// Each has a socket full of messages behind a handler that never returns.
async fn fill(what: &str, text: &str) {
    const SESSIONS: usize = 200;
    let gateway = builder().heartbeat(None).build().unwrap();
    let host = Host::start(Kind::Plain, gateway).await;
    let sent = message(text);
    let count = 200_000 / sent.len() + 1;
    let sent = [message(r#"{"route":"stuck"}"#), sent.repeat(count)].concat();
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        clients.push(host.connect("one").await.0);
    }
    host.until_open(SESSIONS as u64).await;
    let before = memory();
    for client in &mut clients {
        client.send_raw(&sent).await.unwrap();
    }
    until("as much is read as will be", async || {
        let held = host.gateway.stats().assembling_bytes as usize;
        held > SESSIONS * 64 * 1024
    })
    .await;
    let (taken, held) = (memory() - before, host.gateway.stats().assembling_bytes);
    // What is written to the sockets, and the handlers themselves, is not in the accounts.
    let most = held as i64 * 5 / 4 + SESSIONS as i64 * 8_192;
    println!("{what}: {taken} bytes taken, {held} accounted");
    assert!(
        taken <= most,
        "{what}: {taken} bytes are taken where {held} count"
    );
}

#[tokio::test]
async fn the_memory_of_what_was_read_is_in_the_accounts() {
    fill("tiny", r#"{"route":"n"}"#).await;
}

#[tokio::test]
async fn so_is_that_of_messages_with_an_id_and_data() {
    let data = r#"{"id":"42","route":"n","data":{"text":"hello","at":[1,2,3]}}"#;
    fill("data", data).await;
}

#[tokio::test]
async fn so_is_that_of_messages_with_metadata() {
    let entries: Vec<_> = (0..64).map(|n| format!(r#""{n}":"""#)).collect();
    let metadata = format!(r#"{{"route":"n","metadata":{{{}}}}}"#, entries.join(","));
    fill("metadata", &metadata).await;
}

#[tokio::test]
async fn so_is_that_of_messages_with_escapes_and_large_ones() {
    fill("escaped", r#"{"id":"\u0041","route":"\u006e"}"#).await;
    let large = format!(r#"{{"route":"n","data":"{}"}}"#, "x".repeat(30_000));
    fill("large", &large).await;
}
