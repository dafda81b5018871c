//! What opens a session, and whether its client is there.

use realtime::{CloseCode, IdentityKey, error::SendError, room::RoomName};

use super::*;

#[tokio::test(flavor = "multi_thread")]
async fn it_comes_before_everything_else() {
    let hook = async |session: Session| -> Result<(), SendError> { session.send("hook", Json(1)) };
    let server = start(builder().on_connect(hook)).await;
    for _ in 0..20 {
        let request = Request::new("/ws?ann").header("Sec-WebSocket-Protocol", "slang");
        let mut ann = request.connect(server.addr).await.unwrap();
        ann.send_text("1 echo 1").await.unwrap();
        assert_eq!(hear(&mut ann).await, "welcome ann -");
        assert_eq!(hear(&mut ann).await, "- hook 1");
        assert_eq!(hear(&mut ann).await, "1 ok 1");
    }
}

/// Pages see no ping frames: a dialect may ask by messages of its own, and any message answers.
#[tokio::test(flavor = "multi_thread")]
async fn it_may_ask_in_its_own_words_whether_the_client_is_there() {
    let pinging = crate::support::builder()
        .authenticator(ByName)
        .dialect(Slang { pings: true })
        .heartbeat(Some(Duration::from_millis(200)))
        .pong_timeout(Some(Duration::from_millis(600)));
    let server = start(pinging).await;
    let mut lively = speaking(&server, "slang", "lively").await;
    for _ in 0..6 {
        assert_eq!(hear(&mut lively).await, "are you there");
        lively.send_text("").await.unwrap();
    }
    // Pings of the protocol's own aren't sent, and don't count; nor is silence forgiven.
    let mut silent = speaking(&server, "slang", "silent").await;
    assert_eq!(hear(&mut silent).await, "are you there");
    let (code, _) = silent.closed().await.unwrap();
    assert_eq!(CloseCode::new(code).unwrap(), CloseCode::PONG_TIMEOUT);
    // Others are asked as ever.
    let mut json = Request::new("/ws?json").connect(server.addr).await.unwrap();
    json.auto_pong = false;
    let event = json.recv().await.unwrap();
    assert!(
        matches!(event, realtime_websocket::Event::Ping(_)),
        "{event:?}"
    );
}

/// Who is put into a room by the server is told so, where its protocol has words for it, before
/// anything of the room.
#[tokio::test(flavor = "multi_thread")]
async fn who_is_put_into_a_room_is_told() {
    let server = start(builder()).await;
    let mut ann = speaking(&server, "slang", "ann").await;
    let mut json = speaking(&server, "realtime.json", "ann").await;
    for room in ["open:a", "kept:a"] {
        let to = || server.gateway.room(room.parse::<RoomName>().unwrap());
        to().send("news", Json("before")).await.unwrap();
        let key = IdentityKey::new("ann").with_tenant("acme");
        server.gateway.identity(&key).join(room).await.unwrap();
        to().send("news", Json("after")).await.unwrap();
        let at = u64::from(room == "kept:a");
        assert_eq!(hear(&mut ann).await, format!("you are in {room} at {at}"));
        let heard = hear(&mut ann).await;
        assert!(
            heard.starts_with(room) && heard.ends_with("after\""),
            "{heard}"
        );
        assert_eq!(json.recv_json().await.unwrap()["data"], "after");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_have_close_codes_of_its_own() {
    let server = start(builder()).await;
    let mut ann = speaking(&server, "slang", "ann").await;
    let mut json = speaking(&server, "realtime.json", "ann").await;
    let mut leaves = speaking(&server, "slang", "bob").await;
    leaves.close(1001, "bye").await.unwrap();
    assert_eq!(leaves.closed().await.unwrap().0, 1001);
    server.gateway.shutdown().await;
    assert_eq!(ann.closed().await.unwrap().0, 4200);
    assert_eq!(json.closed().await.unwrap().0, 1001);
}

#[tokio::test(flavor = "multi_thread")]
async fn it_may_say_of_a_close_what_no_frame_has_room_for() {
    let server = start(builder()).await;
    let mut ann = speaking(&server, "slang", "ann").await;
    server.gateway.drain(std::time::Duration::ZERO).await;
    assert_eq!(
        hear(&mut ann).await,
        "bye 1001 the server is shutting down, come back"
    );
    let (code, reason) = ann.closed().await.unwrap();
    assert_eq!(code, 4200);
    assert!(reason.contains("\"retry_after\":0"), "{reason}");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_panics_over_a_close_costs_its_client_nothing_but_the_word() {
    let server = start(builder()).await;
    let mut ann = speaking(&server, "slang", "ann").await;
    for session in server.gateway.local_sessions() {
        session.close(realtime::CloseCode::GOING_AWAY, "unspeakable");
    }
    let end = ann.closed().await.unwrap();
    assert_eq!(end, (4200, "unspeakable".to_owned()));
}
