//! Rooms over several nodes: who joins misses nothing, and what one node sends arrives in order.

use realtime::{IdentityKey, Json, broker::LocalBroker, node::NodeId, presence::MemoryPresence};
use serde_json::json;

use super::{builder, expect_nothing, in_rooms, next, support::Server};

async fn nodes<const N: usize>() -> [Server; N] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let mut servers = Vec::new();
    for n in 0..N {
        let id: NodeId = format!("node-{n}").parse().unwrap();
        let builder = builder().node_id(id).broker(broker.clone());
        let gateway = builder.presence(presence.clone()).build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    servers.try_into().ok().unwrap()
}

#[tokio::test]
async fn members_on_every_node_get_it_once_and_in_order() {
    let servers = nodes::<3>().await;
    let mut members = Vec::new();
    for server in &servers {
        members.push(in_rooms(server, "ann", &["a", "b"]).await);
        members.push(in_rooms(server, "bob", &["a"]).await);
    }
    let mut outsider = in_rooms(&servers[1], "cid", &["other"]).await;
    for n in 0..200 {
        let sent = servers[0].gateway.room("a").send("n", Json(n)).await;
        assert_eq!(sent.unwrap().local, 2);
    }
    // Over two topics: for all nodes, and for each member once.
    let both = servers[0]
        .gateway
        .rooms(["a", "b"])
        .send("n", Json("both"))
        .await;
    assert_eq!(both.unwrap().local, 2);
    for member in &mut members {
        for n in 0..200 {
            assert_eq!(next(member).await, (Some("a".to_owned()), json!(n)));
        }
        assert_eq!(next(member).await.1, json!("both"));
        expect_nothing(member).await;
    }
    expect_nothing(&mut outsider).await;
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn who_has_joined_misses_nothing_that_is_sent_afterwards_on_any_node() {
    let [a, b] = nodes().await;
    for n in 0..100 {
        let room = format!("room {n}");
        let mut ann = in_rooms(&a, "ann", &[&room]).await;
        let sent = b.gateway.room(&*room).send("n", Json(n)).await.unwrap();
        assert_eq!(sent.local, 0);
        assert_eq!(next(&mut ann).await, (Some(room), json!(n)));
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn those_who_are_left_out_are_so_on_other_nodes_too() {
    let [a, b] = nodes().await;
    let mut ann = in_rooms(&a, "t/ann", &["a"]).await;
    let mut bob = in_rooms(&a, "t/bob", &["a"]).await;
    let mut cid = in_rooms(&a, "u/cid", &["a"]).await;
    let key = IdentityKey::new("ann").with_tenant("t");
    let session = a.gateway.local_sessions_of(&key).remove(0);
    let far = &b.gateway;
    far.room("a").except(&key).send("n", Json(1)).await.unwrap();
    far.room("a")
        .except(&session)
        .send("n", Json(2))
        .await
        .unwrap();
    far.tenant("t")
        .except(&session)
        .send("n", Json(3))
        .await
        .unwrap();
    far.everybody()
        .except(&key)
        .send("n", Json(4))
        .await
        .unwrap();
    far.identity(&key).send("n", Json(5)).await.unwrap();
    for (client, expected) in [
        (&mut ann, vec![5]),
        (&mut bob, vec![1, 2, 3, 4]),
        (&mut cid, vec![1, 2, 4]),
    ] {
        for n in expected {
            assert_eq!(next(client).await.1, json!(n));
        }
        expect_nothing(client).await;
    }
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn rooms_from_before_the_start_are_reached_after_it() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let node = |id: &str| {
        let id: NodeId = id.parse().unwrap();
        let builder = builder().node_id(id).broker(broker.clone());
        builder.presence(presence.clone()).build().unwrap()
    };
    let (late, other) = (node("late"), node("other"));
    let late = Server::under_axum(late).await;
    let mut ann = in_rooms(&late, "ann", &["a"]).await;
    late.gateway.start().await.unwrap();
    other.start().await.unwrap();
    other.room("a").send("n", Json(1)).await.unwrap();
    assert_eq!(next(&mut ann).await.1, json!(1));
    other.shutdown().await;
    late.gateway.shutdown().await;
}
