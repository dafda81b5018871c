//! A client that shows its token in the first message may compress that and what it sends behind it.

use std::time::Duration;

use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Credentials, Token},
    config::Compression,
};
use serde_json::json;

use crate::{
    NEVER, OFFER, long,
    peer::{Peer, request},
    router, start,
};

/// Every token is somebody's, whose name it begins with.
struct Tokens(Credentials);

impl Authenticator for Tokens {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        let check = |token| self.authenticate_token(token);
        self.0.try_each(request, check).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        Ok(Identity::new(&token.expose()[..3]))
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0)
    }
}

fn builder() -> realtime::Builder {
    realtime::builder()
        .authenticator(Tokens(Credentials::bearer()))
        .token_in_message(Some(Duration::from_secs(60)))
        .router(router())
        .compression(Compression::default())
}

#[tokio::test]
async fn the_first_message_and_what_comes_with_it_may_be_compressed() {
    let server = start(builder()).await;
    let mut peer = Peer::connect(server.addr, "", Some(OFFER)).await;
    assert_eq!(peer.answer.as_deref(), Some(NEVER));
    let token = format!("ann{}", "x".repeat(4_000));
    let shown = request("authenticate", json!({ "token": token }));
    let mut all = peer.compressed(&shown);
    all.extend(peer.compressed(&request("echo", json!(long()))));
    peer.raw(&all).await;
    let answer = peer.frame().await.json();
    assert_eq!(answer["route"], "authenticate");
    let echoed = peer.frame().await;
    assert_eq!(
        (echoed.is_compressed, &echoed.json()["data"]),
        (true, &json!(long()))
    );
    let session = &server.gateway.local_sessions()[0];
    assert_eq!(session.identity_key().id(), "ann");
    drop(peer);
    server.stop().await;
}

#[tokio::test]
async fn it_may_be_no_larger_for_that() {
    let server = start(builder()).await;
    let rows = [
        // 16 KiB of it, however few of them come.
        (
            request("authenticate", json!({ "token": "x".repeat(17_000) })),
            3502,
        ),
        (request("echo", json!(long())), 3502),
    ];
    for (text, code) in rows {
        let mut peer = Peer::connect(server.addr, "", Some(OFFER)).await;
        peer.send_compressed(&text).await;
        assert_eq!(peer.closed().await, Some(code));
    }
    let mut peer = Peer::connect(server.addr, "", Some(OFFER)).await;
    peer.raw(&crate::peer::fragment(0xc1, &[0xff; 64])).await;
    assert_eq!(peer.closed().await, Some(1007));
    server.stop().await;
}
