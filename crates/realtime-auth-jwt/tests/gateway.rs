//! A gateway that lets in who shows a JWT, over real sockets.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::net::SocketAddr;

use realtime::{
    Identity, Json, Router,
    auth::jwt::{Jwt, Key},
};
use realtime_testkit::client::Request;
use serde_json::json;
use support::{
    SECRET, Signer, ada, but, for_chat,
    issuer::{Answer, Issuer},
    now,
};

async fn start(jwt: Jwt) -> SocketAddr {
    let who = async |who: Identity| Json(json!([who.tenant(), who.id(), who.roles()]));
    let gateway = realtime::builder()
        .router(Router::new().route("who", who))
        .authenticator(jwt)
        .build()
        .unwrap();
    let listener = realtime::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    tokio::spawn(realtime::serve(listener, app, gateway).into_future());
    addr
}

fn with(token: &str) -> Request {
    Request::new("/ws").header("Authorization", &format!("Bearer {token}"))
}

#[tokio::test]
async fn who_shows_a_jwt_is_who_it_says() {
    let jwt = for_chat(Key::hmac(SECRET).unwrap())
        .tenant_claim("tenant")
        .roles_claim("roles")
        .from_query("token")
        .build()
        .unwrap();
    let addr = start(jwt).await;
    let signer = Signer::hmac();
    let mut claims = but("tenant", json!("acme"));
    claims["roles"] = json!(["admin"]);
    let good = signer.token("HS256", &claims);
    let by_query = Request::new(format!("/ws?token={good}"));
    for request in [with(&good), by_query] {
        let mut client = request.connect(addr).await.unwrap();
        let answer = client.request("who", json!(null)).await.unwrap();
        assert_eq!(
            answer["data"],
            json!(["acme", "ada", ["admin"]]),
            "{answer}"
        );
    }
    claims["exp"] = json!(now() - 3_600);
    let long = signer.token("HS256", &but("x", json!("x".repeat(100_000))));
    let middle = signer.token("HS256", &but("x", json!("x".repeat(20_000))));
    for (request, status) in [
        (Request::new("/ws"), 401),
        (with("nonsense"), 401),
        (with(&signer.token("HS256", &claims)), 401),
        (with(&signer.token("HS256", &ada())), 401),
        (with(&middle), 401),
        (with(&long), 431),
        (Request::new(format!("/ws?token={middle}")), 401),
        (Request::new(format!("/ws?token={long}")), 431),
    ] {
        let answer = request.refused(addr).await;
        assert_eq!(answer.status, status, "{}", answer.head);
        if status == 401 {
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
        }
    }
    with(&good).connect(addr).await.unwrap();
}

/// On the same connection: the next token of the same identity, and then somebody else's.
#[tokio::test]
async fn a_fresh_jwt_is_shown_on_the_same_connection() {
    let jwt = for_chat(Key::hmac(SECRET).unwrap()).roles_claim("roles");
    let addr = start(jwt.build().unwrap()).await;
    let signer = Signer::hmac();
    let mut client = with(&signer.token("HS256", &ada()))
        .connect(addr)
        .await
        .unwrap();
    let fresh = signer.token("HS256", &but("roles", json!("admin")));
    let shown = json!({ "token": fresh });
    let answer = client.request("authenticate", shown).await.unwrap();
    let seconds = answer["data"]["seconds"].as_u64().unwrap();
    assert!((500..=630).contains(&seconds), "{answer}");
    let answer = client.request("who", json!(null)).await.unwrap();
    assert_eq!(answer["data"], json!(["", "ada", ["admin"]]), "{answer}");
    let bobs = signer.token("HS256", &but("sub", json!("bob")));
    client
        .send("authenticate", json!({ "token": bobs }))
        .await
        .unwrap();
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(3500));
}

#[tokio::test]
async fn without_the_issuers_keys_it_is_503() {
    let signer = Signer::ed();
    let issuer = Issuer::start(Answer::status("500 Oh no")).await;
    let addr = start(for_chat(issuer.jwks()).build().unwrap()).await;
    let token = signer.named("EdDSA", "1", &ada());
    assert_eq!(with(&token).refused(addr).await.status, 503);
    issuer.answers(Answer::keys(&[signer.jwk("1")]));
    realtime_testkit::wait::until("the keys are there", async || {
        with(&token).connect(addr).await.is_ok()
    })
    .await;
}
