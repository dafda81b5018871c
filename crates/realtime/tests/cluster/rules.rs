//! Rules of rooms, asked again on the node where somebody is whom another node changes.

use realtime::{ClientError, IdentityUpdate, Router, Session, extract::RoomParam, room::RoomRule};
use realtime_testkit::{client::Client, servers::Redis};
use serde_json::{Value, json};

use crate::{
    jwts::{Access, Stores, until_known, with},
    nodes::key,
};

async fn may(session: Session, RoomParam(role): RoomParam<String>) -> Result<(), ClientError> {
    match session.identity().has_role(&role) {
        true => Ok(()),
        false => Err(ClientError::new("forbidden", "it is for those of a role")),
    }
}

async fn enter(client: &mut Client, room: &str) -> Value {
    client.request("join", json!({"room": room})).await.unwrap()
}

pub(crate) async fn a_rule_is_asked_again_on_the_node_of_the_one_whom_another_node_changes() {
    let redis = Redis::start().await.unwrap();
    let stores = Stores::all(&redis);
    let router = || {
        let rule = || RoomRule::allow(may);
        Router::new()
            .room("of:{role}", rule())
            .room("once:{role}", rule().asked_once())
    };
    let node = || stores.node(|builder| builder.router(router()));
    let (a, b) = (node().await, node().await);
    let token = Access::of("bob", "phone").role("staff");
    let mut bob = with(&token).connect(b.addr).await.unwrap();
    for room in ["of:staff", "once:staff"] {
        assert_eq!(enter(&mut bob, room).await["route"], "join");
    }
    until_known(&[&a, &b], 1, 2).await;

    let update = async |role: &str| {
        let update = IdentityUpdate::new().with_roles([role]);
        let receipt = a
            .gateway
            .identity(&key("bob"))
            .update_identity(update)
            .await;
        let receipt = receipt.unwrap();
        assert!(
            receipt.sessions == 1 && receipt.is_complete(),
            "{receipt:?}"
        );
    };
    update("guest").await;
    let told = bob.recv_json().await.unwrap();
    assert_eq!(told["route"], "removed", "{told}");
    assert_eq!(told["data"]["room"], "of:staff", "{told}");
    let refused = enter(&mut bob, "of:staff").await;
    assert_eq!(refused["data"]["code"], "forbidden", "{refused}");
    // He is in the other one still, and gets what is sent there: from here on nothing else came.
    let sent = a.gateway.room("once:staff").send("news", ()).await;
    sent.unwrap();
    assert_eq!(bob.recv_json().await.unwrap()["route"], "news");

    update("staff").await;
    assert_eq!(enter(&mut bob, "of:staff").await["route"], "join");
    for node in [a, b] {
        node.stop().await;
    }
}
