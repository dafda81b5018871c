//! How many upgrades a second are let in, and where those that come beyond wait.

use std::time::{Duration, Instant};

use futures::future::join_all;
use realtime_testkit::client::{Request, raw_http};
use tokio::{io::AsyncWriteExt, net::TcpStream};

use super::{builder, support::Server};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_serve_a_storm_waits_in_the_kernel_and_all_get_in() {
    let gateway = builder(|limits| limits.max_upgrades_per_second = Some(50));
    let server = Server::start(gateway.build().unwrap()).await;
    // One that is connected already is served meanwhile.
    let mut kept = TcpStream::connect(server.addr).await.unwrap();
    ask(&mut kept).await;
    let begun = Instant::now();
    let request = Request::new("/ws?ann");
    let storm = join_all((0..130).map(|_| request.connect(server.addr)));
    let watched = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        let opened = server.gateway.stats().opened as f64;
        let most = 50. + begun.elapsed().as_secs_f64() * 50. + 1.;
        assert!(opened <= most, "{opened} of {most}");
        let asked = Instant::now();
        ask(&mut kept).await;
        if begun.elapsed() < Duration::from_millis(1_400) {
            assert!(asked.elapsed() < Duration::from_secs(1), "it is starved");
        }
    };
    let (clients, ()) = tokio::join!(storm, watched);
    assert!(clients.iter().all(Result::is_ok));
    assert!(begun.elapsed() > Duration::from_millis(1_500));
    assert_eq!(server.gateway.stats().upgrades_limited, 0);
    server.stop().await;
}

/// A plain request on a connection that is kept.
async fn ask(connection: &mut TcpStream) {
    use tokio::io::AsyncReadExt;

    let request = b"GET /nothing HTTP/1.1\r\nHost: gateway.test\r\n\r\n";
    connection.write_all(request).await.unwrap();
    let mut answer = vec![0; 4_096];
    let read = connection.read(&mut answer).await.unwrap();
    assert!(answer[..read].starts_with(b"HTTP/1.1 404"));
}

/// Those who are connected and ask a round trip later, or once their TLS is there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_ask_late_wait_in_a_line_of_ten_seconds() {
    let gateway = builder(|limits| limits.max_upgrades_per_second = Some(50));
    let server = Server::start(gateway.build().unwrap()).await;
    let request = Request::new("/ws?ann");
    let late = join_all((0..100).map(async |_| {
        let tcp = TcpStream::connect(server.addr).await.unwrap();
        tokio::time::sleep(Duration::from_millis(100)).await;
        request.over(tcp).await.is_ok()
    }));
    assert!(late.await.into_iter().all(|is_in| is_in));
    assert_eq!(server.gateway.stats().upgrades_limited, 0);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn elsewhere_those_beyond_the_line_are_told_to_come_back() {
    let gateway = builder(|limits| limits.max_upgrades_per_second = Some(100));
    let server = Server::under_axum(gateway.build().unwrap()).await;
    let request = "GET /ws?ann HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\n\
                   Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n\
                   Sec-WebSocket-Key: BwcHBwcHBwcHBwcHBwcHBw==\r\n\r\n";
    let asked = join_all((0..400).map(|_| raw_http(server.addr, request.as_bytes()))).await;
    let (mut let_in, mut refused) = (0, 0);
    for answer in asked {
        let answer = answer.unwrap();
        match answer.status {
            101 => let_in += 1,
            status => {
                assert_eq!(status, 503);
                let wait: u64 = answer.header("Retry-After").unwrap().parse().unwrap();
                assert!((1..=5).contains(&wait), "{wait}");
                refused += 1;
            }
        }
    }
    assert!(
        let_in >= 200,
        "{let_in}: a second's worth at once, and as many in the line"
    );
    assert_eq!(server.gateway.stats().upgrades_limited, refused);
    // What isn't an upgrade, and what can't be one, takes nobody's turn.
    let plain = raw_http(
        server.addr,
        b"GET /ws HTTP/1.1\r\nHost: gateway.test\r\n\r\n",
    );
    assert_eq!(plain.await.unwrap().status, 426);
    server.stop().await;
}

#[tokio::test]
async fn who_has_no_place_takes_nobodys_turn() {
    let gateway = builder(|limits| {
        limits.max_upgrades_per_second = Some(4);
        limits.max_connections_per_address = Some(2);
    });
    let gateway = gateway.trusted_proxies(["127.0.0.1"]).build().unwrap();
    let server = Server::start(gateway).await;
    let from = |address: &str| Request::new("/ws?ann").header("X-Forwarded-For", address);
    let (flooder, other) = (from("10.0.0.1"), from("10.0.0.2"));
    let _two = join_all((0..2).map(|_| flooder.connect(server.addr))).await;
    let begun = Instant::now();
    let refused = join_all((0..50).map(|_| flooder.refused(server.addr))).await;
    assert!(refused.iter().all(|answer| answer.status == 429));
    drop(other.connect(server.addr).await.unwrap());
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "it waits behind those"
    );
    assert_eq!(server.gateway.stats().upgrades_limited, 0);
    server.stop().await;
}

#[tokio::test]
async fn those_in_the_line_hear_of_the_shutdown() {
    let gateway = builder(|limits| limits.max_upgrades_per_second = Some(1));
    let server = Server::under_axum(gateway.build().unwrap()).await;
    let request = Request::new("/ws?ann");
    let first = request.connect(server.addr).await.unwrap();
    let waiting = join_all((0..9).map(|_| request.refused(server.addr)));
    let shut_down = async {
        // Behind those that may have come.
        tokio::time::sleep(Duration::from_millis(200)).await;
        drop(first);
        server.gateway.shutdown().await;
    };
    let begun = Instant::now();
    let (answers, _) = tokio::join!(waiting, shut_down);
    assert!(
        begun.elapsed() < Duration::from_secs(5),
        "one after the other"
    );
    for answer in answers {
        assert_eq!(
            (answer.status, answer.header("Retry-After")),
            (503, Some("1"))
        );
    }
    assert_eq!(server.gateway.stats().upgrades_limited, 0);
    server.stop().await;
}
