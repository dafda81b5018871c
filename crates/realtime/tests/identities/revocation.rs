//! What is revoked is closed, and refused from then on.

use std::time::SystemTime;

use realtime::{
    IdentityKey,
    config::RevocationsDown,
    error::{BuildErrorKind, ControlErrorKind},
    revocation::{
        MemoryRevocations, Page, Revocation, RevocationError, RevocationErrorKind, Revocations,
    },
};
use realtime_testkit::wait::until;
use serde_json::json;

use super::{
    SECOND, builder, close, refused, roles,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

#[tokio::test]
async fn each_scope_closes_whom_it_concerns_and_nobody_else() {
    let old = |who: &str| Token::of(who).issued(10 * SECOND);
    let ann = || IdentityKey::new("ann").with_tenant("acme");
    let ago = SystemTime::now() - 5 * SECOND;
    let rows = [
        (
            Revocation::identity(ann(), ago),
            [true, false, false, false],
        ),
        (Revocation::token("seven"), [false, false, true, false]),
        (Revocation::tenant("acme", ago), [true, false, true, false]),
        (Revocation::everybody(ago), [true, false, true, true]),
    ];
    for (revocation, expected) in rows {
        let server = Server::start(builder(&Tokens::default()).build().unwrap()).await;
        let tokens = [
            old("acme/ann"),
            Token::of("acme/ann"),
            old("acme/bob").id("seven"),
            old("ann").id("eight"),
        ];
        let mut clients = Vec::new();
        for token in &tokens {
            clients.push(with(&server, token).await);
        }
        let receipt = server.gateway.revoke(revocation.clone()).await.unwrap();
        let concerned = expected.iter().filter(|is| **is).count();
        assert_eq!(receipt.sessions, concerned as u64, "{revocation:?}");
        for ((client, token), is_revoked) in clients.iter_mut().zip(&tokens).zip(expected) {
            if is_revoked {
                assert_eq!(close(client).await, (3500, "revoked".to_owned()));
                assert_eq!(refused(&server, token).await, 401, "{token}");
            } else {
                roles(client).await;
                roles(&mut with(&server, token).await).await;
            }
        }
        assert_eq!(server.gateway.stats().revoked, concerned as u64);
    }
}

#[tokio::test]
async fn revoking_again_is_harmless_and_counts_nobody_twice() {
    let server = Server::start(builder(&Tokens::default()).build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann")).await;
    let all = Revocation::identity(IdentityKey::new("ann"), SystemTime::now() + SECOND);
    assert_eq!(
        server.gateway.revoke(all.clone()).await.unwrap().sessions,
        1
    );
    assert_eq!(
        server.gateway.revoke(all).await.unwrap().sessions,
        0,
        "harmless"
    );
    assert_eq!(close(&mut client).await.0, 3500);
}

#[tokio::test]
async fn what_is_revoked_can_not_be_shown_on_a_connection_either() {
    let server = Server::start(builder(&Tokens::default()).build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann").id("one")).await;
    server
        .gateway
        .revoke(Revocation::token("two"))
        .await
        .unwrap();
    let data = json!({"token": Token::of("ann").id("two").to_string()});
    client.send("authenticate", data).await.unwrap();
    assert_eq!(close(&mut client).await, (3500, "revoked".to_owned()));
}

#[tokio::test]
async fn a_broker_wants_a_store_that_is_shared() {
    let broker = realtime::broker::LocalBroker::new();
    let gateway = builder(&Tokens::default())
        .broker(broker.clone())
        .build()
        .unwrap();
    let error = gateway.revoke(Revocation::token("one")).await.unwrap_err();
    assert_eq!(error.kind(), ControlErrorKind::NoStore);
    let builder = builder(&Tokens::default()).broker(broker);
    let error = builder.revocations(MemoryRevocations::new()).build();
    assert_eq!(error.unwrap_err().kind(), BuildErrorKind::InvalidOption);
}

/// A store that is away.
struct Away;

impl Revocations for Away {
    async fn revoke(&self, _: &Revocation, _: SystemTime) -> Result<(), RevocationError> {
        Err(away())
    }

    async fn is_revoked(&self, _: &realtime::Identity) -> Result<bool, RevocationError> {
        Err(away())
    }

    async fn since(&self, _: u64) -> Result<Page, RevocationError> {
        panic!("on purpose");
    }

    fn is_shared(&self) -> bool {
        true
    }
}

fn away() -> RevocationError {
    RevocationError::new(RevocationErrorKind::Unavailable, "on purpose")
}

#[tokio::test]
async fn where_the_store_is_away_it_is_said_and_nobody_comes_in_unless_that_is_wished() {
    let builder = || builder(&Tokens::default()).revocations(Away);
    let server = Server::start(builder().build().unwrap()).await;
    assert_eq!(refused(&server, &Token::of("ann")).await, 503);
    let builder = builder().revocations_down(RevocationsDown::Admit);
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann").id("one")).await;
    let error = server
        .gateway
        .revoke(Revocation::token("one"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ControlErrorKind::NotRemembered);
    assert_eq!(
        close(&mut client).await.0,
        3500,
        "it is closed all the same"
    );
    until("its health says so", async || {
        !server.gateway.health().is_good()
    })
    .await;
}

#[tokio::test]
async fn whom_a_host_lets_in_is_looked_for_as_well() {
    use axum::{extract::State, response::IntoResponse, routing::any};
    use realtime::{Gateway, Identity, Upgrade};

    async fn ws(State(gateway): State<Gateway>, upgrade: Upgrade) -> impl IntoResponse {
        gateway.accept(upgrade, Identity::new("ann").with_token_id("one"))
    }

    let gateway = builder(&Tokens::default()).build().unwrap();
    let app = axum::Router::new()
        .route("/ws", any(ws))
        .with_state(gateway.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(realtime::serve(listener, app, gateway.clone()).into_future());
    let request = realtime_testkit::client::Request::new("/ws");
    let mut client = request.connect(addr).await.unwrap();
    client.request("who", json!(null)).await.unwrap();
    gateway.revoke(Revocation::token("one")).await.unwrap();
    assert_eq!(close(&mut client).await.0, 3500);
    let mut again = request.connect(addr).await.unwrap();
    assert_eq!(close(&mut again).await, (3500, "revoked".to_owned()));
    assert_eq!(gateway.stats().opened, 1, "it was no session");
}
