//! Over Redis: nodes that are cut off, and a store that is away.

use std::time::SystemTime;

use realtime::{
    IdentityKey, connect, error::ControlErrorKind, node::NodeId, revocation::Revocation,
};
use realtime_testkit::{
    client::Request,
    proxy::{Fault, Proxy},
    servers::Redis,
    wait::until,
};

use super::{
    SECOND, builder, close,
    nodes::a_revoked_user_is_out_everywhere,
    refused, roles,
    support::Server,
    tokens::{Token, Tokens},
    with,
};

async fn node(name: &str, broker: &str, store: &str) -> Server {
    let id: NodeId = name.parse().unwrap();
    let builder = builder(&Tokens::default())
        .node_id(id)
        .broker(connect::broker(broker).unwrap())
        .revocations(connect::revocations(store).unwrap());
    let gateway = builder.build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

fn of_ann() -> Revocation {
    Revocation::identity(IdentityKey::new("ann"), SystemTime::now() - SECOND)
}

fn old_token() -> Token {
    Token::of("ann").issued(60 * SECOND)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_revoked_user_is_out_on_all_nodes_and_on_one_that_comes_later_over_redis() {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let mut servers = Vec::new();
    for name in ["a", "b", "c"] {
        servers.push(node(name, &url, &url).await);
    }
    let knows_all = async || servers[0].gateway.nodes().len() == 3;
    until("each is known", knows_all).await;
    a_revoked_user_is_out_everywhere(&servers).await;
    // One of them ends, and another one begins.
    servers.remove(0).stop().await;
    let later = node("d", &url, &url).await;
    assert_eq!(refused(&later, &old_token()).await, 401);
    roles(&mut with(&later, &Token::of("ann")).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_cut_off_closes_whom_it_has_kept_once_it_is_back() {
    let redis = Redis::start().await.unwrap();
    let proxy = Proxy::start(redis.port()).await;
    let there = format!("redis://127.0.0.1:{}", proxy.port());
    let a = node("a", &redis.url(), &redis.url()).await;
    let b = node("b", &there, &there).await;
    until("both are known", async || a.gateway.nodes().len() == 2).await;
    let mut client = with(&b, &old_token()).await;
    proxy.set(Fault::Blackhole);
    let receipt = a.gateway.revoke(of_ann()).await.unwrap();
    assert_eq!((receipt.sessions, receipt.is_complete()), (0, false));
    assert_eq!(receipt.missing[0].id.as_str(), "b");
    // It is served there all the while, and nobody new can be asked about.
    roles(&mut client).await;
    assert_eq!(refused(&b, &old_token()).await, 503);
    proxy.set(Fault::None);
    proxy.reset();
    assert_eq!(close(&mut client).await, (3500, "revoked".to_owned()));
    let back = async || b.gateway.health().is_good();
    until("it is well again", back).await;
    assert_eq!(refused(&b, &old_token()).await, 401);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn where_the_store_is_away_all_are_closed_and_who_revoked_learns_that_they_may_come_back() {
    let (redis, kept) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let proxy = Proxy::start(kept.port()).await;
    let store = format!("redis://127.0.0.1:{}", proxy.port());
    let a = node("a", &redis.url(), &store).await;
    let b = node("b", &redis.url(), &store).await;
    until("both are known", async || a.gateway.nodes().len() == 2).await;
    let mut client = with(&b, &old_token()).await;
    let mut shown = with(&b, &Token::of("bob")).await;
    proxy.set(Fault::Refuse);
    proxy.reset();
    let error = a.gateway.revoke(of_ann()).await.unwrap_err();
    assert_eq!(error.kind(), ControlErrorKind::NotRemembered);
    assert_eq!(close(&mut client).await.0, 3500);
    // Who was heard of is refused all the same; whom nothing is known of may come again later.
    assert_eq!(refused(&b, &old_token()).await, 401);
    assert_eq!(refused(&b, &Token::of("eve")).await, 503);
    let answer = super::show(&mut shown, &Token::of("bob")).await;
    assert_eq!(answer["data"]["code"], "unavailable");
    until("its health says so", async || !a.gateway.health().is_good()).await;
    proxy.set(Fault::None);
    until("it is remembered", async || {
        a.gateway.revoke(of_ann()).await.is_ok()
    })
    .await;
    let eve = Request::new(format!("/ws?{}", Token::of("eve")));
    until("others come in again", async || {
        eve.connect(b.addr).await.is_ok()
    })
    .await;
    assert_eq!(refused(&b, &old_token()).await, 401);
}
