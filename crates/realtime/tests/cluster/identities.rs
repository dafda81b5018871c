//! Identities that end, are shown anew and are changed, on three nodes over RabbitMQ and Redis: while
//! one of them is killed, and while the store of revocations is away.

use std::time::{Duration, Instant};

use realtime::{Builder, IdentityUpdate, Json, Router, Session, connect};
use realtime_testkit::{
    client::{Client, Request},
    servers::Redis,
    wait::until,
};
use serde_json::{Value, json};

use crate::{
    cluster::Cluster,
    killed::{LEASE, Victim},
    nodes::{Node, key},
    tokens::{Token, Tokens},
};

const SECOND: Duration = Duration::from_secs(1);
/// How long a token lives.
const LIFE: Duration = Duration::from_secs(2);
/// For how long after it a client is waited for: longer than the store is away, on a busy machine.
const GRACE: Duration = Duration::from_secs(4);

async fn node(cluster: &Cluster, revocations: &Redis) -> Node {
    let who = async |session: Session| Json(session.identity().roles().to_vec());
    let with = |builder: Builder| {
        builder
            .authenticator(Tokens::default())
            .router(Router::new().route("who", who))
            .revocations(connect::revocations(&revocations.url()).unwrap())
            .presence_ttl(Some(LEASE))
            .expiry_notice(Some(SECOND))
            .expiry_grace(Some(GRACE))
    };
    cluster.node_with(with).await
}

async fn join(node: &Node, token: &Token) -> Client {
    let request = Request::new(format!("/ws?{token}"));
    let mut client = request.connect(node.addr).await.unwrap();
    roles(&mut client).await;
    client
}

async fn roles(client: &mut Client) -> Value {
    client.request("who", Value::Null).await.unwrap()["data"].clone()
}

/// Bob's, with one role.
fn of_bob(role: &str) -> Token {
    Token::of("t/bob").roles(role).ends_in(LIFE)
}

async fn show(client: &mut Client, role: &str) -> Value {
    let data = json!({"token": of_bob(role).to_string()});
    client.request("authenticate", data).await.unwrap()
}

async fn has_shown(client: &mut Client, role: &str) {
    let answer = show(client, role).await;
    assert_eq!(answer["route"], "authenticate", "{answer}");
    assert_eq!(roles(client).await, json!([role]));
}

pub(crate) async fn sessions_outlive_their_tokens_a_killed_node_and_the_store_of_revocations() {
    let cluster = Cluster::start().await;
    let mut store = Redis::start().await.unwrap();
    let (a, c) = (node(&cluster, &store).await, node(&cluster, &store).await);
    let (victim, addr) = Victim::plain(&cluster.rabbitmq.url(), &cluster.redis.url());
    let _on_victim = Request::new("/ws?bob").connect(addr).await.unwrap();
    // Tokens that end soon come once this has taken its time.
    let lasts = Token::of("t/bob").roles("first").ends_in(60 * SECOND);
    let mut clients = [join(&a, &lasts).await, join(&c, &lasts).await];
    for node in [&a, &c] {
        until("all are known", async || {
            let sessions = node.gateway.sessions_of(&key("bob")).await;
            sessions.is_ok_and(|sessions| sessions.len() == 3) && node.gateway.nodes().len() == 3
        })
        .await;
    }
    for client in &mut clients {
        has_shown(client, "second").await;
    }
    let ends = Token::of("t/eve").roles("guest").ends_in(LIFE);
    let (begun, mut eve) = (Instant::now(), join(&a, &ends).await);
    let eve = tokio::spawn(async move { (eve.closed().await.unwrap(), begun.elapsed()) });

    drop(victim);
    let bob = c.gateway.identity(&key("bob")).within(2 * SECOND);
    let update = IdentityUpdate::new().with_roles(["promoted"]);
    let receipt = bob.update_identity(update).await.unwrap();
    assert_eq!((receipt.sessions, receipt.missing.len()), (2, 1));
    for client in &mut clients {
        assert_eq!(roles(client).await, json!(["promoted"]));
        has_shown(client, "third").await;
    }

    store.kill().unwrap();
    for client in &mut clients {
        let away = show(client, "fourth").await;
        assert_eq!(away["data"]["code"], "unavailable", "{away}");
        assert_eq!(away["data"]["temporary"], true);
        assert_eq!(roles(client).await, json!(["third"]));
    }
    store.restart().await.unwrap();
    for client in &mut clients {
        until("tokens are looked at again", async || {
            // Clients come back after a while, too: who shows tokens all the time is refused.
            tokio::time::sleep(SECOND / 4).await;
            show(client, "fifth").await["route"] == "authenticate"
        })
        .await;
        assert_eq!(roles(client).await, json!(["fifth"]));
    }

    // Who has shown nothing since is over, and the others are served on past it.
    let ((code, reason), lasted) = eve.await.unwrap();
    assert_eq!((code, &*reason), (3005, "expired"));
    assert!(lasted >= LIFE + GRACE, "{lasted:?}");
    for client in &mut clients {
        has_shown(client, "sixth").await;
    }
    let (on_a, on_c) = (a.gateway.stats(), c.gateway.stats());
    assert_eq!((on_a.opened, on_a.expired), (2, 1));
    assert_eq!((on_c.opened, on_c.expired), (1, 0));
    for node in [a, c] {
        node.stop().await;
    }
}
