//! What must come through a proxy as it was sent: the upgrade, messages, and how a session ends.

use realtime::Initiator;
use realtime_testkit::{
    client::{Client, Request},
    servers::ReverseProxy,
};
use realtime_websocket::Event;
use serde_json::json;

use crate::{behind_each, node::Node, recipe::Kind};

behind_each!(
    an_upgrade_and_messages,
    the_code_of_a_client,
    the_code_of_a_server,
    the_end_of_a_node,
    a_message_that_is_too_large,
    a_refusal_and_when_to_come_back,
);

async fn an_upgrade_and_messages(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    upgrades_and_passes_messages(&proxy).await;
}

pub(crate) async fn upgrades_and_passes_messages(proxy: &ReverseProxy) {
    let request = Request::new("/ws?x=%C3%A9").header("Sec-WebSocket-Protocol", "realtime.json");
    let mut client = request.connect(proxy.address()).await.unwrap();
    let chosen = client.answer.header("sec-websocket-protocol");
    assert_eq!(chosen, Some("realtime.json"));
    for data in [json!("é"), json!("x".repeat(300_000)), json!(1)] {
        let answer = client.request("echo", data.clone()).await.unwrap();
        assert_eq!(answer["data"], data);
    }
}

async fn the_code_of_a_client(kind: Kind) {
    let mut node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    for (code, reason) in [(1000, ""), (4001, "seen enough")] {
        let mut client = Client::connect(proxy.address()).await.unwrap();
        client.close(code, reason).await.unwrap();
        let end = node.ended().await;
        assert_eq!(end.code.map(u16::from), Some(code));
        assert_eq!(
            (end.reason.as_str(), end.initiator),
            (reason, Initiator::Client)
        );
        assert_eq!(client.closed().await.map(|(code, _)| code), Some(code));
    }
}

async fn the_code_of_a_server(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client
        .send("close", json!([4003, "not today"]))
        .await
        .unwrap();
    assert_eq!(client.closed().await, Some((4003, "not today".to_owned())));
    // A page sees that as a clean close: the connection ends after it.
    client.close(4003, "").await.unwrap();
    client.eof().await;
}

async fn the_end_of_a_node(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    let seen = tokio::spawn(async move {
        let seen = client.recv().await;
        let _answered = client.close(1001, "").await;
        seen
    });
    node.end().await;
    match seen.await.unwrap() {
        Ok(Event::Close(Some(close))) => assert_eq!(close.code, 1001),
        other => panic!("expected a close frame with 1001; got {other:?}"),
    }
}

async fn a_message_that_is_too_large(kind: Kind) {
    let node = Node::with(|builder| builder.read_limit(10_000)).await;
    let proxy = kind.one(node.addr).start().await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.send_text(&"x".repeat(20_000)).await.unwrap();
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(1009));
}

async fn a_refusal_and_when_to_come_back(kind: Kind) {
    let mut node = Node::that_drains_slowly().await;
    let proxy = kind.one(node.addr).start().await;
    node.drain().await;
    let answer = Request::new("/ws").refused(proxy.address()).await;
    assert_eq!(answer.status, 503);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!(seconds > 0, "{answer:?}");
}
