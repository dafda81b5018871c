//! Who is told of a node that ends: nobody, where its clients have come back elsewhere.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::request::Parts;
use realtime::{
    Builder, Gateway, Identity, Router,
    auth::{AuthError, Authenticator},
    broker::LocalBroker,
    presence::{Change, ChangeKind, Group, MemoryPresence},
    room::RoomRule,
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use serde_json::json;
use tokio::time::sleep;

use crate::Server;

/// Long enough for a busy machine to bring somebody back.
const GRACE: Duration = Duration::from_secs(5);
const SECOND: Duration = Duration::from_secs(1);
const ROOM: &str = "lobby";
const ALL: [&str; 3] = ["everywhere", "returns", "leaves"];

/// Whoever the query names.
#[derive(Debug)]
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let name = request.uri.query().unwrap_or_default();
        Ok(Identity::new(name).with_tenant("acme"))
    }
}

/// Who was said to have come or gone, and under which number: a node that ends may have told of it, and
/// another one then does once more.
type News = BTreeSet<(bool, String, u64)>;

/// What the hooks of both nodes were told, of the room and of the tenant.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<[News; 2]>>);

impl Told {
    fn hook(&self) -> impl Fn(Change) -> std::future::Ready<()> + Clone + Send + Sync + 'static {
        let told = self.clone();
        move |change| {
            let group = usize::from(matches!(change.member.group, Group::Tenant(_)));
            let came = change.kind == ChangeKind::Joined;
            let who = change.member.identity.id().to_owned();
            told.0.lock().unwrap()[group].insert((came, who, change.version));
            std::future::ready(())
        }
    }

    async fn until(&self, came: bool, name: &str) {
        until(&format!("{name} is told of: {came}"), async || {
            let told = self.0.lock().unwrap().clone();
            told.iter().all(|news| count(news, came, name) > 0)
        })
        .await;
    }
}

fn count(news: &News, came: bool, name: &str) -> usize {
    let is_it = |(kind, who, _): &&(bool, String, u64)| *kind == came && who == name;
    news.iter().filter(is_it).count()
}

/// A node over what these backends share.
async fn node(backends: impl Fn(Builder) -> Builder, told: &Told) -> Server {
    let router = Router::new().room(ROOM, RoomRule::open().announce("who"));
    let builder = crate::support::builder()
        .authenticator(ByName)
        .router(router)
        .tenant_presence(true)
        .presence_grace(Some(GRACE))
        .on_presence(told.hook());
    let gateway: Gateway = backends(builder).build().unwrap();
    gateway.start().await.unwrap();
    Server::start(gateway).await
}

async fn in_room(server: &Server, name: &str) -> Client {
    let request = Request::new(format!("/ws?{name}"));
    let mut client = request.connect(server.addr).await.unwrap();
    let answer = client.request("join", json!({"room": ROOM})).await.unwrap();
    assert_ne!(answer["route"], "error", "{answer}");
    client
}

/// What a member hears, until somebody's going is told.
async fn hears(client: &mut Client, last: &str) -> News {
    let mut news = News::new();
    while count(&news, false, last) == 0 {
        let message = client.recv_json().await.unwrap();
        for (kind, came) in [("joined", true), ("left", false)] {
            let told = message["data"][kind].as_array();
            news.extend(told.into_iter().flatten().map(|who| {
                let id = who["id"].as_str().unwrap().to_owned();
                (came, id, who["version"].as_u64().unwrap())
            }));
        }
    }
    news
}

async fn those_who_are_elsewhere_or_come_back_have_not_gone(backends: impl Fn(Builder) -> Builder) {
    let told = Told::default();
    let old = node(&backends, &told).await;
    let new = node(&backends, &told).await;
    let mut watches = in_room(&new, "watches").await;
    let mut here = Vec::new();
    for name in ALL {
        here.push(in_room(&old, name).await);
    }
    let _elsewhere = in_room(&new, "everywhere").await;
    for name in ALL {
        told.until(true, name).await;
    }
    let gateway = old.gateway.clone();
    let drain = tokio::spawn(async move { gateway.drain(Duration::from_millis(300)).await });
    for client in &mut here {
        client.closed().await.unwrap();
    }
    assert_eq!(drain.await.unwrap().aborted, 0);
    // She is away for so long that she needs her grace: whoever has none has gone within a second.
    sleep(2 * SECOND).await;
    let _back = in_room(&new, "returns").await;
    // Whose grace begins now is told of behind all others.
    drop(in_room(&new, "last").await);
    let heard = hears(&mut watches, "last").await;
    told.until(false, "last").await;
    let [in_room, online] = told.0.lock().unwrap().clone();
    for news in [heard, in_room, online] {
        for name in ALL {
            let left = usize::from(name == "leaves");
            let counts = (count(&news, true, name), count(&news, false, name));
            assert_eq!(counts, (1, left), "{name}: {news:?}");
        }
    }
    new.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_this_process_nobody_flaps() {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    those_who_are_elsewhere_or_come_back_have_not_gone(|builder| {
        builder.broker(broker.clone()).presence(presence.clone())
    })
    .await;
}

#[cfg(feature = "redis")]
#[tokio::test(flavor = "multi_thread")]
async fn over_redis_nobody_flaps() {
    use realtime::connect;

    let redis = realtime_testkit::servers::Redis::start().await.unwrap();
    let url = redis.url();
    those_who_are_elsewhere_or_come_back_have_not_gone(|builder| {
        let builder = builder.broker(connect::broker(&url).unwrap());
        builder.presence(connect::presence(&url).unwrap())
    })
    .await;
}
