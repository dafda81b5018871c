//! Who is told of a node that ends: nobody, where its clients have come back elsewhere.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use http::request::Parts;
use realtime::{
    Gateway, Identity,
    auth::{AuthError, Authenticator},
    broker::LocalBroker,
    presence::{Change, ChangeKind, MemoryPresence},
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};

use crate::Server;

/// Whoever the query names.
#[derive(Debug)]
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let name = request.uri.query().unwrap_or_default();
        Ok(Identity::new(name).with_tenant("acme"))
    }
}

/// Who was said to have come and gone.
type Told = Arc<Mutex<Vec<(ChangeKind, String)>>>;

fn node(broker: &LocalBroker, presence: &MemoryPresence, told: &Told) -> Gateway {
    let told = Arc::clone(told);
    crate::support::builder()
        .authenticator(ByName)
        .broker(broker.clone())
        .presence(presence.clone())
        .tenant_presence(true)
        .presence_grace(Some(Duration::from_secs(2)))
        .on_presence(move |change: Change| {
            let who = change.member.identity.id().to_owned();
            told.lock().unwrap().push((change.kind, who));
            async {}
        })
        .build()
        .unwrap()
}

async fn named(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    request.connect(server.addr).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn those_who_are_elsewhere_or_come_back_have_not_gone() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let told = Told::default();
    let old = Server::start(node(&broker, &presence, &told)).await;
    let new = Server::start(node(&broker, &presence, &told)).await;
    let mut here = Vec::new();
    for name in ["everywhere", "returns", "leaves"] {
        here.push(named(&old, name).await);
    }
    let _elsewhere = named(&new, "everywhere").await;
    let came = |name: &str| (ChangeKind::Joined, name.to_owned());
    let went = |name: &str| (ChangeKind::Left, name.to_owned());
    until("all are told", async || {
        let told = told.lock().unwrap();
        ["everywhere", "returns", "leaves"]
            .iter()
            .all(|name| told.contains(&came(name)))
    })
    .await;
    let gateway = old.gateway.clone();
    let drain = tokio::spawn(async move { gateway.drain(Duration::from_millis(300)).await });
    let mut back = Vec::new();
    for (client, name) in here.iter_mut().zip(["everywhere", "returns", "leaves"]) {
        client.closed().await.unwrap();
        if name == "returns" {
            back.push(named(&new, name).await);
        }
    }
    until("who has left is told", async || {
        told.lock().unwrap().contains(&went("leaves"))
    })
    .await;
    assert_eq!(drain.await.unwrap().aborted, 0);
    let told = told.lock().unwrap().clone();
    for name in ["everywhere", "returns"] {
        assert!(!told.contains(&went(name)), "{told:?}");
    }
}
