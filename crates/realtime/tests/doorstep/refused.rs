//! First messages that show no token, or none that is right: what each client is told, and that
//! nothing is left of it.

use realtime::Config;
use realtime_testkit::wait::until;
use realtime_websocket::frame;
use serde_json::json;

use super::{
    MS, SECOND, Server, builder, code, end, first_message, nobody, start, text_frame,
    until_nothing_is_left,
};

fn masked(opcode: u8, fin: bool, payload: &[u8]) -> Vec<u8> {
    frame::fragment(opcode, fin, payload, Some([1, 2, 3, 4])).into()
}

fn text(text: &str) -> Vec<u8> {
    masked(1, true, text.as_bytes())
}

/// What is sent first, and the code of the close frame that comes back.
fn rows() -> Vec<(&'static str, Vec<u8>, u16)> {
    let shows = |token: &str| text(&first_message(token));
    let authenticate = |data: serde_json::Value| {
        text(&json!({"id": 1, "route": "authenticate", "data": data}).to_string())
    };
    let large = format!(
        r#"{{"route":"authenticate","data":"{}"}}"#,
        "x".repeat(16 * 1024)
    );
    let mut unmasked = frame::server_frame(frame_kind(), b"{}").to_vec();
    unmasked.extend_from_slice(b"and more");
    let fragments = [
        masked(1, false, &[b'x'; 9_000]),
        masked(0, true, &[b'x'; 9_000]),
    ];
    vec![
        ("a wrong token", shows("wrong"), 3500),
        ("an expired token", shows("expired"), 3005),
        ("an issuer that is away", shows("away"), 1013),
        ("an authenticator that panics", shows("panics"), 1011),
        ("an authenticator that hangs", shows("hangs"), 1013),
        ("no token at all", shows(""), 3500),
        ("a token with a space", shows("a b"), 3500),
        ("a token that is too long", shows(&"x".repeat(9_000)), 3500),
        (
            "another message",
            text(r#"{"id":1,"route":"echo","data":1}"#),
            3502,
        ),
        ("no data", authenticate(json!(null)), 3502),
        (
            "a token that is no text",
            authenticate(json!({"token": 7})),
            3502,
        ),
        (
            "an answer",
            text(r#"{"reply":"1","route":"authenticate","data":{"token":"a"}}"#),
            3502,
        ),
        ("garbage", text("garbage"), 3502),
        ("nothing", text(""), 3502),
        (
            "a binary frame",
            masked(2, true, first_message("ann").as_bytes()),
            3502,
        ),
        ("a large message", text(&large), 3502),
        ("large fragments", fragments.concat(), 3502),
        (
            "a length of 2^62",
            vec![0x81, 0xff, 0x40, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
            3502,
        ),
        ("an unmasked frame", unmasked, 1002),
        (
            "bytes that are no frame",
            b"GET / HTTP/1.1\r\n\r\n".to_vec(),
            1002,
        ),
        (
            "a flood that is no frame",
            b"GET / HTTP/1.1\r\n".repeat(20_000),
            1002,
        ),
        ("no UTF-8", masked(1, true, b"\xff"), 1007),
        (
            "a close frame",
            masked(8, true, &frame::close_payload(4321, "bye")),
            4321,
        ),
        ("a close frame without a code", masked(8, true, b""), 1005),
    ]
}

const fn frame_kind() -> realtime_websocket::Kind {
    realtime_websocket::Kind::Text
}

#[tokio::test]
async fn each_is_told_why_and_nothing_is_left() {
    let server = start(builder().auth_timeout(Some(100 * MS))).await;
    let rows = rows();
    let count = rows.len() as u64;
    for (what, sent, expected) in rows {
        let mut client = nobody(&server).await;
        client.send_raw(&sent).await.unwrap();
        assert_eq!(code(&mut client).await, expected, "{what}");
        // The socket ends in order: the frame isn't lost in a reset.
        client.close(1000, "").await.ok();
        client.eof().await;
    }
    until_nothing_is_left(&server.gateway).await;
    let stats = server.gateway.stats();
    assert_eq!((stats.opened, stats.first_messages_refused), (0, count));
    end(server, ()).await;
}

#[tokio::test]
async fn nothing_behind_it_is_handled() {
    let server = start(builder()).await;
    let mut client = nobody(&server).await;
    let sent = [
        text_frame(r#"{"id":1,"route":"echo","data":1}"#),
        text_frame(&first_message("ann")),
        text_frame(r#"{"id":2,"route":"who"}"#),
    ];
    client.send_raw(&sent.concat()).await.unwrap();
    let why = "expected a first message that shows a token";
    let closed = realtime_testkit::wait::within("a close frame", client.recv()).await;
    let realtime_websocket::Event::Close(Some(close)) = closed.unwrap() else {
        panic!("expected a close frame first of all");
    };
    assert_eq!((close.code, &*close.reason), (3502, why));
    assert_eq!(server.gateway.stats().received, 0);
    end(server, client).await;
}

#[tokio::test]
async fn what_was_revoked_stays_so() {
    let server = start(builder()).await;
    let mut ann = nobody(&server).await;
    super::show(&mut ann, "ann").await;
    let ann_s = realtime::revocation::Revocation::token("ann");
    server.gateway.revoke(ann_s).await.unwrap();
    assert_eq!(code(&mut ann).await, 3500);
    let mut again = nobody(&server).await;
    again.send_text(&first_message("ann")).await.unwrap();
    assert_eq!(again.closed().await, Some((3500, "revoked".into())));
    end(server, (ann, again)).await;
}

#[tokio::test]
async fn a_client_that_leaves_is_let_go_at_once() {
    let tokens = super::Tokens::default();
    let asking = std::sync::Arc::clone(&tokens.asking);
    let builder = builder().authenticator(tokens).auth_timeout(None);
    let server = start(builder).await;
    // Before it has said anything, in the middle of it, and while it is asked about.
    let idle = nobody(&server).await;
    let mut half = nobody(&server).await;
    half.send_raw(&text(&first_message("ann"))[..20])
        .await
        .unwrap();
    let mut asked = nobody(&server).await;
    asked.send_text(&first_message("hangs")).await.unwrap();
    let is_asked = async || asking.load(std::sync::atomic::Ordering::SeqCst) == 1;
    until("it is asked about", is_asked).await;
    assert_eq!(server.gateway.stats().authenticating, 3);
    drop((idle, half, asked));
    until_nothing_is_left(&server.gateway).await;
    assert_eq!(asking.load(std::sync::atomic::Ordering::SeqCst), 0);
    assert_eq!(server.gateway.stats().first_messages_refused, 3);
    end(server, ()).await;
}

#[tokio::test]
async fn time_is_up_for_whoever_has_not_shown_one() {
    let mut config = Config::default();
    config.token_in_message = Some(SECOND / 2);
    let gateway = crate::support::compressing(builder().config(config))
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let in_time = "not authenticated in time".to_owned();
    let begun = tokio::time::Instant::now();
    let mut silent = nobody(&server).await;
    let mut half = nobody(&server).await;
    half.send_raw(&text(&first_message("ann"))[..20])
        .await
        .unwrap();
    assert_eq!(silent.closed().await, Some((3502, in_time.clone())));
    assert!(begun.elapsed() >= SECOND / 2);
    assert_eq!(half.closed().await, Some((3502, in_time.clone())));

    // Neither a drip of bytes nor pings prolong it.
    let mut drips = nobody(&server).await;
    let mut pings = nobody(&server).await;
    let message = text(&first_message(&"x".repeat(8_000)));
    let dripping = async {
        for byte in &message[..4_000] {
            if drips.send_raw(&[*byte]).await.is_err() {
                break;
            }
            tokio::time::sleep(MS).await;
            if let Ok(closed) = tokio::time::timeout(MS, drips.closed()).await {
                return closed;
            }
        }
        drips.closed().await
    };
    let pinging = async {
        loop {
            let flood = masked(9, true, &[b'x'; 125]).repeat(50);
            let sent = pings.send_raw(&flood).await;
            if sent.is_err() {
                return None;
            }
            if let Ok(closed) = tokio::time::timeout(MS, pings.closed()).await {
                return closed;
            }
        }
    };
    let (dripping, pinging) = tokio::join!(dripping, pinging);
    assert_eq!(dripping, Some((3502, in_time.clone())));
    assert_eq!(pinging, Some((3502, in_time)));
    until_nothing_is_left(&server.gateway).await;
    end(server, (silent, half, drips, pings)).await;
}

/// One that reads nothing, and one that answers nothing, hold their places a moment longer.
#[tokio::test]
async fn who_takes_no_leave_is_cut_off() {
    let server = start(builder()).await;
    let mut mute = nobody(&server).await;
    mute.send_text("garbage").await.unwrap();
    assert_eq!(code(&mut mute).await, 3502);
    // It sends on, and never closes.
    for _ in 0..50 {
        if mute.send_text(&"x".repeat(60_000)).await.is_err() {
            break;
        }
    }
    until_nothing_is_left(&server.gateway).await;
    drop(mute);
    end(server, ()).await;
}
