//! Who is in a room and who is online: asked for, and told, on one node and on several.

use std::{
    sync::{Arc, Mutex},
    time::Duration,
};

use realtime::{
    Builder, Router,
    broker::LocalBroker,
    error::BuildErrorKind,
    history::Retention,
    presence::{Change, ChangeKind, Group, MemoryPresence, PresenceErrorKind},
    room::RoomRule,
};
use realtime_testkit::{client::Client, wait};
use serde_json::{Value, json};

use super::{ByName, ask, named, support::Server};

/// What the hooks of some gateways were told: whether somebody came, who, and where.
#[derive(Clone, Default)]
struct Told(Arc<Mutex<Vec<(bool, String, String)>>>);

impl Told {
    fn hook(&self) -> impl Fn(Change) -> std::future::Ready<()> + Clone + Send + Sync + 'static {
        let told = self.clone();
        move |change| {
            let group = match &change.member.group {
                Group::Room(room) => room.to_string(),
                Group::Tenant(tenant) => format!("tenant {tenant}"),
                other => panic!("expected a room or a tenant; got {other}"),
            };
            let came = change.kind == ChangeKind::Joined;
            let id = change.member.identity.id().to_owned();
            told.0.lock().unwrap().push((came, id, group));
            std::future::ready(())
        }
    }

    fn all(&self) -> Vec<(bool, String, String)> {
        self.0.lock().unwrap().clone()
    }

    async fn until(&self, came: bool, id: &str, group: &str) {
        let wanted = (came, id.to_owned(), group.to_owned());
        let what = format!("{wanted:?} is told");
        wait::until(&what, async || self.all().contains(&wanted)).await;
    }
}

fn builder() -> Builder {
    let router = Router::new()
        .room("chat:{id}", RoomRule::open().announce("who"))
        .room("quiet", RoomRule::open().presence())
        .room("plain", RoomRule::open());
    crate::support::builder()
        .authenticator(ByName)
        .router(router)
        .presence_grace(Some(Duration::from_millis(300)))
}

async fn join(client: &mut Client, room: &str) {
    let question = json!({"id": "join", "route": "join", "data": {"room": room}});
    client.send_text(&question.to_string()).await.unwrap();
    until(client, |message| message["id"] == "join").await;
}

/// The first message that is the wanted one; others are passed over.
async fn until(client: &mut Client, is_it: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = client.recv_json().await.unwrap();
        assert_ne!(message["route"], "error", "{message}");
        if is_it(&message) {
            return message;
        }
    }
}

async fn hears(client: &mut Client, event: &str, id: &str) -> Value {
    loop {
        let message = until(client, |message| message["route"] == "who").await;
        assert_eq!(message["room"], "chat:1");
        let told = message["data"][event].as_array();
        let of_id = told.and_then(|told| told.iter().find(|who| who["id"] == id));
        if let Some(who) = of_id {
            return who.clone();
        }
    }
}

async fn members(client: &mut Client, data: Value) -> Value {
    let question = json!({"id": "who", "route": "members", "data": data});
    client.send_text(&question.to_string()).await.unwrap();
    until(client, |message| message["id"] == "who").await["data"].clone()
}

fn ids(answer: &Value) -> Vec<&str> {
    let members = answer["members"].as_array().unwrap();
    members.iter().map(|m| m["id"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn members_see_who_is_there_and_are_told_who_comes_and_goes() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = named(&server, "acme/ann").await;
    join(&mut ann, "chat:1").await;
    // Who has joined is there.
    let answer = members(&mut ann, json!({"room": "chat:1"})).await;
    assert_eq!((ids(&answer), &answer["count"]), (vec!["ann"], &json!(1)));
    assert_eq!(answer["members"][0]["tenant"], "acme");
    assert_eq!(answer.get("after"), None);

    let mut bob = named(&server, "bob").await;
    join(&mut bob, "chat:1").await;
    let came = hears(&mut ann, "joined", "bob").await;
    assert_eq!(came.get("tenant"), None);
    let answer = members(&mut ann, json!({"room": "chat:1"})).await;
    assert_eq!(ids(&answer), ["ann", "bob"]);
    assert_eq!(answer["members"][1]["version"], came["version"]);
    // Page by page.
    let first = members(&mut ann, json!({"room": "chat:1", "limit": 1})).await;
    assert_eq!((ids(&first), &first["count"]), (vec!["ann"], &json!(2)));
    let data = json!({"room": "chat:1", "limit": 1, "after": first["after"]});
    assert_eq!(ids(&members(&mut ann, data).await), ["bob"]);

    drop(bob);
    let left = hears(&mut ann, "left", "bob").await;
    let version = |who: &Value| who["version"].as_u64().unwrap();
    assert!(version(&left) > version(&came));
    let answer = members(&mut ann, json!({"room": "chat:1"})).await;
    assert_eq!(ids(&answer), ["ann"]);
    server.stop().await;
}

#[tokio::test]
async fn only_the_first_and_the_last_session_of_somebody_are_told_and_a_reload_is_not() {
    let told = Told::default();
    let builder = builder().presence_grace(Some(Duration::from_secs(2)));
    let gateway = builder.on_presence(told.hook()).build().unwrap();
    let server = Server::start(gateway).await;
    let mut phone = named(&server, "ann").await;
    join(&mut phone, "chat:1").await;
    let mut laptop = named(&server, "ann").await;
    join(&mut laptop, "chat:1").await;
    drop(laptop);
    told.until(true, "ann", "chat:1").await;
    // A reload.
    drop(phone);
    let mut phone = named(&server, "ann").await;
    join(&mut phone, "chat:1").await;
    let mut bob = named(&server, "bob").await;
    join(&mut bob, "chat:1").await;
    drop(bob);
    told.until(false, "bob", "chat:1").await;
    let of_ann = told.all().into_iter().filter(|(_, id, _)| id == "ann");
    assert_eq!(of_ann.count(), 1);
    let question = json!({"id": 1, "route": "leave", "data": {"room": "chat:1"}});
    phone.send_text(&question.to_string()).await.unwrap();
    told.until(false, "ann", "chat:1").await;
    server.stop().await;
}

#[tokio::test]
async fn only_members_of_rooms_that_show_it_may_ask_who_is_there() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = named(&server, "ann").await;
    let code = async |client: &mut Client, room: &str| {
        ask(client, "members", json!({"room": room})).await["code"].clone()
    };
    assert_eq!(code(&mut ann, "chat:1").await, "not_a_member");
    assert_eq!(code(&mut ann, "elsewhere").await, "unknown_room");
    for room in ["quiet", "plain"] {
        join(&mut ann, room).await;
        assert_eq!(code(&mut ann, room).await, "unknown_room");
    }
    let wrong = ask(&mut ann, "members", json!({"room": "chat:1", "limit": -1})).await;
    assert_eq!(wrong["code"], "bad_data");
    // The application may where it is kept.
    let room = |name| server.gateway.room(name);
    assert_eq!(room("quiet").members(None, 9).await.unwrap().count, 1);
    for audience in [
        room("plain"),
        room(""),
        server.gateway.rooms(["quiet", "chat:1"]),
        server.gateway.tenant("acme"),
        server.gateway.everybody(),
    ] {
        let error = audience.members(None, 9).await.unwrap_err();
        assert_eq!(error.kind(), PresenceErrorKind::Config, "{audience:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn who_of_a_tenant_is_online_is_told_and_can_be_asked() {
    let told = Told::default();
    let builder = builder().tenant_presence(true).on_presence(told.hook());
    let server = Server::start(builder.build().unwrap()).await;
    let mut clients = Vec::new();
    for n in 0..5 {
        clients.push(named(&server, &format!("acme/user-{n}")).await);
        told.until(true, &format!("user-{n}"), "tenant acme").await;
    }
    let other = named(&server, "other/ann").await;
    told.until(true, "ann", "tenant other").await;
    let (mut after, mut seen) = (None, Vec::new());
    loop {
        let tenant = server.gateway.tenant("acme");
        let page = tenant.members(after, 2).await.unwrap();
        assert_eq!(page.count, 5);
        seen.extend(page.members.iter().map(|m| m.identity.id().to_owned()));
        match page.after {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(seen, ["user-0", "user-1", "user-2", "user-3", "user-4"]);
    drop(clients);
    for n in 0..5 {
        told.until(false, &format!("user-{n}"), "tenant acme").await;
    }
    assert_eq!(
        server
            .gateway
            .tenant("acme")
            .members(None, 9)
            .await
            .unwrap(),
        Default::default()
    );
    drop(other);
    server.stop().await;
}

#[tokio::test]
async fn what_is_never_kept_or_never_told_is_refused_when_the_gateway_is_built() {
    let never = crate::support::builder()
        .on_presence(async |_: Change| ())
        .build();
    assert_eq!(never.unwrap_err().kind(), BuildErrorKind::InvalidOption);
    let rule = RoomRule::<()>::open().announce("error");
    let reserved = crate::support::builder().router(Router::new().room("a", rule));
    let error = reserved.build().unwrap_err();
    assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
    assert!(error.to_string().contains("who comes and goes"), "{error}");
}

#[tokio::test]
async fn news_of_a_room_with_a_history_are_not_kept() {
    let retention = Retention::new(10, Duration::from_secs(60)).unwrap();
    let rule = RoomRule::open().history(retention).announce("who");
    let router = Router::new().room("kept", rule);
    let gateway = crate::support::builder()
        .authenticator(ByName)
        .router(router);
    let server = Server::start(gateway.build().unwrap()).await;
    let mut ann = named(&server, "ann").await;
    join(&mut ann, "kept").await;
    until(&mut ann, |message| message["route"] == "who").await;
    let kept = server.gateway.room("kept").history(None, 10).await.unwrap();
    assert!(kept.messages.is_empty(), "{kept:?}");
    server.stop().await;
}

struct Nodes {
    broker: LocalBroker,
    presence: MemoryPresence,
    told: Told,
    ttl: Duration,
}

impl Nodes {
    fn new(ttl: Duration) -> Self {
        Self {
            ttl,
            broker: LocalBroker::new(),
            presence: MemoryPresence::new(),
            told: Told::default(),
        }
    }

    async fn start(&self, name: &str) -> Server {
        let gateway = builder()
            .node_id(name.parse().unwrap())
            .broker(self.broker.clone())
            .presence(self.presence.clone())
            .presence_ttl(Some(self.ttl))
            .tenant_presence(true)
            .on_presence(self.told.hook())
            .build()
            .unwrap();
        gateway.start().await.unwrap();
        Server::start(gateway).await
    }
}

#[tokio::test]
async fn over_nodes_everybody_is_seen_and_each_change_is_told_once() {
    let nodes = Nodes::new(Duration::from_secs(90));
    let servers = [
        nodes.start("a").await,
        nodes.start("b").await,
        nodes.start("c").await,
    ];
    let mut ann = named(&servers[0], "ann").await;
    join(&mut ann, "chat:1").await;
    let mut others = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        let mut bob = named(server, "bob").await;
        join(&mut bob, "chat:1").await;
        let mut own = named(server, &format!("user-{n}")).await;
        join(&mut own, "chat:1").await;
        hears(&mut ann, "joined", &format!("user-{n}")).await;
        others.push((bob, own));
    }
    let answer = members(&mut ann, json!({"room": "chat:1"})).await;
    assert_eq!(ids(&answer), ["ann", "bob", "user-0", "user-1", "user-2"]);
    // Bob leaves node after node.
    for (bob, own) in others {
        drop((bob, own));
    }
    for id in ["bob", "user-0", "user-1", "user-2"] {
        nodes.told.until(false, id, "chat:1").await;
        nodes.told.until(false, id, "tenant ").await;
    }
    let mut told = nodes.told.all();
    let count = told.len();
    told.sort();
    told.dedup();
    assert_eq!(told.len(), count, "each was told once: {told:?}");
    // Came and went in the room and in the tenant: four of them, and Ann has come.
    assert_eq!(count, 4 * 4 + 2, "{told:?}");
    for server in servers {
        server.stop().await;
    }
}

/// Long enough for a busy machine to renew it.
const LEASE: Duration = Duration::from_secs(5);

#[tokio::test]
async fn of_a_node_that_is_killed_one_other_tells() {
    let nodes = Nodes::new(LEASE);
    let survivors = [nodes.start("a").await, nodes.start("b").await];
    let mut ann = named(&survivors[0], "ann").await;
    join(&mut ann, "chat:1").await;
    let killed = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let on_killed = {
        let (broker, presence) = (nodes.broker.clone(), nodes.presence.clone());
        let told = nodes.told.clone();
        killed.spawn(async move {
            let nodes = Nodes {
                broker,
                presence,
                told,
                ttl: LEASE,
            };
            nodes.start("killed").await
        })
    };
    let on_killed = on_killed.await.unwrap();
    let mut clients = Vec::new();
    for n in 0..20 {
        let mut client = named(&on_killed, &format!("user-{n}")).await;
        join(&mut client, "chat:1").await;
        hears(&mut ann, "joined", &format!("user-{n}")).await;
        clients.push(client);
    }
    // One of them is on another node, too.
    let mut stays = named(&survivors[1], "user-0").await;
    join(&mut stays, "chat:1").await;
    killed.shutdown_background();
    drop(on_killed);
    for n in 1..20 {
        nodes
            .told
            .until(false, &format!("user-{n}"), "chat:1")
            .await;
        nodes
            .told
            .until(false, &format!("user-{n}"), "tenant ")
            .await;
    }
    let answer = members(&mut ann, json!({"room": "chat:1"})).await;
    assert_eq!(ids(&answer), ["ann", "user-0"]);
    let told = nodes.told.all();
    let left = told.iter().filter(|(came, id, _)| !came && id != "ann");
    assert_eq!(left.count(), 2 * 19, "each was told once: {told:?}");
    for server in survivors {
        server.stop().await;
    }
}
