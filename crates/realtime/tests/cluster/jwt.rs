//! A JWT that ends, is shown anew and is revoked by its `jti`, on three nodes over RabbitMQ and Redis:
//! while one of them is killed, and while the store of revocations is away.

use std::time::Instant;

use realtime::{error::ControlErrorKind, revocation::Revocation};
use realtime_testkit::{client::Client, servers::Redis, wait::until};
use serde_json::json;
use tokio::task::JoinHandle;

use crate::{
    cluster::Cluster,
    jwts::{Access, BRIEF, GRACE, SECOND, Stores, is_refused, join, show, until_known, who, with},
    killed::Victim,
    nodes::{Node, is_quick},
};

async fn is(client: &mut Client, role: &str) {
    assert_eq!(who(client).await, json!(["bob", [role]]));
}

/// Somebody who shows nothing fresh, and waits for what comes of it: neither early nor never.
async fn ends_as_it_should(node: &Node) -> JoinHandle<()> {
    let begun = Instant::now();
    let mut eve = join(node, &Access::of("eve", "eve's").brief()).await;
    tokio::spawn(async move {
        let (code, reason) = eve.closed().await.unwrap();
        let lasted = begun.elapsed();
        assert_eq!((code, &*reason), (3005, "expired"));
        assert!(lasted >= BRIEF + GRACE, "{lasted:?}");
    })
}

/// A token of bob's phone, of which there are many, one after the other.
fn phone(role: &'static str) -> Access {
    Access::of("bob", "phone").role(role)
}

pub(crate) async fn a_jwt_ends_is_shown_anew_and_revoked_by_its_id() {
    let cluster = Cluster::start().await;
    let mut store = Redis::start().await.unwrap();
    let stores = Stores {
        broker: cluster.rabbitmq.url(),
        presence: cluster.redis.url(),
        revocations: store.url(),
    };
    let node = || stores.node(|builder| builder);
    let (a, c) = (node().await, node().await);
    let (victim, addr) = Victim::with_jwt(&stores);
    let mut on_victim = with(&phone("first")).connect(addr).await.unwrap();
    let on_c = join(&c, &phone("first")).await;
    let mut laptop = join(&c, &Access::of("bob", "laptop").role("first")).await;
    until_known(&[&a, &c], 3, 3).await;
    // Those that end soon come last: the others may take their time.
    let eve = ends_as_it_should(&a).await;
    let mut phones = [join(&a, &phone("first").brief()).await, on_c];

    // Shown anew, on whichever node.
    for client in phones.iter_mut().chain([&mut on_victim]) {
        let answer = show(client, &phone("second")).await;
        assert_eq!(answer["route"], "authenticate", "{answer}");
        is(client, "second").await;
    }
    // One that has ended itself changes nothing.
    let late = show(&mut phones[0], &phone("late").ended()).await;
    assert_eq!(late["data"]["code"], "expired", "{late}");
    is(&mut phones[0], "second").await;

    // Revoked by its id: whoever has shown it last, and nobody else.
    drop(victim);
    assert!(on_victim.closed().await.is_none(), "it was cut off");
    let gateway = c.gateway.clone();
    let revoked = Instant::now();
    let revoking =
        tokio::spawn(async move { gateway.revoke(Revocation::token("phone")).await.unwrap() });
    for client in &mut phones {
        assert_eq!(client.closed().await.unwrap().0, 3500);
    }
    let took = revoked.elapsed();
    let receipt = revoking.await.unwrap();
    assert_eq!((receipt.sessions, receipt.missing.len()), (2, 1));
    is_quick(took, async |id| {
        let lost = Access::of("bob", id);
        let mut clients = [join(&a, &lost).await, join(&c, &lost).await];
        let (gateway, revoked) = (c.gateway.clone(), Instant::now());
        let revoking =
            tokio::spawn(async move { gateway.revoke(Revocation::token(id)).await.unwrap() });
        for client in &mut clients {
            assert_eq!(client.closed().await.unwrap().0, 3500);
        }
        let took = revoked.elapsed();
        assert_eq!(revoking.await.unwrap().sessions, 2);
        took
    })
    .await;
    is(&mut laptop, "first").await;
    let later = node().await;
    for node in [&a, &c, &later] {
        is_refused(node, &phone("third"), 401).await;
        let mut fresh = join(node, &Access::of("bob", "a new phone")).await;
        is(&mut fresh, "guest").await;
    }

    // While the store is away nobody can say what is revoked, and who has shown something stays.
    let stolen = Access::of("bob", "stolen");
    let mut thief = join(&a, &stolen).await;
    store.kill().unwrap();
    let fresh = Access::of("bob", "laptop").role("second");
    let away = show(&mut laptop, &fresh).await;
    assert_eq!(away["data"]["code"], "unavailable", "{away}");
    is_refused(&later, &fresh, 503).await;
    is(&mut laptop, "first").await;
    // What is revoked ends all the same, and who revokes learns that it may come back.
    let revoke = async || c.gateway.revoke(Revocation::token("stolen")).await;
    let error = revoke().await.unwrap_err();
    assert_eq!(error.kind(), ControlErrorKind::NotRemembered);
    assert_eq!(thief.closed().await.unwrap().0, 3500);
    store.restart().await.unwrap();
    until("it is remembered", async || revoke().await.is_ok()).await;
    until("tokens are looked at again", async || {
        // Clients come back after a while, too: who shows tokens all the time is refused.
        tokio::time::sleep(SECOND / 4).await;
        show(&mut laptop, &fresh).await["route"] == "authenticate"
    })
    .await;
    is(&mut laptop, "second").await;
    let last = node().await;
    for node in [&a, &c, &later, &last] {
        is_refused(node, &stolen, 401).await;
    }

    // Who has shown nothing fresh is over.
    eve.await.unwrap();
    for node in [a, c, later, last] {
        node.stop().await;
    }
}
