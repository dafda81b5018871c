//! The end of a session has a bound, whatever its handler, its peer or the gateway are busy with.

use std::time::Duration;

use realtime::{Builder, Json, Payload, Router, Session};
use realtime_testkit::wait::{until, within};
use realtime_websocket::{
    Kind as FrameKind,
    frame::{self, Opcode},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use crate::host::{ALL, AnyClient, ByName, FOREIGN, Host, Kind};

/// How long a peer that says nothing is waited for.
const SILENCE: Duration = Duration::from_secs(1);

fn builder() -> Builder {
    let router = Router::new().route("stuck", async || std::future::pending::<()>().await);
    realtime::builder().router(router).authenticator(ByName)
}

/// A client whose handler never returns.
async fn busy(host: &Host) -> (AnyClient, Session) {
    let (mut client, _) = host.connect("busy").await;
    client.send("stuck", Value::Null).await.unwrap();
    let runs = async || host.gateway.stats().received == 1;
    until("its handler runs", runs).await;
    (client, host.session("busy").await)
}

/// The same, which has left. What it has sent before is still handled for a while.
async fn leaving(host: &Host) -> (AnyClient, Session) {
    let (mut client, session) = busy(host).await;
    client.close(1000, "").await.unwrap();
    within("its close frame", session.closed()).await;
    (client, session)
}

#[tokio::test]
async fn who_finishes_what_came_before_is_cut_off_at_the_shutdown_deadline() {
    for kind in ALL {
        let host = Host::start(kind, builder().build().unwrap()).await;
        let (_client, _) = leaving(&host).await;
        let shutdown = host.gateway.shutdown_within(Duration::ZERO);
        let report = within("the shutdown", shutdown).await;
        assert_eq!((report.aborted, report.tasks_left), (1, 0), "{kind:?}");
    }
}

/// Its clock stands still from then on.
#[tokio::test]
async fn who_finishes_what_came_before_ends_with_the_last_handle_of_the_gateway() {
    let host = Host::start(Kind::Hyper, builder().build().unwrap()).await;
    let (mut client, _) = leaving(&host).await;
    drop(host);
    within("the end of the connection", client.eof()).await;
}

#[tokio::test]
async fn what_was_not_handled_at_the_shutdown_deadline_is_counted() {
    let host = Host::start(Kind::Plain, builder().build().unwrap()).await;
    let (mut client, session) = busy(&host).await;
    for _ in 0..3 {
        client.send("stuck", Value::Null).await.unwrap();
    }
    client.close(1000, "").await.unwrap();
    within("its close frame", session.closed()).await;
    host.gateway.shutdown_within(Duration::ZERO).await;
    assert_eq!(host.gateway.stats().unhandled, 3);
}

#[tokio::test]
async fn a_connection_that_accepts_nothing_is_ended_though_its_handler_is_not() {
    for kind in ALL {
        let short = Some(Duration::from_millis(200));
        let gateway = builder().write_timeout(short).build().unwrap();
        let host = Host::start(kind, gateway).await;
        let (mut client, session) = busy(&host).await;
        let large = Payload::from(format!("\"{}\"", "x".repeat(16 << 20)));
        session.send("n", &large).unwrap();
        within("the write timeout", session.closed()).await;
        within("the end of the connection", client.eof()).await;
    }
}

#[tokio::test]
async fn so_is_one_that_goes_on_sending_after_our_close_frame() {
    for kind in [Kind::Plain, Kind::Secured] {
        let host = Host::start(kind, builder().build().unwrap()).await;
        let (mut client, session) = busy(&host).await;
        session.close(realtime::CloseCode::new(4000).unwrap(), "");
        let sends = async {
            while client.send("n", json!("x")).await.is_ok() {
                sleep(Duration::from_millis(5)).await;
            }
        };
        within("the end of the connection", sends).await;
    }
}

/// A peer that takes nothing can't hold its place for ever, once it is closed.
#[tokio::test(start_paused = true)]
async fn closing_has_a_bound_where_writing_has_none() {
    let gateway = builder().write_timeout(None).build().unwrap();
    let host = Host::start(Kind::Hyper, gateway).await;
    let (_client, _) = host.connect("deaf").await;
    let session = host.session("deaf").await;
    session.send("n", Json(&"x".repeat(100_000))).unwrap();
    session.close(realtime::CloseCode::new(4000).unwrap(), "");
    let gone = async {
        while host.gateway.stats().closed == 0 {
            sleep(Duration::from_millis(100)).await;
        }
    };
    let gone = timeout(Duration::from_secs(30), gone).await;
    gone.expect("it is closed");
    assert_eq!(host.gateway.stats().open, 0);
}

/// Its close frame is found, where its frames can still be told apart. Where they can't be, nobody
/// waits for it.
#[tokio::test(start_paused = true)]
async fn who_broke_the_protocol_sees_the_end_of_the_connection_without_delay() {
    const KEY: [u8; 4] = [1, 2, 3, 4];
    let frame = |kind, payload: &[u8]| frame::client_frame(true, kind, payload, KEY);
    let too_large = frame(Opcode::Binary, &vec![7; 2 << 20]);
    for (sent, code, answers) in [
        (frame(Opcode::Text, b"\xff"), 1007, true),
        (too_large, 1009, true),
        (frame(Opcode::Continuation, b"of nothing"), 1002, true),
        (b"\x83\x80\x01\x02\x03\x04"[..].into(), 1002, false),
        (b"\x81\x02hi"[..].into(), 1002, false),
    ] {
        let host = Host::start(Kind::Hyper, builder().build().unwrap()).await;
        let (mut client, _) = host.connect("broken").await;
        client.send_raw(&sent).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, code);
        let closed = Instant::now();
        if answers {
            let answer = frame(Opcode::Close, &1000u16.to_be_bytes());
            client.send_raw(&answer).await.unwrap();
        }
        within("the end of the connection", client.eof()).await;
        assert!(
            closed.elapsed() < Duration::from_millis(500),
            "after {code}"
        );
    }
}

/// One that takes something now and then gets all of it.
#[tokio::test(start_paused = true)]
async fn and_still_lets_a_slow_peer_have_everything() {
    for kind in FOREIGN.into_iter().filter(|kind| *kind == Kind::Hyper) {
        let gateway = builder()
            .write_timeout(None)
            .heartbeat(None)
            .build()
            .unwrap();
        let host = Host::start(kind, gateway).await;
        let (mut client, _) = host.connect("slow").await;
        let session = host.session("slow").await;
        for _ in 0..8 {
            session.send("n", Json(&"x".repeat(60_000))).unwrap();
        }
        session.close(realtime::CloseCode::new(4000).unwrap(), "");
        for _ in 0..8 {
            sleep(Duration::from_secs(8)).await;
            assert_eq!(client.recv_json().await.unwrap()["route"], "n");
        }
        assert_eq!(client.closed().await.unwrap().0, 4000);
    }
}

/// One whose upload is refused reads that, ends what it was sending, and answers. There is nothing
/// else to wait for then: a silent peer would be waited for.
#[tokio::test]
async fn a_close_frame_is_found_behind_a_message_that_is_too_big() {
    for kind in ALL {
        let host = Host::start(kind, builder().read_limit(1_000).build().unwrap()).await;
        let (mut client, _) = host.connect("uploads").await;
        let key = [1, 2, 3, 4];
        let upload = frame::client_frame(true, FrameKind::Binary, &[7; 60_000], key);
        let (begun, rest) = upload.split_at(20_000);
        client.send_raw(begun).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, 1009, "{kind:?}");
        client.send_raw(rest).await.unwrap();
        client.close(1009, "").await.unwrap();
        let answered = Instant::now();
        within("the end of the connection", client.eof()).await;
        assert!(answered.elapsed() < SILENCE, "{kind:?}");
    }
}
