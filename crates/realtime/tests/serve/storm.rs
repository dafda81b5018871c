//! Everybody comes back at the same instant.

use std::{fs, net::SocketAddr};

use futures::future::{join_all, try_join_all};
use realtime::{bind, serve};
use realtime_testkit::{client::Request, wait::within};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::net::TcpStream;

const STORM: usize = 1_000;

/// Both ends are in this process.
fn allow_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).unwrap();
}

/// How many of the storm the system can hold: Linux caps the backlog, and holds one more.
fn in_the_backlog() -> usize {
    let max = fs::read_to_string("/proc/sys/net/core/somaxconn");
    let max = max.ok().and_then(|max| max.trim().parse().ok());
    STORM.min(max.unwrap_or(128))
}

/// Nobody accepts yet: what the backlog can't hold would try again after a second, and for as long
/// as nobody accepts.
#[tokio::test]
async fn a_thousand_connects_at_once_wait_in_the_backlog_and_are_served() {
    allow_descriptors();
    let listener = bind("127.0.0.1:0").await.unwrap();
    let addr: SocketAddr = listener.local_addr().unwrap();
    let storm = try_join_all((0..in_the_backlog()).map(|_| TcpStream::connect(addr)));
    let storm = within("all handshakes, with nobody who accepts", storm)
        .await
        .unwrap();
    let gateway = realtime::builder().build().unwrap();
    let served = serve(listener, gateway.clone(), gateway.clone());
    let served = tokio::spawn(served.into_future());
    let upgrades = storm.into_iter().map(async |tcp| {
        let client = Request::new("/ws").over(tcp).await;
        client.unwrap().answer.status
    });
    let statuses = join_all(upgrades).await;
    assert!(statuses.iter().all(|status| *status == 101));
    assert_eq!(gateway.stats().connections_failed, 0);
    gateway.shutdown().await;
    super::ended(served).await.unwrap();
}
