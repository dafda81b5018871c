//! What the kernel keeps of sessions that are gone: nothing, where their peers don't take it.
#![cfg(target_os = "linux")]

use std::{net::SocketAddr, sync::Arc, time::Duration};

use realtime::{Builder, DisconnectInfo, Payload};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::TcpStream,
    sync::Mutex,
};
use tokio_rustls::{TlsConnector, rustls::pki_types::ServerName};

use crate::{
    Server, ended,
    support::{kernel::knows, tls},
};

const SHORT: Option<Duration> = Some(Duration::from_millis(500));

#[derive(Debug, Clone, Copy)]
enum Over {
    Tcp,
    Tls,
}

trait Wire: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Wire for T {}

/// A client that reads nothing of what comes, and where it is.
async fn deaf(
    server: SocketAddr,
    tls: Option<&TlsConnector>,
) -> (Client<Box<dyn Wire>>, SocketAddr) {
    let tcp = TcpStream::connect(server).await.unwrap();
    let peer = tcp.local_addr().unwrap();
    let wire: Box<dyn Wire> = match tls {
        None => Box::new(tcp),
        Some(tls) => {
            let name = ServerName::try_from("gateway.test").unwrap();
            Box::new(tls.connect(name, tcp).await.unwrap())
        }
    };
    (Request::new("/ws").over(wire).await.unwrap(), peer)
}

/// It is told something of this size, so often, and neither reads it nor ends anything.
async fn is_forgotten(over: Over, builder: Builder, (size, often): (usize, usize), reason: &str) {
    let what = format!("{over:?} {reason}");
    let ends = Arc::new(Mutex::new(Vec::<String>::new()));
    let kept = Arc::clone(&ends);
    let gateway = builder
        .on_disconnect(move |info: DisconnectInfo| {
            let kept = Arc::clone(&kept);
            async move { kept.lock().await.push(info.reason) }
        })
        .build()
        .unwrap();
    let (server, connector) = match over {
        Over::Tcp => (Server::start(gateway).await, None),
        Over::Tls => {
            let (acceptor, connector) = tls::ServerIdentity::random().both();
            let secure = move |tcp| acceptor.accept(tcp);
            let server = Server::with(gateway, |server| server.secure(secure)).await;
            (server, Some(connector))
        }
    };
    let (client, peer) = deaf(server.addr, connector.as_ref()).await;
    assert!(knows(server.addr, peer), "{what}");
    until("it is open", async || server.gateway.stats().open == 1).await;
    let session = server.gateway.local_sessions().remove(0);
    let payload = Payload::from(format!("\"{}\"", "x".repeat(size)));
    for _ in 0..often {
        let _taken_or_not = session.send("n", &payload);
    }
    until(&format!("its session has ended: {what}"), async || {
        ends.lock().await.iter().any(|end| end == reason)
    })
    .await;
    until(
        &format!("the kernel has forgotten it: {what}"),
        async || !knows(server.addr, peer),
    )
    .await;
    drop(client);
    server.signal.send(()).unwrap();
    ended(server.task).await.unwrap();
}

/// One for which much waits, one that is merely silent, one for which there is no room in its queue,
/// and one that is given up for the memory of all.
async fn nothing_is_left(over: Over) {
    let short = || realtime::builder().write_timeout(SHORT).heartbeat(None);
    is_forgotten(over, short(), (16 << 20, 1), "write timeout").await;
    let pinged = realtime::builder().heartbeat(SHORT).pong_timeout(SHORT);
    is_forgotten(over, pinged, (1, 1), "pong timeout").await;
    // So long that the queue is full before.
    let narrow = short().write_timeout(Some(Duration::from_secs(3)));
    let narrow = narrow.queue_messages(2);
    is_forgotten(over, narrow, (1 << 20, 32), "slow consumer").await;
    // What is left for it then may take as long as a write.
    let evicting = short().write_timeout(Some(Duration::from_secs(3)));
    let evicting = evicting.queue_budget(25_000).queue_bytes(25_000);
    is_forgotten(over, evicting, (16 << 20, 1), "slow consumer").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_takes_nothing_leaves_nothing_in_the_kernel() {
    nothing_is_left(Over::Tcp).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn neither_does_one_behind_tls() {
    nothing_is_left(Over::Tls).await;
}
