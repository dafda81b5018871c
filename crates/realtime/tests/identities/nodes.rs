//! Revoked on three nodes, and on one that is started later.

use std::time::{Instant, SystemTime};

use realtime::{
    IdentityKey,
    broker::LocalBroker,
    node::NodeId,
    revocation::{MemoryRevocations, Revocation},
};

use super::{
    SECOND, builder, close, refused, roles,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

pub(crate) async fn node(n: usize, broker: &LocalBroker, store: &MemoryRevocations) -> Server {
    let id: NodeId = format!("node-{n}").parse().unwrap();
    let builder = builder(&Tokens::default())
        .node_id(id)
        .broker(broker.clone());
    let gateway = builder.revocations(store.clone()).build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

/// Nodes with one broker and one store in this process.
pub(crate) async fn nodes<const N: usize>() -> [Server; N] {
    let (broker, store) = (LocalBroker::new(), MemoryRevocations::new().shared());
    let mut servers = Vec::new();
    for n in 0..N {
        servers.push(node(n, &broker, &store).await);
    }
    servers.try_into().ok().unwrap()
}

/// Somebody on each node is out within a second, and doesn't come back on any; who signs in anew
/// does.
pub(crate) async fn a_revoked_user_is_out_everywhere(servers: &[Server]) {
    let token = Token::of("ann").issued(60 * SECOND);
    let mut clients = Vec::new();
    for server in servers {
        clients.push(with(server, &token).await);
    }
    let mut bob = with(&servers[0], &Token::of("bob")).await;
    let now = SystemTime::now();
    let begun = Instant::now();
    let revocation = Revocation::identity(IdentityKey::new("ann"), now - SECOND);
    let gateway = servers[0].gateway.clone();
    let revoking = tokio::spawn(async move { gateway.revoke(revocation).await.unwrap() });
    for client in &mut clients {
        assert_eq!(close(client).await, (3500, "revoked".to_owned()));
    }
    assert!(begun.elapsed() < SECOND, "{:?}", begun.elapsed());
    let receipt = revoking.await.unwrap();
    assert_eq!(receipt.sessions, servers.len() as u64);
    assert!(receipt.is_complete(), "{receipt:?}");
    for server in servers {
        assert_eq!(refused(server, &token).await, 401);
        roles(&mut with(server, &Token::of("ann")).await).await;
    }
    roles(&mut bob).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_user_is_out_on_all_nodes_and_on_one_that_comes_later() {
    let (broker, store) = (LocalBroker::new(), MemoryRevocations::new().shared());
    let mut servers = Vec::new();
    for n in 0..3 {
        servers.push(node(n, &broker, &store).await);
    }
    a_revoked_user_is_out_everywhere(&servers).await;
    let later = node(3, &broker, &store).await;
    let token = Token::of("ann").issued(60 * SECOND);
    assert_eq!(refused(&later, &token).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_did_not_hear_of_it_finds_it_in_the_store() {
    let store = MemoryRevocations::new().shared();
    let a = node(0, &LocalBroker::new(), &store).await;
    // Another broker: nothing that the first one says gets there.
    let b = node(1, &LocalBroker::new(), &store).await;
    let mut client = with(&b, &Token::of("ann").id("seven")).await;
    a.gateway.revoke(Revocation::token("seven")).await.unwrap();
    assert_eq!(close(&mut client).await, (3500, "revoked".to_owned()));
}
