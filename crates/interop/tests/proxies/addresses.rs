//! Where clients are, through a proxy that is believed, and what they say of it themselves.

use std::net::{Ipv4Addr, SocketAddr};

use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use tokio::net::TcpSocket;

use crate::{
    behind_each,
    node::{Node, address},
    recipe::Kind,
};

behind_each!(
    the_client_has_its_own_where_the_proxy_is_trusted,
    what_a_client_makes_up_is_not_believed,
    without_trust_it_is_that_of_the_proxy,
);

/// The client's, which isn't the proxy's.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where the client isn't.
const ELSEWHERE: &str = "203.0.113.9";
const PROXY: &str = "127.0.0.1";

async fn connect(to: SocketAddr, request: Request) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((CLIENT, 0).into()).unwrap();
    let stream = socket.connect(to).await.unwrap();
    request.over(stream).await.unwrap()
}

async fn trusting() -> Node {
    Node::with(|builder| builder.trusted_proxies([PROXY])).await
}

async fn seen(client: &mut Client) -> Value {
    let answer = client.request("who", Value::Null).await.unwrap();
    address(&answer).clone()
}

async fn the_client_has_its_own_where_the_proxy_is_trusted(kind: Kind) {
    let node = trusting().await;
    let proxy = kind.one(node.addr).start().await;
    let mut client = connect(proxy.addr, Request::new("/ws")).await;
    assert_eq!(seen(&mut client).await, json!(CLIENT.to_string()));
}

async fn what_a_client_makes_up_is_not_believed(kind: Kind) {
    let node = trusting().await;
    let proxy = kind.one(node.addr).start().await;
    let made_up = [
        vec![ELSEWHERE],
        vec!["203.0.113.9, 127.0.0.1"],
        vec![ELSEWHERE, PROXY],
        vec!["nonsense"],
    ];
    for lines in made_up {
        let request = lines.iter().fold(Request::new("/ws"), |request, line| {
            request.header("X-Forwarded-For", line)
        });
        // Through the proxy, and past it.
        for to in [proxy.addr, node.addr] {
            let mut client = connect(to, request.clone()).await;
            assert_eq!(
                seen(&mut client).await,
                json!(CLIENT.to_string()),
                "{lines:?}"
            );
        }
    }
}

async fn without_trust_it_is_that_of_the_proxy(kind: Kind) {
    let node = Node::start().await;
    let proxy = kind.one(node.addr).start().await;
    let request = Request::new("/ws").header("X-Forwarded-For", ELSEWHERE);
    let mut client = connect(proxy.addr, request).await;
    assert_eq!(seen(&mut client).await, json!(PROXY));
}
