//! Two nodes, one of which drains or is gone: nobody is refused.

use realtime_testkit::{client::Client, servers::reverse_proxy::free_address};
use serde_json::{Value, json};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{behind_each, node::Node, recipe::Kind, site::Site};

behind_each!(
    what_a_draining_node_refuses_goes_to_the_other,
    sessions_of_a_draining_node_go_on_and_come_back_elsewhere,
    a_node_that_is_gone_is_passed_over,
);

const ATTEMPTS: u64 = 50;

async fn what_a_draining_node_refuses_goes_to_the_other(kind: Kind) {
    let (mut old, new) = (Node::that_drains_slowly().await, Node::start().await);
    // A check would spare the old node what is to be seen here.
    let recipe = kind.two([old.addr, new.addr]).without_checks();
    let site = Site::start(recipe).await;
    old.drain().await;
    let mut clients = Vec::new();
    for attempt in 0..ATTEMPTS {
        let connected = site.connect().await;
        let mut client = connected.unwrap_or_else(|error| panic!("attempt {attempt}: {error}"));
        client.request("echo", json!(attempt)).await.unwrap();
        clients.push(client);
    }
    assert_eq!(new.gateway.stats().open, ATTEMPTS);
    let asked = old.gateway.stats().refused;
    assert!(
        asked > 0,
        "the old node was never asked, so nothing was shown"
    );
}

async fn sessions_of_a_draining_node_go_on_and_come_back_elsewhere(kind: Kind) {
    let (old, new) = (Node::start().await, Node::start().await);
    let recipe = kind.two([old.addr, new.addr]);
    let site = Site::start(recipe).await;
    let (mut there, mut here) = (Vec::new(), Vec::new());
    while there.is_empty() || here.is_empty() {
        let mut client = site.connect().await.unwrap();
        match node_of(&mut client).await == json!(old.gateway.node_id()) {
            true => there.push(client),
            false => here.push(client),
        }
    }
    let new_id = json!(new.gateway.node_id());
    let come_back = there.into_iter().map(async |mut client| {
        let (code, _) = client.closed().await.expect("a close frame");
        assert_eq!(code, 1001);
        let mut client = site.connect().await.unwrap();
        assert_eq!(node_of(&mut client).await, new_id);
    });
    futures::join!(old.end(), futures::future::join_all(come_back));
    for mut client in here {
        assert_eq!(node_of(&mut client).await, new_id);
    }
}

async fn node_of<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> Value {
    client.request("node", Value::Null).await.unwrap()["data"].clone()
}

async fn a_node_that_is_gone_is_passed_over(kind: Kind) {
    let node = Node::start().await;
    let recipe = kind.two([free_address(), node.addr]);
    let site = Site::start(recipe).await;
    for _ in 0..10 {
        let mut client = site.connect().await.unwrap();
        assert_eq!(node_of(&mut client).await, json!(node.gateway.node_id()));
    }
}
