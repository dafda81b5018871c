//! A browser's `Origin` against the `Host` that comes through a proxy.

use realtime_testkit::client::Request;

use crate::{behind_each, node::Node, recipe::Kind, site::Site, tls::NAME};

behind_each!(
    a_page_of_the_same_origin_may_connect,
    a_page_of_another_origin_may_not,
    behind_another_host_every_page_is_refused_unless_it_is_named,
    before_two_nodes_another_host_is_refused_as_well,
);

const PAGE: &str = "http://app.example.com:8000";

/// What the page asks for.
fn asked(host: &str, origin: &str) -> Request {
    let request = Request::new("/ws").without("Host");
    request.header("Host", host).header("Origin", origin)
}

async fn a_page_of_the_same_origin_may_connect(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    for host in ["app.example.com:8000", "app.example.com", "[::1]:8000"] {
        let request = asked(host, &format!("http://{host}"));
        request.connect(proxy.address()).await.unwrap();
    }
}

async fn a_page_of_another_origin_may_not(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    for origin in ["http://evil.example", "http://app.example.com:8001", "null"] {
        let answer = asked("app.example.com:8000", origin)
            .refused(proxy.address())
            .await;
        assert_eq!(answer.status, 403, "{origin}");
    }
    assert_eq!(node.gateway.stats().refused_origins, 3);
}

async fn behind_another_host_every_page_is_refused_unless_it_is_named(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).rewriting_host().start().await;
    let page = || asked("app.example.com:8000", PAGE);
    assert_eq!(page().refused(proxy.address()).await.status, 403);
    assert_eq!(node.gateway.stats().refused_origins, 1);

    let node = Node::with(|builder| builder.origin_patterns([PAGE])).await;
    let proxy = kind.one(node.addr).rewriting_host().start().await;
    page().connect(proxy.address()).await.unwrap();
}

/// That it is passed on as it came by their recipe, too, is seen in `secure`.
async fn before_two_nodes_another_host_is_refused_as_well(kind: Kind) {
    let nodes = [Node::start().await, Node::start().await];
    let recipe = kind.two([nodes[0].addr, nodes[1].addr]);
    let site = Site::start(recipe.rewriting_host()).await;
    let page = Request::new("/ws").header("Origin", &format!("https://{NAME}"));
    assert_eq!(site.refused(page).await.status, 403);
}
