//! Where clients are, through a proxy that is believed, and what they say of it themselves.

use std::net::{Ipv4Addr, SocketAddr};

use realtime_testkit::client::{Client, Request};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpSocket,
};

use crate::{
    behind_each,
    node::{Node, address},
    recipe::Kind,
    site::{Site, named},
};

behind_each!(
    the_client_has_its_own_where_the_proxy_is_trusted,
    what_a_client_makes_up_is_not_believed,
    without_trust_it_is_that_of_the_proxy,
    two_nodes_are_told_the_same,
);

/// The client's, which isn't the proxy's.
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// Where the client isn't.
const ELSEWHERE: &str = "203.0.113.9";
const PROXY: &str = "127.0.0.1";
/// What clients write, a line of the header each.
const MADE_UP: [&[&str]; 4] = [
    &[ELSEWHERE],
    &["203.0.113.9, 127.0.0.1"],
    &[ELSEWHERE, PROXY],
    &["nonsense"],
];

fn saying(lines: &[&str]) -> Request {
    lines.iter().fold(Request::new("/ws"), |request, line| {
        request.header("X-Forwarded-For", line)
    })
}

async fn connect(to: SocketAddr, request: Request) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind((CLIENT, 0).into()).unwrap();
    let stream = socket.connect(to).await.unwrap();
    request.over(stream).await.unwrap()
}

async fn trusting() -> Node {
    Node::with(|builder| builder.trusted_proxies([PROXY])).await
}

async fn seen<S: AsyncRead + AsyncWrite + Unpin>(client: &mut Client<S>) -> Value {
    let answer = client.request("who", Value::Null).await.unwrap();
    address(&answer).clone()
}

async fn the_client_has_its_own_where_the_proxy_is_trusted(kind: Kind) {
    let node = trusting().await;
    let proxy = kind.one(node.addr).start().await;
    let mut client = connect(proxy.address(), Request::new("/ws")).await;
    assert_eq!(seen(&mut client).await, json!(CLIENT.to_string()));
}

async fn what_a_client_makes_up_is_not_believed(kind: Kind) {
    let node = trusting().await;
    let proxy = kind.one(node.addr).start().await;
    for lines in MADE_UP {
        let request = saying(lines);
        // Through the proxy, and past it.
        for to in [proxy.address(), node.addr] {
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
    let mut client = connect(proxy.address(), request).await;
    assert_eq!(seen(&mut client).await, json!(PROXY));
}

/// Behind TLS, where the recipe is another one.
async fn two_nodes_are_told_the_same(kind: Kind) {
    for (nodes, expected) in [
        ([trusting().await, trusting().await], CLIENT.to_string()),
        ([Node::start().await, Node::start().await], PROXY.to_owned()),
    ] {
        let site = Site::start(kind.two([nodes[0].addr, nodes[1].addr])).await;
        for lines in MADE_UP.into_iter().chain([&[][..]]) {
            let stream = site.stream_from(CLIENT).await;
            let mut client = named(saying(lines)).over(stream).await.unwrap();
            assert_eq!(seen(&mut client).await, json!(expected), "{lines:?}");
        }
    }
}
