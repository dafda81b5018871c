//! An identity ends: its client is told, shows a fresh token, or is closed.

use std::{sync::atomic::Ordering::SeqCst, time::Instant};

use realtime::Identity;
use realtime_testkit::{client::Request, wait::until};
use serde_json::{Value, json};

use super::{
    MS, SECOND, builder, close, refused, roles, show,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

async fn server(tokens: &Tokens) -> Server {
    let builder = builder(tokens)
        .expiry_notice(Some(SECOND))
        .expiry_grace(Some(SECOND));
    Server::start(builder.build().unwrap()).await
}

#[tokio::test]
async fn who_shows_nothing_fresh_is_told_and_closed_after_its_grace() {
    let server = server(&Tokens::default()).await;
    let mut client = with(&server, &Token::of("ann").ends_in(2 * SECOND)).await;
    let begun = Instant::now();
    let told = client.recv_json().await.unwrap();
    assert_eq!(told, json!({"route": "expiring", "data": {"seconds": 0}}));
    assert!(begun.elapsed() > 800 * MS);
    // It is served until then, and is told once.
    assert_eq!(roles(&mut client).await, json!([]));
    assert_eq!(close(&mut client).await, (3005, "expired".to_owned()));
    let lasted = begun.elapsed();
    assert!(lasted > 2800 * MS && lasted < 6 * SECOND, "{lasted:?}");
    until("it is counted", async || {
        server.gateway.stats().expired == 1
    })
    .await;
}

#[tokio::test]
async fn one_connection_outlives_its_tokens_and_handlers_see_the_newest() {
    let server = server(&Tokens::default()).await;
    let mut client = with(&server, &Token::of("a/ann").ends_in(SECOND)).await;
    for life in 1..=5 {
        assert_eq!(client.recv_json().await.unwrap()["route"], "expiring");
        let fresh = Token::of("a/ann")
            .ends_in(SECOND)
            .roles(&format!("r{life}"));
        let answer = show(&mut client, &fresh).await;
        assert_eq!(answer["route"], "authenticate");
        assert_eq!(answer["data"], json!({"seconds": 0}));
        assert_eq!(roles(&mut client).await, json!([format!("r{life}")]));
    }
    // One that has no end.
    assert_eq!(
        show(&mut client, &Token::of("a/ann")).await["data"],
        json!({})
    );
    let sessions = server.gateway.stats();
    assert_eq!((sessions.opened, sessions.authenticated_again), (1, 6));
    tokio::time::sleep(3 * SECOND).await;
    assert_eq!(
        roles(&mut client).await,
        json!([]),
        "it doesn't end any more"
    );
}

#[tokio::test]
async fn a_token_that_is_not_right_ends_the_session_and_one_too_late_does_not() {
    let tokens = Tokens::default();
    let server = server(&tokens).await;
    for wrong in ["bob", "b/ann", "nobody"] {
        let mut client = with(&server, &Token::of("ann")).await;
        let data = json!({"token": Token::of(wrong).to_string()});
        client.send("authenticate", data).await.unwrap();
        assert_eq!(close(&mut client).await.0, 3500, "{wrong}");
    }
    let mut client = with(&server, &Token::of("ann").roles("old")).await;
    let late = Token::of("ann").roles("late").ends_in(MS);
    tokio::time::sleep(150 * MS).await;
    assert_eq!(show(&mut client, &late).await["data"]["code"], "expired");
    tokens.away.store(true, SeqCst);
    let away = show(&mut client, &Token::of("ann")).await;
    assert_eq!(away["data"]["code"], "unavailable");
    assert_eq!(away["data"]["temporary"], true);
    tokens.away.store(false, SeqCst);
    for data in [
        json!({}),
        json!({"token": 7}),
        json!({"token": "a b"}),
        json!({"token": null}),
        Value::Null,
    ] {
        let answer = client.request("authenticate", data).await.unwrap();
        assert_eq!(answer["data"]["code"], "bad_data");
        let message = answer["data"]["message"].as_str().unwrap();
        assert!(message.starts_with("expected "), "{message}");
    }
    let long = json!({"token": "x".repeat(100_000)});
    let answer = client.request("authenticate", long).await.unwrap();
    assert_eq!(answer["data"]["code"], "bad_data");
    assert_eq!(roles(&mut client).await, json!(["old"]));
    assert_eq!(refused(&server, &late).await, 401);
    until("they are counted", async || {
        server.gateway.stats().unauthorized == 3
    })
    .await;
}

/// Whether they are right, ended, or say something else each time.
#[tokio::test]
async fn a_flood_of_tokens_is_looked_at_a_few_times_and_then_ends() {
    let tokens = Tokens::default();
    let server = server(&tokens).await;
    let mut client = with(&server, &Token::of("ann")).await;
    let late = Token::of("ann").ends_in(MS);
    tokio::time::sleep(150 * MS).await;
    let shown = [
        late,
        Token::of("ann").roles("a"),
        Token::of("ann").roles("b"),
    ];
    let mut looked_at = 0;
    loop {
        let mut ended = false;
        for token in &shown {
            let data = json!({"token": token.to_string()});
            let Ok(answer) = client.request("authenticate", data).await else {
                ended = true;
                break;
            };
            if answer["data"]["code"] != "too_many_requests" {
                looked_at += 1;
            } else {
                assert!(answer["data"]["retry_after"].as_f64().unwrap() <= 1.);
            }
        }
        if ended {
            break;
        }
    }
    assert!((20..30).contains(&looked_at), "{looked_at}");
    let violations = async || server.gateway.stats().violations == 1;
    until("it is closed for its mistakes", violations).await;
}

#[tokio::test]
async fn many_whose_tokens_end_together_are_asked_about_in_turn() {
    let tokens = Tokens::default();
    let builder = builder(&tokens).max_authenticating(2);
    let server = Server::start(builder.build().unwrap()).await;
    let mut clients = Vec::new();
    for n in 0..20 {
        clients.push(with(&server, &Token::of(&format!("n{n}"))).await);
    }
    tokens.slow.store(true, SeqCst);
    let shown = clients.iter_mut().enumerate().map(async |(n, client)| {
        let answer = show(client, &Token::of(&format!("n{n}"))).await;
        assert_eq!(answer["data"], json!({}));
    });
    futures::future::join_all(shown).await;
    assert_eq!(tokens.most.load(SeqCst), 2);
}

#[tokio::test]
async fn a_host_s_own_login_ends_as_well_and_who_takes_no_tokens_keeps_the_route() {
    let who = async || realtime::Json("mine");
    let builder = crate::support::builder()
        .authenticator(Brief)
        .router(realtime::Router::new().route("authenticate", who))
        .expiry_notice(None)
        .expiry_grace(None);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = Request::new("/ws").connect(server.addr).await.unwrap();
    let answer = client.request("authenticate", Value::Null).await.unwrap();
    assert_eq!(answer["data"], "mine");
    assert_eq!(client.recv_json().await.unwrap()["route"], "expiring");
    assert_eq!(close(&mut client).await.0, 3005);
}

/// Everybody, for a moment.
struct Brief;

impl realtime::auth::Authenticator for Brief {
    async fn authenticate(
        &self,
        _: &axum::http::request::Parts,
    ) -> Result<Identity, realtime::auth::AuthError> {
        let ends = std::time::SystemTime::now() + SECOND;
        Ok(Identity::new("ann").with_expires_at(ends))
    }
}
