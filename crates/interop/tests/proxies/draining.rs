//! Two nodes, one of which drains or is gone: nobody is refused.

use realtime_testkit::client::{Client, ClientError, Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;

use crate::{
    behind_each,
    node::Node,
    recipe::{Kind, Proxy, free_address},
    tls::{Certificate, NAME},
};

behind_each!(
    what_a_draining_node_refuses_goes_to_the_other,
    sessions_of_a_draining_node_go_on_and_come_back_elsewhere,
    a_node_that_is_gone_is_passed_over,
    where_all_drain_the_refusal_is_seen,
);

const ATTEMPTS: u64 = 50;

type Connected = Result<Client<TlsStream<TcpStream>>, ClientError>;

async fn connect(proxy: &Proxy, certificate: &Certificate) -> Connected {
    let stream = certificate.connect(proxy.addr, &["http/1.1"]).await;
    let request = Request::new("/ws").without("Host").header("Host", NAME);
    request.over(stream).await
}

async fn what_a_draining_node_refuses_goes_to_the_other(kind: Kind) {
    let (mut old, new) = (Node::that_drains_slowly().await, Node::start().await);
    let certificate = Certificate::new();
    // A check would spare the old node what is to be seen here.
    let recipe = kind.two([old.addr, new.addr]).without_checks();
    let proxy = recipe.start_with(&certificate).await;
    old.drain().await;
    let mut clients = Vec::new();
    for attempt in 0..ATTEMPTS {
        let connected = connect(&proxy, &certificate).await;
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
    let certificate = Certificate::new();
    let recipe = kind.two([old.addr, new.addr]);
    let proxy = recipe.start_with(&certificate).await;
    let (mut there, mut here) = (Vec::new(), Vec::new());
    while there.is_empty() || here.is_empty() {
        let mut client = connect(&proxy, &certificate).await.unwrap();
        match node_of(&mut client).await == json!(old.gateway.node_id()) {
            true => there.push(client),
            false => here.push(client),
        }
    }
    let new_id = json!(new.gateway.node_id());
    let come_back = there.into_iter().map(async |mut client| {
        let (code, _) = client.closed().await.expect("a close frame");
        assert_eq!(code, 1001);
        let mut client = connect(&proxy, &certificate).await.unwrap();
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
    let certificate = Certificate::new();
    let recipe = kind.two([free_address(), node.addr]);
    let proxy = recipe.start_with(&certificate).await;
    for _ in 0..10 {
        let mut client = connect(&proxy, &certificate).await.unwrap();
        assert_eq!(node_of(&mut client).await, json!(node.gateway.node_id()));
    }
}

async fn where_all_drain_the_refusal_is_seen(kind: Kind) {
    let mut nodes = [
        Node::that_drains_slowly().await,
        Node::that_drains_slowly().await,
    ];
    let certificate = Certificate::new();
    let recipe = kind.two([nodes[0].addr, nodes[1].addr]);
    let proxy = recipe.start_with(&certificate).await;
    for node in &mut nodes {
        node.drain().await;
    }
    match connect(&proxy, &certificate).await {
        Err(ClientError::Refused(answer)) => assert_eq!(answer.status, 503),
        other => panic!("expected a refusal; got {other:?}"),
    }
}
