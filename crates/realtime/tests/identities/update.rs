//! What the application changes of whom a session belongs to.

use realtime::{IdentityKey, IdentityUpdate};
use serde_json::json;

use super::{
    SECOND, builder, close,
    nodes::nodes,
    roles, show,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_reaches_sessions_on_all_nodes_from_their_next_message_on() {
    let [a, b, c] = nodes().await;
    let mut phone = with(&a, &Token::of("acme/ann").roles("reader")).await;
    let mut laptop = with(&b, &Token::of("acme/ann")).await;
    let mut other = with(&b, &Token::of("bob")).await;
    let ann = IdentityKey::new("ann").with_tenant("acme");
    let update = IdentityUpdate::new()
        .with_roles(["writer"])
        .with_claim("plan", 7);
    let receipt = c
        .gateway
        .identity(&ann)
        .update_identity(update)
        .await
        .unwrap();
    assert_eq!((receipt.sessions, receipt.is_complete()), (2, true));
    for client in [&mut phone, &mut laptop] {
        let seen = client.request("who", json!(null)).await.unwrap();
        assert_eq!(
            seen["data"],
            json!({"roles": ["writer"], "claims": {"plan": 7}})
        );
    }
    assert_eq!(roles(&mut other).await, json!([]));
    // What the client shows counts again.
    show(&mut phone, &Token::of("acme/ann").roles("reader")).await;
    assert_eq!(roles(&mut phone).await, json!(["reader"]));
}

#[tokio::test]
async fn it_may_end_what_had_no_end() {
    let builder = builder(&Tokens::default()).expiry_grace(Some(SECOND));
    let server = Server::start(builder.build().unwrap()).await;
    let mut client = with(&server, &Token::of("ann")).await;
    let ends = std::time::SystemTime::now() + SECOND;
    let update = IdentityUpdate::new().with_expires_at(ends);
    let everybody = server.gateway.everybody();
    everybody.update_identity(update).await.unwrap();
    assert_eq!(client.recv_json().await.unwrap()["route"], "expiring");
    assert_eq!(close(&mut client).await.0, 3005);
}
