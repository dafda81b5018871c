//! TLS that ends at the proxy, and HTTP/2 in front: pages come over it, and WebSockets over
//! HTTP/1.1 beside it, or over a stream of it where the proxy can do that (RFC 8441).

use bytes::{Bytes, BytesMut};
use h2::{client::SendRequest, ext::Protocol};
use http::{Method, Request as HttpRequest, Response, StatusCode};
use realtime_testkit::{
    client::{Client, Request},
    wait::{until, within},
};
use serde_json::json;
use tokio::net::TcpStream;

use crate::{
    behind_each,
    node::{Node, PAGE},
    recipe::Kind,
    site::Site,
    tls::{NAME, chosen},
};

behind_each!(
    a_page_over_https_connects,
    a_page_comes_over_http2_and_its_websocket_over_http1,
);

async fn start(kind: Kind) -> (Site, [Node; 2]) {
    let nodes = [Node::start().await, Node::start().await];
    (
        Site::start(kind.two([nodes[0].addr, nodes[1].addr])).await,
        nodes,
    )
}

/// As a page of this site asks for it, whose port is hidden (443) or not.
fn of_page(host: &str) -> Request {
    let request = Request::new("/ws").without("Host").header("Host", host);
    request.header("Origin", &format!("https://{host}"))
}

/// A WebSocket over HTTP/1.1, as a browser opens it: it offers nothing else for it.
async fn over_http1(site: &Site, host: &str) {
    let stream = site.stream().await;
    assert_ne!(chosen(&stream), Some("h2"));
    let mut client = of_page(host).over(stream).await.unwrap();
    let large = json!("x".repeat(300_000));
    let answer = client.request("echo", large.clone()).await.unwrap();
    assert_eq!(answer["data"], large);
    client.close(4001, "bye").await.unwrap();
    assert_eq!(client.closed().await.map(|(code, _)| code), Some(4001));
}

async fn a_page_over_https_connects(kind: Kind) {
    let (site, _nodes) = start(kind).await;
    let port = site.proxy.address().port();
    for host in [NAME.to_owned(), format!("{NAME}:{port}")] {
        over_http1(&site, &host).await;
    }
    let foreign = Request::new("/ws").header("Origin", "https://evil.example");
    assert_eq!(site.refused(foreign).await.status, 403);
}

async fn a_page_comes_over_http2_and_its_websocket_over_http1(kind: Kind) {
    let (site, _nodes) = start(kind).await;
    let mut http2 = http2(&site).await;
    let page = HttpRequest::get(format!("https://{NAME}/"))
        .body(())
        .unwrap();
    let (answer, _) = http2.send_request(page, true).unwrap();
    let answer = within("the page", answer).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(text(answer).await, PAGE);
    // Browsers open a WebSocket over HTTP/2 where this says that they may, and else beside it.
    let may = http2.is_extended_connect_protocol_enabled();
    assert_eq!(may, kind == Kind::HaProxy);
    over_http1(&site, NAME).await;
}

/// HAProxy makes a request over HTTP/1.1 of it, so the gateway needs to know nothing of it.
#[tokio::test]
async fn haproxy_carries_a_websocket_over_http2_to_a_gateway_that_speaks_http1() {
    let (site, mut nodes) = start(Kind::HaProxy).await;
    let mut http2 = http2(&site).await;
    let may = async || http2.is_extended_connect_protocol_enabled();
    until("the proxy's settings are known", may).await;
    let request = HttpRequest::builder()
        .method(Method::CONNECT)
        .uri(format!("https://{NAME}/ws"))
        .extension(Protocol::from_static("websocket"))
        .header("sec-websocket-version", "13")
        .header("origin", format!("https://{NAME}"))
        .body(())
        .unwrap();
    let (answer, mut send) = http2.send_request(request, false).unwrap();
    let answer = within("the answer to CONNECT", answer).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    let said = json!({ "id": "1", "route": "echo", "data": "over HTTP/2" });
    let frame = Client::<TcpStream>::text_frame(&said.to_string());
    send.send_data(frame, false).unwrap();
    let mut body = answer.into_body();
    let mut heard = BytesMut::new();
    while !String::from_utf8_lossy(&heard).contains("over HTTP/2") {
        let more = within("an answer", body.data()).await;
        heard.extend_from_slice(&more.unwrap().unwrap());
    }
    drop((send, body, http2));
    let [one, other] = &mut nodes;
    tokio::select! {
        _ = one.ended() => {}
        _ = other.ended() => {}
    }
}

async fn http2(site: &Site) -> SendRequest<Bytes> {
    let stream = site
        .certificate
        .connect(site.proxy.address(), &["h2", "http/1.1"])
        .await;
    assert_eq!(chosen(&stream), Some("h2"));
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender.ready().await.unwrap()
}

async fn text(answer: Response<h2::RecvStream>) -> String {
    let mut body = answer.into_body();
    let mut bytes = BytesMut::new();
    while let Some(more) = within("the body", body.data()).await {
        bytes.extend_from_slice(&more.unwrap());
    }
    String::from_utf8(bytes.to_vec()).unwrap()
}
