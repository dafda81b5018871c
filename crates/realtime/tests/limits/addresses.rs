//! How many connections there may be from one address.

use realtime_testkit::client::Request;

use super::{builder, once_free, server, support::Server};

#[tokio::test]
async fn an_address_has_so_many_connections_and_each_is_freed_with_its_end() {
    let gateway = builder(|limits| limits.max_connections_per_address = Some(2));
    let gateway = gateway.trusted_proxies(["127.0.0.1"]).build().unwrap();
    let server = Server::start(gateway).await;
    let from = |address: &str| Request::new("/ws?ann").header("X-Forwarded-For", address);
    // The first two are one, and the third is another one.
    for [first, same, other] in [
        ["10.0.0.1", "10.0.0.1", "10.0.0.2"],
        ["::ffff:10.0.1.1", "10.0.1.1", "::ffff:10.0.1.2"],
        ["2001:db8:0:1::1", "2001:db8:0:1:2:3:4:5", "2001:db8:0:2::1"],
    ] {
        let first = from(first).connect(server.addr).await.unwrap();
        let _second = from(same).connect(server.addr).await.unwrap();
        let answer = from(same).refused(server.addr).await;
        assert_eq!(answer.status, 429, "{same}");
        assert_eq!(answer.header("Retry-After"), Some("10"));
        let _other = from(other).connect(server.addr).await.unwrap();
        drop(first);
        let _third = once_free(&server, &from(same)).await;
    }
    assert!(server.gateway.stats().connections_limited >= 3);
    server.stop().await;
}

#[tokio::test]
async fn what_an_untrusted_peer_says_of_itself_does_not_count() {
    let server = server(|limits| limits.max_connections_per_address = Some(1)).await;
    let from = |address: &str| Request::new("/ws?ann").header("X-Forwarded-For", address);
    let _first = from("10.0.0.1").connect(server.addr).await.unwrap();
    assert_eq!(from("10.0.0.2").refused(server.addr).await.status, 429);
    server.stop().await;
}
