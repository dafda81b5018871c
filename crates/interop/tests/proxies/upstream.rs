//! HTTP/2 between HAProxy and the gateway, with clients over HTTP/1.1: an upgrade is an extended
//! `CONNECT` there (RFC 8441), and sessions are streams.

use std::{collections::HashSet, net::SocketAddr, time::Duration};

use realtime::{Builder, Initiator, Json};
use realtime_testkit::{
    client::{Client, Request, raw_http},
    servers::ReverseProxy,
    wait::{until, within},
};
use realtime_websocket::Event;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::{
    crossing::upgrades_and_passes_messages,
    node::{Node, PAGE},
    recipe::{Kind, Recipe},
};

/// The recipe, with HTTP/2 to the node, and connections that are shared as said here.
fn recipe(node: SocketAddr, reuse: &str) -> Recipe {
    let server = format!("server node1 {node}");
    let recipe = Kind::HaProxy.one(node);
    recipe.with(
        &server,
        &format!("http-reuse {reuse}\n    {server} proto h2"),
    )
}

/// As docs/proxies.md has it: each client has a connection of its own.
fn apart(node: SocketAddr) -> Recipe {
    recipe(node, "never")
}

/// With one connection for all clients.
fn together(node: SocketAddr) -> Recipe {
    on_one_thread(recipe(node, "always"))
}

/// Each thread of the proxy has connections of its own.
fn on_one_thread(recipe: Recipe) -> Recipe {
    recipe.with("defaults\n", "global\n    nbthread 1\n\ndefaults\n")
}

async fn start(set: impl FnOnce(Builder) -> Builder) -> (Node, ReverseProxy) {
    let node = Node::over_http2(set).await;
    let proxy = apart(node.addr).start().await;
    (node, proxy)
}

/// How many connections the sessions come over.
fn connections(node: &Node) -> usize {
    let sessions = node.gateway.local_sessions();
    let addrs: HashSet<_> = sessions.iter().map(|s| s.remote_addr()).collect();
    addrs.len()
}

#[tokio::test]
async fn an_upgrade_and_messages() {
    let (_node, proxy) = start(|builder| builder).await;
    upgrades_and_passes_messages(&proxy).await;
}

#[tokio::test]
async fn codes_both_ways() {
    let (mut node, proxy) = start(|builder| builder).await;
    let mut client = Client::connect(proxy.address()).await.unwrap();
    client.close(4001, "seen enough").await.unwrap();
    let end = node.ended().await;
    assert_eq!(end.code.map(u16::from), Some(4001));
    assert_eq!(
        (end.reason.as_str(), end.initiator),
        ("seen enough", Initiator::Client)
    );
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(4001));

    let mut client = Client::connect(proxy.address()).await.unwrap();
    let why = json!([4003, "not today"]);
    client.send("close", why).await.unwrap();
    assert_eq!(client.closed().await, Some((4003, "not today".to_owned())));
    client.close(4003, "").await.unwrap();
    client.eof().await;

    // Without a word.
    drop(node.ended().await);
    drop(Client::connect(proxy.address()).await.unwrap());
    assert_eq!(node.ended().await.code, None);
}

#[tokio::test]
async fn refusals_and_when_to_come_back() {
    let (mut node, proxy) = start(|builder| {
        let long = Duration::from_secs(600);
        builder.drain_notice(Some(long))
    })
    .await;
    let foreign = Request::new("/ws").header("Origin", "https://evil.example");
    assert_eq!(foreign.refused(proxy.address()).await.status, 403);
    node.drain().await;
    let answer = Request::new("/ws").refused(proxy.address()).await;
    assert_eq!(answer.status, 503);
    assert!(answer.header("retry-after").is_some(), "{answer:?}");
}

#[tokio::test]
async fn the_end_of_a_node() {
    let node = Node::over_http2(|builder| builder).await;
    let proxy = together(node.addr).start().await;
    let mut clients = Vec::new();
    for _ in 0..10 {
        clients.push(Client::connect(proxy.address()).await.unwrap());
    }
    until("all are open", async || node.gateway.stats().open == 10).await;
    let seen = clients.into_iter().map(async |mut client| {
        let seen = client.recv().await;
        let _answered = client.close(1001, "").await;
        match seen {
            Ok(Event::Close(Some(close))) => assert_eq!(close.code, 1001),
            other => panic!("expected a close frame with 1001; got {other:?}"),
        }
    });
    futures::join!(node.end(), futures::future::join_all(seen));
}

/// A client whose socket holds little of what it doesn't read.
async fn narrow(proxy: &ReverseProxy) -> Client {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(8192).unwrap();
    let tcp = socket.connect(proxy.address()).await.unwrap();
    Request::new("/ws").over(tcp).await.unwrap()
}

/// One that doesn't read takes nothing of what others get.
#[tokio::test]
async fn a_slow_reader_beside_fast_ones() {
    let (mut node, proxy) = start(|builder| builder.queue_bytes(256 * 1024)).await;
    let slow = narrow(&proxy).await;
    let mut fast = Vec::new();
    for _ in 0..3 {
        fast.push(Client::connect(proxy.address()).await.unwrap());
    }
    until("all are open", async || node.gateway.stats().open == 4).await;
    assert_eq!(connections(&node), 4);
    let large = "x".repeat(20_000);
    let mut sent = 0;
    while node.gateway.stats().slow_consumers == 0 {
        let all = node.gateway.broadcast("news", Json((sent, &large))).await;
        all.unwrap();
        for client in &mut fast {
            assert_eq!(client.recv_json().await.unwrap()["data"][0], sent);
        }
        sent += 1;
        assert!(sent < 5_000, "the slow one is never closed");
    }
    drop(slow);
    assert_eq!(node.ended().await.initiator, Initiator::Backpressure);
    for client in &mut fast {
        let answer = client.request("echo", json!(1)).await.unwrap();
        assert_eq!(answer["data"], 1);
    }
}

/// Which is why docs/proxies.md says that connections are not to be shared: HAProxy 2.6 reads no
/// further from one on which something came for a client that takes nothing.
#[tokio::test]
async fn on_a_shared_connection_a_slow_reader_holds_up_the_others() {
    let node = Node::over_http2(|builder| {
        let builder = builder.queue_bytes(1 << 30).queue_messages(1 << 20);
        builder.write_timeout(None)
    })
    .await;
    let proxy = together(node.addr).start().await;
    let slow = narrow(&proxy).await;
    let mut fast = Client::connect(proxy.address()).await.unwrap();
    until("both are open", async || node.gateway.stats().open == 2).await;
    assert_eq!(connections(&node), 1, "they share one");
    let large = "x".repeat(20_000);
    let (mut sent, mut heard) = (0, 0);
    loop {
        let all = node.gateway.broadcast("news", Json((sent, &large))).await;
        all.unwrap();
        sent += 1;
        assert!(sent < 5_000, "nobody is held up");
        match timeout(Duration::from_secs(3), fast.recv_json()).await {
            Ok(message) => heard = message.unwrap()["data"][0].as_u64().unwrap() + 1,
            Err(_) => break,
        }
    }
    drop(slow);
    while heard < sent {
        heard = fast.recv_json().await.unwrap()["data"][0].as_u64().unwrap() + 1;
    }
}

/// A WebSocket on a connection over which something else was asked for before.
async fn after_a_page(proxy: &ReverseProxy) -> Client {
    let mut tcp = TcpStream::connect(proxy.address()).await.unwrap();
    let page = b"GET / HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    tcp.write_all(page).await.unwrap();
    let mut answer = Vec::new();
    while !answer.ends_with(PAGE.as_bytes()) {
        let read = within("the page", tcp.read_buf(&mut answer)).await;
        assert_ne!(read.unwrap(), 0, "{answer:?}");
    }
    Request::new("/ws").over(tcp).await.unwrap()
}

/// Also where it wasn't the first that it asked for; the default, `safe`, promises no more than that.
#[tokio::test]
async fn each_client_has_a_connection_of_its_own() {
    for reuse in ["never", "safe"] {
        let node = Node::over_http2(|builder| builder).await;
        let proxy = on_one_thread(recipe(node.addr, reuse)).start().await;
        let mut clients = Vec::new();
        for _ in 0..5 {
            clients.push(Client::connect(proxy.address()).await.unwrap());
            clients.push(after_a_page(&proxy).await);
        }
        until("all are open", async || node.gateway.stats().open == 10).await;
        assert_eq!(connections(&node), 10, "{reuse}");
    }
}

/// Of an upgrade with a body HAProxy makes a request that is none.
#[tokio::test]
async fn an_upgrade_with_a_body() {
    let node = Node::over_http2(|builder| builder).await;
    let proxy = together(node.addr).start().await;
    let mut neighbour = Client::connect(proxy.address()).await.unwrap();
    until("it is open", async || node.gateway.stats().open == 1).await;
    for body in [
        "Content-Length: 5\r\n\r\nhello",
        "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ] {
        let upgrade = format!(
            "GET /ws HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
             Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{body}"
        );
        let answer = raw_http(proxy.address(), upgrade.as_bytes()).await;
        assert_eq!(answer.unwrap().status, 400, "{body}");
        let echoed = neighbour.request("echo", json!(1)).await.unwrap();
        assert_eq!(echoed["data"], 1);
    }
    assert_eq!(node.gateway.stats().open, 1);
}

/// Over HTTP/2 on both sides: hyper closes a connection on which a `CONNECT` with a body comes, with
/// all that is on it.
#[tokio::test]
async fn a_connect_with_a_body_ends_those_who_share_its_connection() {
    for are_together in [true, false] {
        let node = Node::over_http2(|builder| builder).await;
        let recipe = match are_together {
            true => together(node.addr),
            false => apart(node.addr),
        };
        let proxy = recipe.start().await;
        let mut neighbour = Client::connect(proxy.address()).await.unwrap();
        until("it is open", async || node.gateway.stats().open == 1).await;
        let tcp = TcpStream::connect(proxy.address()).await.unwrap();
        let (mut http2, connection) = h2::client::handshake(tcp).await.unwrap();
        tokio::spawn(connection);
        let may = async || http2.is_extended_connect_protocol_enabled();
        until("the proxy's settings are known", may).await;
        let connect = http::Request::builder()
            .method(http::Method::CONNECT)
            .uri("http://gateway.test/ws")
            .extension(h2::ext::Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .header("content-length", "5")
            .body(())
            .unwrap();
        let (answer, mut send) = http2.send_request(connect, false).unwrap();
        send.send_data("hello".into(), true).unwrap();
        within("an answer", answer).await.unwrap_err();
        let echoed = neighbour.request("echo", json!(1)).await;
        assert_eq!(echoed.is_err(), are_together, "{echoed:?}");
    }
}
