//! A token in the first message of a dialect, and what stands behind it in the same frame.

use std::sync::LazyLock;

use realtime::auth::{Credentials, Token};

use super::*;

struct Tokens;

impl Authenticator for Tokens {
    async fn authenticate(&self, _: &axum::http::request::Parts) -> Result<Identity, AuthError> {
        Err(AuthError::unauthorized("no token"))
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        match token.expose() {
            "wrong" => Err(AuthError::unauthorized("wrong")),
            name => Ok(Identity::new(name)),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        static BEARER: LazyLock<Credentials> = LazyLock::new(Credentials::bearer);
        Some(&BEARER)
    }
}

async fn server() -> Server {
    let builder = builder()
        .authenticator(Tokens)
        .token_in_message(Some(Duration::from_secs(60)));
    start(builder).await
}

async fn nobody(server: &Server) -> Client {
    let request = Request::new("/ws").header("Sec-WebSocket-Protocol", "slang");
    request.connect(server.addr).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_opens_the_session_answers_it_and_the_rest_is_handled() {
    let server = server().await;
    let mut ann = nobody(&server).await;
    ann.send_text("7 authenticate ann\n8 who\n9 join kept:a\n10 echo 1")
        .await
        .unwrap();
    assert_eq!(hear(&mut ann).await, "welcome ann 7");
    assert_eq!(hear(&mut ann).await, "8 ok \"ann\"");
    assert!(hear(&mut ann).await.starts_with("9 in at 0"));
    assert_eq!(hear(&mut ann).await, "10 ok 1");
    ann.send_text("11 echo 2").await.unwrap();
    assert_eq!(hear(&mut ann).await, "11 ok 2");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_else_comes_first_is_no_token() {
    let server = server().await;
    for (first, code) in [
        ("8 who\n7 authenticate ann", 3502),
        ("", 3502),
        ("?", 3502),
        ("7 authenticate wrong", 3500),
    ] {
        let mut client = nobody(&server).await;
        client.send_text(first).await.unwrap();
        assert_eq!(client.closed().await.unwrap().0, code, "{first:?}");
    }
}

/// What is wrong behind the token spoils neither the token nor what is right.
#[tokio::test(flavor = "multi_thread")]
async fn what_stands_behind_the_token_is_as_if_it_came_later() {
    let mut limits = realtime::config::Limits::default();
    limits.messages_per_session = Some(realtime::config::Rate::per_second(1).with_burst(2));
    let limited = builder()
        .authenticator(Tokens)
        .token_in_message(Some(Duration::from_secs(60)))
        .limits(limits);
    let server = start(limited).await;
    let mut ann = nobody(&server).await;
    ann.send_text("7 authenticate ann\nnonsense\n8 echo 1\n?\n9 echo 2\n10 echo 3")
        .await
        .unwrap();
    assert_eq!(hear(&mut ann).await, "welcome ann 7");
    let mut answers = Vec::new();
    for _ in 0..5 {
        answers.push(hear(&mut ann).await);
    }
    answers.sort();
    let expected = [
        "- sorry malformed",
        "10 sorry too_many_requests",
        "8 ok 1",
        "9 sorry too_many_requests",
        "yes somebody",
    ];
    assert_eq!(answers, expected);
    // Each part of the frame counts, and for one thing.
    let stats = server.gateway.stats();
    let counted = (stats.received, stats.malformed, stats.rate_limited);
    assert_eq!(counted, (3, 1, 2));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_turned_away_is_so_with_a_code_of_its_protocol() {
    let server = server().await;
    let (mut slang, mut plain) = (nobody(&server).await, server.connect().await);
    server.gateway.shutdown().await;
    // What it says of its end, and when to come back, as those hear who have a session.
    let last = "bye 1001 the server is shutting down, come back";
    assert_eq!(hear(&mut slang).await, last);
    for (client, expected) in [(&mut slang, 4200), (&mut plain, 1001)] {
        let (code, reason) = client.closed().await.unwrap();
        let said: Value = serde_json::from_str(&reason).unwrap();
        assert_eq!(
            (code, &said["reason"]),
            (expected, &json!("the server is shutting down"))
        );
        assert!(
            (0.0..=1.0).contains(&said["retry_after"].as_f64().unwrap()),
            "{said}"
        );
    }
}
