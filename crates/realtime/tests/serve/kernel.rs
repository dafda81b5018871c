//! What the kernel keeps of sessions that are gone: nothing, where their peers don't take it.
#![cfg(target_os = "linux")]

use std::{net::SocketAddr, time::Duration};

use realtime::{DisconnectInfo, Payload};
use realtime_testkit::{client::Request, wait::until};
use tokio::net::TcpStream;

use crate::{Server, ended};

/// Whether the kernel has a connection of these ports, seen from the server.
fn knows(server: SocketAddr, peer: SocketAddr) -> bool {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| {
        let (_, port) = address.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    table.lines().skip(1).any(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (words.next(), words.next());
        local.and_then(port) == Some(server.port()) && remote.and_then(port) == Some(peer.port())
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_nothing_leaves_nothing_in_the_kernel() {
    let ends = std::sync::Arc::new(std::sync::Mutex::new(Vec::<String>::new()));
    let kept = std::sync::Arc::clone(&ends);
    let short = Some(Duration::from_millis(500));
    let gateway = realtime::builder()
        .heartbeat(short)
        .pong_timeout(short)
        .write_timeout(short)
        .on_disconnect(move |info: DisconnectInfo| {
            kept.lock().unwrap().push(info.reason);
            async {}
        })
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    // One for which much waits, and one that is merely silent. Neither reads or ends anything.
    for (size, reason) in [(16 << 20, "write timeout"), (1, "pong timeout")] {
        let stream = TcpStream::connect(server.addr).await.unwrap();
        let peer = stream.local_addr().unwrap();
        let client = Request::new("/ws").over(stream).await.unwrap();
        assert!(knows(server.addr, peer));
        let payload = Payload::from(format!("\"{}\"", "x".repeat(size)));
        until("it is open", async || {
            let sessions = server.gateway.local_sessions();
            sessions
                .iter()
                .any(|session| session.send("n", &payload).is_ok())
        })
        .await;
        until("its session has ended", async || {
            ends.lock().unwrap().iter().any(|end| end == reason)
        })
        .await;
        until("the kernel has forgotten it", async || {
            !knows(server.addr, peer)
        })
        .await;
        drop(client);
    }
    server.signal.send(()).unwrap();
    ended(server.task).await.unwrap();
}
