//! Two nodes that refuse with 503, for whatever reason: one refusal says nothing of the next
//! request, nor of the rest of the site, and what changes something is made once.

use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};

use crate::{behind_each, node::Node, recipe::Kind, site::Site};

behind_each!(
    full_nodes_refuse_newcomers_and_nothing_else,
    draining_nodes_refuse_newcomers_and_nothing_else,
    what_changes_something_is_asked_of_one_node_once,
);

/// As often as it takes to have asked each node twice, and once more.
const ATTEMPTS: usize = 5;

/// A node with room for one, and that one.
async fn full() -> (Node, Client) {
    let node = Node::with(|builder| builder.max_connections(Some(1))).await;
    let client = Client::connect(node.addr).await.unwrap();
    (node, client)
}

/// Each of the requests is answered by a node, and not by the proxy in the place of both.
async fn only_newcomers_are_refused(site: &Site) {
    for attempt in 0..ATTEMPTS {
        let refused = site.refused(Request::new("/ws")).await;
        assert_eq!(refused.status, 503, "attempt {attempt}");
        let when = refused.header("retry-after");
        assert!(when.is_some(), "attempt {attempt}: {refused:?}");
        for method in ["GET", "POST"] {
            let page = site.ask(method, "/").await;
            assert_eq!(page.status, 200, "attempt {attempt}: {method}");
        }
    }
}

async fn full_nodes_refuse_newcomers_and_nothing_else(kind: Kind) {
    let [(one, leaves), (other, _stays)] = [full().await, full().await];
    let site = Site::start(kind.two([one.addr, other.addr])).await;
    only_newcomers_are_refused(&site).await;
    // Whoever comes when there is room gets in, and hears nothing of those who were refused.
    drop(leaves);
    until("there is room", async || one.gateway.stats().open == 0).await;
    site.connect().await.unwrap();
}

async fn draining_nodes_refuse_newcomers_and_nothing_else(kind: Kind) {
    let mut nodes = [
        Node::that_drains_slowly().await,
        Node::that_drains_slowly().await,
    ];
    // Else HAProxy learns of it, and says by itself that nobody is there.
    let recipe = kind.two([nodes[0].addr, nodes[1].addr]).without_checks();
    let site = Site::start(recipe).await;
    for node in &mut nodes {
        node.drain().await;
    }
    only_newcomers_are_refused(&site).await;
}

async fn what_changes_something_is_asked_of_one_node_once(kind: Kind) {
    let nodes = [Node::start().await, Node::start().await];
    let site = Site::start(kind.two([nodes[0].addr, nodes[1].addr])).await;
    let asked = || nodes.iter().map(Node::refused_requests).sum::<usize>();
    for times in 1..=ATTEMPTS {
        assert_eq!(site.ask("POST", "/refused").await.status, 503);
        assert_eq!(asked(), times);
    }
    // What changes nothing is asked of the other one, too.
    assert_eq!(site.ask("GET", "/refused").await.status, 503);
    assert!(asked() > ATTEMPTS + 1, "{}", asked());
    assert!(nodes.iter().all(|node| node.refused_requests() > 0));
}
