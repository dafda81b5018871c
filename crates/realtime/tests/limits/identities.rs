//! How many sessions an identity may have: on one node, and on several.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use realtime::{
    ClientError, Identity, Session, SessionId, Upgrade,
    broker::{LocalBroker, NodeInfo},
    config::ConnectionPolicy,
    node::{Incarnation, NodeId},
    presence::{MemoryPresence, Presence, SessionInfo},
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use serde_json::json;

use super::{builder, named, once_free, server, support::Server};

/// Several nodes, on which an identity may have so many sessions.
async fn nodes<const N: usize>(most: usize, policy: ConnectionPolicy) -> [Server; N] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let mut servers = Vec::new();
    for n in 0..N {
        let id: NodeId = format!("node-{n}").parse().unwrap();
        let builder = builder(|limits| {
            limits.max_connections_per_identity = Some(most);
            limits.connection_policy = policy;
        });
        let builder = builder.node_id(id).broker(broker.clone());
        let gateway = builder.presence(presence.clone()).build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    servers.try_into().ok().unwrap()
}

pub(crate) async fn is_there(client: &mut Client) {
    let answer = client.request("echo", json!(7)).await.unwrap();
    assert_eq!(answer["data"], 7);
}

pub(crate) async fn is_replaced(client: &mut Client) {
    let (code, reason) = client.closed().await.unwrap();
    assert_eq!(
        (code, &*reason),
        (3506, "a newer connection took its place")
    );
}

pub(crate) async fn is_refused(server: &Server, name: &str) {
    let answer = Request::new(format!("/ws?{name}"))
        .refused(server.addr)
        .await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.header("Retry-After"), Some("10"));
}

#[tokio::test]
async fn the_newest_is_refused() {
    let server = server(|limits| limits.max_connections_per_identity = Some(2)).await;
    let mut first = named(&server, "ann").await;
    let mut second = named(&server, "ann").await;
    is_refused(&server, "ann").await;
    is_there(&mut named(&server, "bob").await).await;
    is_there(&mut named(&server, "t/ann").await).await;
    assert_eq!(server.gateway.stats().connections_limited, 1);
    first.close(1000, "").await.unwrap();
    is_there(&mut once_free(&server, &Request::new("/ws?ann")).await).await;
    is_there(&mut second).await;
    server.stop().await;
}

#[tokio::test]
async fn so_it_is_for_one_that_its_host_has_authenticated() {
    let gateway = builder(|limits| limits.max_connections_per_identity = Some(1));
    let gateway = gateway.build().unwrap();
    let ws = {
        let gateway = gateway.clone();
        async move |upgrade: Upgrade| gateway.accept(upgrade, Identity::new("ann"))
    };
    let app = axum::Router::new().route("/ws", axum::routing::any(ws));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let served = tokio::spawn(realtime::serve(listener, app, gateway.clone()).into_future());
    let mut first = Client::connect(addr).await.unwrap();
    let answer = Request::new("/ws").refused(addr).await;
    assert_eq!(answer.status, 429);
    is_there(&mut first).await;
    gateway.shutdown().await;
    served.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_oldest_is_closed() {
    let server = server(|limits| {
        limits.max_connections_per_identity = Some(2);
        limits.connection_policy = ConnectionPolicy::CloseOldest;
    })
    .await;
    let mut clients = Vec::new();
    for n in 0..6 {
        clients.push(named(&server, "ann").await);
        is_there(&mut clients[n]).await;
        if n >= 2 {
            is_replaced(&mut clients[n - 2]).await;
        }
    }
    is_there(&mut clients[4]).await;
    is_there(&mut clients[5]).await;
    assert_eq!(server.gateway.stats().connections_limited, 4);
    server.stop().await;
}

#[tokio::test]
async fn many_at_once_are_no_more_than_there_may_be() {
    let server = server(|limits| {
        limits.max_connections_per_identity = Some(3);
        limits.connection_policy = ConnectionPolicy::CloseOldest;
    })
    .await;
    let request = Request::new("/ws?ann");
    let clients = (0..50).map(|_| request.connect(server.addr));
    let clients = futures::future::join_all(clients).await;
    assert!(clients.iter().all(Result::is_ok));
    server.until_open(3).await;
    server.stop().await;
}

#[tokio::test]
async fn the_newest_is_refused_on_every_node() {
    let servers = nodes::<3>(2, ConnectionPolicy::RefuseNewest).await;
    let mut first = named(&servers[0], "ann").await;
    let mut second = named(&servers[1], "ann").await;
    is_there(&mut first).await;
    is_there(&mut second).await;
    for server in &servers {
        is_refused(server, "ann").await;
    }
    is_there(&mut named(&servers[2], "bob").await).await;
    first.close(1000, "").await.unwrap();
    is_there(&mut once_free(&servers[2], &Request::new("/ws?ann")).await).await;
    for server in servers {
        server.stop().await;
    }
}

#[tokio::test]
async fn the_oldest_is_closed_on_whatever_node_it_is() {
    let servers = nodes::<3>(2, ConnectionPolicy::CloseOldest).await;
    let mut clients = Vec::new();
    for n in 0..6 {
        clients.push(named(&servers[n % 3], "ann").await);
        is_there(&mut clients[n]).await;
        if n >= 2 {
            is_replaced(&mut clients[n - 2]).await;
        }
    }
    is_there(&mut clients[4]).await;
    is_there(&mut clients[5]).await;
    let limited = servers
        .iter()
        .map(|s| s.gateway.stats().connections_limited);
    // One that is closing already may be told a second time.
    assert!(limited.sum::<u64>() >= 4);
    for server in servers {
        server.stop().await;
    }
}

/// The clock of the other node is an hour ahead, or behind.
#[tokio::test]
async fn the_new_one_stays_whatever_the_clock_of_another_node_says() {
    let hour = Duration::from_secs(3_600);
    for at in [SystemTime::now() + hour, SystemTime::now() - hour] {
        let presence = MemoryPresence::new();
        let builder = builder(|limits| {
            limits.max_connections_per_identity = Some(1);
            limits.connection_policy = ConnectionPolicy::CloseOldest;
        });
        let builder = builder.broker(LocalBroker::new());
        let gateway = builder.presence(presence.clone()).build().unwrap();
        gateway.start().await.unwrap();
        let server = Server::start(gateway).await;
        let other = NodeInfo::new("other".parse().unwrap(), Incarnation::random());
        let ann = realtime::IdentityKey::new("ann");
        let mut session = SessionInfo::new(SessionId::random(), &ann, other);
        session.connected_at = at;
        let lease = Some(Duration::from_secs(600));
        let registered = presence.register(&[session], lease).await.unwrap();
        assert!(registered.failed.is_empty());
        let mut client = named(&server, "ann").await;
        is_there(&mut client).await;
        // The other one is told to go.
        let stats = || server.gateway.stats();
        assert_eq!((stats().connections_limited, stats().open), (1, 1));
        server.stop().await;
    }
}

#[tokio::test]
async fn one_that_a_hook_refuses_replaces_nobody() {
    let builder = builder(|limits| {
        limits.max_connections_per_identity = Some(1);
        limits.connection_policy = ConnectionPolicy::CloseOldest;
    });
    let came = Arc::new(AtomicUsize::new(0));
    let builder = builder.on_connect(move |_session: Session| {
        let is_second = came.fetch_add(1, SeqCst) == 1;
        async move {
            match is_second {
                true => Err(ClientError::new("no", "not you")),
                false => Ok(()),
            }
        }
    });
    let server = Server::start(builder.build().unwrap()).await;
    let mut first = named(&server, "ann").await;
    is_there(&mut first).await;
    let mut refused = named(&server, "ann").await;
    assert_eq!(refused.closed().await.unwrap().0, 1008);
    is_there(&mut first).await;
    is_there(&mut named(&server, "ann").await).await;
    is_replaced(&mut first).await;
    server.stop().await;
}

#[tokio::test]
async fn sessions_of_a_node_that_is_gone_keep_nobody_out() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let builder = builder(|limits| limits.max_connections_per_identity = Some(1));
    let builder = builder.broker(broker).presence(presence.clone());
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway).await;
    let ghost = NodeInfo::new("killed".parse().unwrap(), Incarnation::random());
    let ann = realtime::IdentityKey::new("ann");
    let session = SessionInfo::new(SessionId::random(), &ann, ghost);
    let lease = Some(Duration::from_secs(600));
    let registered = presence.register(&[session], lease).await.unwrap();
    assert!(registered.failed.is_empty());
    is_refused(&server, "ann").await;
    // Once all nodes have had the time to say that they are there.
    is_there(&mut once_free(&server, &Request::new("/ws?ann")).await).await;
    until("it counts", async || server.gateway.stats().open == 1).await;
    server.stop().await;
}
