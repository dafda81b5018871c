//! A first message that shows a token which is right.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::SeqCst},
};

use realtime::{IdentityKey, Json, Session};
use realtime_testkit::client::Request;
use realtime_websocket::{Event, frame};
use serde_json::json;

use super::{
    builder, end, first_message, nobody, show, start, text_frame, tokens::Tokens, who, with,
};

#[tokio::test]
async fn begins_a_session_and_is_answered_under_its_id() {
    let tokens = Tokens::default();
    let server = start(builder().authenticator(tokens.clone())).await;
    let mut ann = nobody(&server).await;
    let answer = show(&mut ann, "an-hour").await;
    assert_eq!(
        (&answer["id"], &answer["route"]),
        (&json!(1), &json!("authenticate"))
    );
    let seconds = answer["data"]["seconds"].as_u64().unwrap();
    assert!((3_590..=3_600).contains(&seconds), "{seconds}");
    assert_eq!(who(&mut ann).await, "ann");

    let mut bob = nobody(&server).await;
    let answer = show(&mut bob, "bob").await;
    assert_eq!(answer["data"], json!({}), "it doesn't end");
    // The same route as ever, from here on.
    let again = bob.request("authenticate", json!({"token": "bob"})).await;
    assert_eq!(again.unwrap()["route"], "authenticate");
    assert_eq!(tokens.asked.load(SeqCst), 0, "no request was asked about");
    let stats = server.gateway.stats();
    assert_eq!((stats.opened, stats.open, stats.authenticating), (2, 2, 0));
    assert_eq!((stats.refused, stats.first_messages_refused), (0, 0));
    end(server, (ann, bob)).await;
}

#[tokio::test]
async fn who_shows_a_credential_in_the_request_needs_none_in_a_message() {
    let server = start(builder()).await;
    let mut ann = with(&server, "ann").await;
    assert_eq!(who(&mut ann).await, "ann");
    // What is wrong in a request isn't made good by a message.
    let request = Request::new("/ws?token=wrong");
    assert_eq!(request.refused(server.addr).await.status, 401);
    let request = Request::new("/ws?token=a&token=b");
    assert_eq!(request.refused(server.addr).await.status, 401);
    // One of another scheme is none.
    let request = Request::new("/ws").header("Authorization", "Basic dTpw");
    let mut bob = request.connect(server.addr).await.unwrap();
    show(&mut bob, "bob").await;
    assert_eq!(who(&mut bob).await, "bob");
    end(server, (ann, bob)).await;
}

/// Of an application beside ours, say.
#[tokio::test]
async fn a_cookie_that_can_be_no_token_is_nothing_that_was_shown() {
    let server = start(builder()).await;
    let request = Request::new("/ws").header("Cookie", "auth={\"a\": 1}");
    let mut ann = request.connect(server.addr).await.unwrap();
    show(&mut ann, "ann").await;
    assert_eq!(who(&mut ann).await, "ann");
    end(server, ann).await;
}

#[tokio::test]
async fn nothing_knows_of_the_client_before() {
    let connected = Arc::new(AtomicUsize::new(0));
    let hook = {
        let connected = Arc::clone(&connected);
        move |session: Session| {
            connected.fetch_add(1, SeqCst);
            async move { session.send("welcome", Json(session.identity_key().id())) }
        }
    };
    let server = start(builder().on_connect(hook)).await;
    let mut ann = nobody(&server).await;
    // It is there, and read.
    ann.send_frame(9, true, b"?").await.unwrap();
    assert_eq!(ann.recv().await.unwrap(), Event::Pong("?".into()));
    server
        .gateway
        .broadcast("news", Json("early"))
        .await
        .unwrap();
    let stats = server.gateway.stats();
    assert_eq!((stats.authenticating, stats.open, stats.opened), (1, 0, 0));
    assert_eq!(connected.load(SeqCst), 0);
    let key = IdentityKey::new("ann");
    assert!(!server.gateway.is_online(&key).await.unwrap());

    assert_eq!(show(&mut ann, "ann").await["route"], "authenticate");
    assert_eq!(ann.recv_json().await.unwrap()["route"], "welcome");
    assert_eq!(connected.load(SeqCst), 1);
    assert!(server.gateway.is_online(&key).await.unwrap());
    end(server, ann).await;
}

#[tokio::test]
async fn what_was_sent_behind_it_is_not_lost() {
    let server = start(builder()).await;
    let mut ann = nobody(&server).await;
    let mut sent = text_frame(&first_message("ann")).to_vec();
    // More than is read at once.
    let long = "x".repeat(10_000);
    for n in 0..20 {
        let message = json!({"id": n, "route": "echo", "data": [n, &long]});
        sent.extend_from_slice(&text_frame(&message.to_string()));
    }
    ann.send_raw(&sent).await.unwrap();
    assert_eq!(ann.recv_json().await.unwrap()["route"], "authenticate");
    for n in 0..20 {
        let answer = ann.recv_json().await.unwrap();
        assert_eq!((&answer["id"], &answer["data"][0]), (&json!(n), &json!(n)));
    }
    // Half a frame behind it, and the rest afterwards.
    let mut bob = nobody(&server).await;
    let question = text_frame(&json!({"id": 2, "route": "who"}).to_string());
    let (half, rest) = question.split_at(9);
    let sent = [&text_frame(&first_message("bob"))[..], half].concat();
    bob.send_raw(&sent).await.unwrap();
    assert_eq!(bob.recv_json().await.unwrap()["id"], 1);
    bob.send_raw(rest).await.unwrap();
    assert_eq!(bob.recv_json().await.unwrap()["data"], "bob");
    end(server, (ann, bob)).await;
}

#[tokio::test]
async fn it_may_come_with_the_request_and_in_pieces() {
    let server = start(builder()).await;
    let mut ann = nobody(&server).await;
    let message = first_message("ann");
    let (a, b) = message.as_bytes().split_at(20);
    ann.send_frame(1, false, a).await.unwrap();
    ann.send_frame(9, true, b"between").await.unwrap();
    ann.send_frame(0, true, b).await.unwrap();
    assert_eq!(ann.recv().await.unwrap(), Event::Pong("between".into()));
    assert_eq!(ann.recv_json().await.unwrap()["id"], 1);
    assert_eq!(who(&mut ann).await, "ann");

    // Byte by byte.
    let mut bob = nobody(&server).await;
    for byte in text_frame(&first_message("bob")) {
        bob.send_raw(&[byte]).await.unwrap();
    }
    assert_eq!(bob.recv_json().await.unwrap()["id"], 1);
    assert_eq!(who(&mut bob).await, "bob");
    end(server, (ann, bob)).await;
}

#[tokio::test]
async fn one_without_an_id_is_not_answered() {
    let server = start(builder()).await;
    let mut ann = nobody(&server).await;
    let data = json!({"token": "ann"});
    let message = json!({"route": "authenticate", "data": data, "metadata": {"v": "2"}});
    ann.send_text(&message.to_string()).await.unwrap();
    ann.send_text(&json!({"id": 7, "route": "who"}).to_string())
        .await
        .unwrap();
    let answer = ann.recv_json().await.unwrap();
    assert_eq!((&answer["id"], &answer["data"]), (&json!(7), &json!("ann")));
    end(server, ann).await;
}

#[tokio::test]
async fn a_client_that_leaves_right_after_it_is_still_handled() {
    let server = start(builder()).await;
    let mut ann = nobody(&server).await;
    let question = json!({"id": 2, "route": "who"}).to_string();
    let sent = [
        text_frame(&first_message("ann")),
        text_frame(&question),
        frame::fragment(
            8,
            true,
            &frame::close_payload(1000, "done"),
            Some([1, 2, 3, 4]),
        ),
    ];
    ann.send_raw(&sent.concat()).await.unwrap();
    assert_eq!(ann.recv_json().await.unwrap()["id"], 1);
    assert_eq!(ann.recv_json().await.unwrap()["data"], "ann");
    assert_eq!(ann.closed().await, Some((1000, "done".into())));
    super::until_nothing_is_left(&server.gateway).await;
    end(server, ann).await;
}
