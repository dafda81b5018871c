//! Two nodes: an identity is found and disconnected on both, from the page of one.

use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::SeqCst},
};

use realtime::{broker::LocalBroker, node::NodeId, presence::MemoryPresence};
use realtime_testkit::wait::until;
use serde_json::{Value, json};

use super::{Builder, Server, builder};

async fn start(builder: Builder, name: &str) -> Server {
    let gateway = builder.node_id(name.parse().unwrap()).build().unwrap();
    gateway.start().await.unwrap();
    let page_of = |node: &NodeId| Some(format!("https://{node}.example/"));
    Server::with(gateway, |admin| admin.pages(page_of)).await
}

async fn two_nodes_are_one_cluster([a, b]: [Server; 2]) {
    until("each knows the other", async || {
        a.gateway.nodes().len() == 2 && b.gateway.nodes().len() == 2
    })
    .await;
    let mut here = a.client("acme/ann").await;
    let mut there = b.client("acme/ann").await;
    let mut bob = b.client("acme/bob").await;
    let mut page = a.page().await;
    assert_eq!(
        page.ask("node", ().into()).await["nodes"],
        json!(["a", "b"])
    );
    let ann = json!({ "tenant": "acme", "id": "ann" });
    let found = page.ask("find", ann.clone()).await;
    let nodes = found["sessions"].as_array().unwrap().iter();
    let mut nodes: Vec<&Value> = nodes.map(|session| &session["node_id"]).collect();
    nodes.sort_by_key(|node| node.to_string());
    assert_eq!(nodes, [&json!("a"), &json!("b")]);
    // Messages are looked at where they are, and it is said what isn't.
    let begun = page.ask("tap", ann.clone()).await;
    assert_eq!(
        begun,
        json!({
            "here": 1,
            "watched": 1,
            "elsewhere": [{ "node_id": "b", "sessions": 1, "page": "https://b.example/" }],
            "seconds": 60,
        })
    );
    let done = page.ask("disconnect", json!({ "identity": ann })).await;
    assert_eq!(
        (&done["sessions"], &done["is_complete"]),
        (&json!(2), &json!(true))
    );
    assert_eq!(done["nodes"].as_array().unwrap().len(), 2, "{done}");
    assert_eq!(here.closed().await.unwrap().0, 3503);
    assert_eq!(there.closed().await.unwrap().0, 3503);
    bob.request("echo", json!(1)).await.unwrap();
    // One session, on the other node.
    let found = page
        .ask("find", json!({ "tenant": "acme", "id": "bob" }))
        .await;
    let id = &found["sessions"][0]["session_id"];
    let done = page.ask("disconnect", json!({ "session_id": id })).await;
    assert_eq!(done["sessions"], 1, "{done}");
    assert_eq!(bob.closed().await.unwrap().0, 3503);
    a.stop().await;
    b.stop().await;
}

/// The host's own code says where pages are: only a look asks it, and a look goes on without its answer.
#[tokio::test]
async fn pages_that_panic_cost_their_links_alone() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let node = async |name: &str| {
        let builder = builder().broker(broker.clone()).presence(presence.clone());
        let gateway = builder.node_id(name.parse().unwrap()).build().unwrap();
        gateway.start().await.unwrap();
        gateway
    };
    let b = Server::start(node("b").await).await;
    let asked = Arc::<AtomicU32>::default();
    let page_of = {
        let asked = Arc::clone(&asked);
        move |node: &NodeId| -> Option<String> {
            asked.fetch_add(1, SeqCst);
            panic!("nobody knows where {node} is")
        }
    };
    let a = Server::with(node("a").await, |admin| admin.pages(page_of)).await;
    let _there = b.client("acme/ann").await;
    let ann = json!({ "tenant": "acme", "id": "ann" });
    let mut page = a.page().await;
    let found = page.ask("find", ann.clone()).await;
    assert_eq!(found["nodes"], json!([{ "node_id": "b", "sessions": 1 }]));
    assert_eq!(asked.load(SeqCst), 0);
    let begun = page.ask("tap", ann).await;
    assert_eq!(
        begun["elsewhere"],
        json!([{ "node_id": "b", "sessions": 1 }])
    );
    assert_eq!(asked.load(SeqCst), 1);
    a.stop().await;
    b.stop().await;
}

#[tokio::test]
async fn two_nodes_of_one_process() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let node = |name| {
        let builder = builder().broker(broker.clone()).presence(presence.clone());
        start(builder, name)
    };
    two_nodes_are_one_cluster([node("a").await, node("b").await]).await;
}

#[cfg(feature = "redis")]
#[tokio::test]
async fn two_nodes_over_redis() {
    use realtime::connect;
    let redis = realtime_testkit::servers::Redis::start().await.unwrap();
    let node = |name| {
        let builder = builder()
            .broker(connect::broker(&redis.url()).unwrap())
            .presence(connect::presence(&redis.url()).unwrap());
        start(builder, name)
    };
    two_nodes_are_one_cluster([node("a").await, node("b").await]).await;
}
