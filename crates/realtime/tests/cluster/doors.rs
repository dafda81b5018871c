//! Tokens in the first message, and refusals that a page can see, on three nodes over Redis: while
//! one of them is killed, and while the store of revocations is away.

use realtime::{config::Limits, revocation::Revocation};
use realtime_testkit::{
    client::{Client, Request},
    servers::Redis,
    wait::until,
};
use serde_json::json;

use crate::{
    jwts::{Access, SECOND, Stores, show, until_known, who, with},
    killed::Victim,
    nodes::Node,
};

/// What nodes share, and the store of revocations, which goes away.
async fn stores() -> (Redis, Redis, Stores) {
    let (shared, store) = (Redis::start().await.unwrap(), Redis::start().await.unwrap());
    let stores = Stores {
        broker: shared.url(),
        presence: shared.url(),
        revocations: store.url(),
    };
    (shared, store, stores)
}

async fn is_bob(client: &mut Client) {
    assert_eq!(who(client).await, json!(["bob", ["guest"]]));
}

async fn nobody(node: &Node) -> Client {
    Client::connect(node.addr).await.unwrap()
}

/// Gets in with a first message.
async fn enter(client: &mut Client, token: &Access) {
    let answer = show(client, token).await;
    assert_eq!(answer["route"], "authenticate", "{answer}");
    is_bob(client).await;
}

/// The code with which a first message is refused.
async fn refused(node: &Node, token: &Access) -> u16 {
    let mut client = nobody(node).await;
    let data = json!({"token": token.to_string()});
    client.send("authenticate", data).await.unwrap();
    code(client).await
}

async fn code(mut client: Client) -> u16 {
    let code = client.closed().await.expect("a close frame").0;
    // Its place among those that are told is free once it has answered.
    client.close(code, "").await.unwrap();
    client.eof().await;
    code
}

async fn stop(nodes: impl IntoIterator<Item = Node>) {
    for node in nodes {
        node.stop().await;
    }
}

pub(crate) async fn a_token_in_the_first_message_opens_a_session_on_any_node_that_lives() {
    let (_shared, mut store, stores) = stores().await;
    let node = || stores.node(|builder| builder.token_in_message(Some(30 * SECOND)));
    let (a, c) = (node().await, node().await);
    let (victim, addr) = Victim::with_jwt(&stores);
    let phone = Access::of("bob", "phone");
    let mut clients = [nobody(&a).await, nobody(&c).await];
    let mut waits = nobody(&a).await;
    let mut on_victim = Client::connect(addr).await.unwrap();
    for client in clients.iter_mut().chain([&mut on_victim]) {
        enter(client, &phone).await;
    }
    until_known(&[&a, &c], 3, 3).await;

    // One node is killed: the client comes back to another one, and who waits there gets in.
    let mut at_its_door = Client::connect(addr).await.unwrap();
    drop(victim);
    assert!(on_victim.closed().await.is_none(), "it was cut off");
    assert!(at_its_door.closed().await.is_none(), "it was cut off");
    let laptop = Access::of("bob", "laptop");
    let mut back = nobody(&c).await;
    for client in [&mut waits, &mut back] {
        enter(client, &laptop).await;
    }

    // What is revoked opens nothing, on a node that comes later, too.
    c.gateway.revoke(Revocation::token("phone")).await.unwrap();
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 3500);
    }
    let later = node().await;
    for node in [&a, &c, &later] {
        assert_eq!(refused(node, &phone).await, 3500);
        assert_eq!(refused(node, &laptop.clone().ended()).await, 3005);
    }

    // While nobody can say what is revoked, nobody gets in, and who is there stays.
    store.kill().unwrap();
    for node in [&a, &c] {
        assert_eq!(refused(node, &laptop).await, 1013);
    }
    for client in [&mut waits, &mut back] {
        is_bob(client).await;
    }
    store.restart().await.unwrap();
    for node in [&a, &c] {
        until("it is asked again", async || {
            let Ok(mut client) = Client::connect(node.addr).await else {
                return false;
            };
            let data = json!({"token": laptop.to_string()});
            let entered = client.request("authenticate", data).await;
            entered.is_ok_and(|answer| answer["route"] == "authenticate")
        })
        .await;
    }
    for node in [&a, &c, &later] {
        until("nobody is at the door", async || {
            node.gateway.stats().authenticating == 0
        })
        .await;
    }
    stop([a, c, later]).await;
}

pub(crate) async fn who_shows_nothing_is_closed_on_every_node_in_its_time() {
    let (_shared, mut store, stores) = stores().await;
    let node = || stores.node(|builder| builder.token_in_message(Some(SECOND)));
    let nodes = [node().await, node().await, node().await];
    let (victim, addr) = Victim::with_jwt(&stores);
    until_known(&nodes.each_ref(), 0, 4).await;
    let mut on_victim = Client::connect(addr).await.unwrap();
    let mut silent = Vec::new();
    for node in &nodes {
        silent.push(nobody(node).await);
    }
    drop(victim);
    assert!(on_victim.closed().await.is_none(), "it was cut off");
    for client in silent {
        assert_eq!(code(client).await, 3502);
    }
    // For this nobody is asked.
    store.kill().unwrap();
    for node in &nodes {
        assert_eq!(code(nobody(node).await).await, 3502);
        until("nobody is at the door", async || {
            node.gateway.stats().authenticating == 0
        })
        .await;
    }
    stop(nodes).await;
}

pub(crate) async fn a_page_learns_on_every_node_why_it_was_refused() {
    const MOST: usize = 2;
    let (_shared, mut store, stores) = stores().await;
    let mut limits = Limits::default();
    limits.max_connections_per_identity = Some(MOST);
    let node = || stores.node(|builder| builder.accept_then_close(true).limits(limits.clone()));
    let (a, c) = (node().await, node().await);
    let (victim, addr) = Victim::with_jwt(&stores);
    let told =
        async |node: &Node, request: Request| code(request.connect(node.addr).await.unwrap()).await;
    let phone = Access::of("bob", "phone");
    let _on_victim = with(&phone).connect(addr).await.unwrap();
    let mut on_a = with(&phone).connect(a.addr).await.unwrap();
    until_known(&[&a, &c], MOST, 3).await;

    let eve = Access::of("eve", "eve's");
    a.gateway.revoke(Revocation::token("eve's")).await.unwrap();
    for node in [&a, &c] {
        assert_eq!(told(node, Request::new("/ws")).await, 3500);
        assert_eq!(
            told(node, Request::new("/ws?token=e30.e30.e30")).await,
            3500
        );
        assert_eq!(told(node, with(&eve)).await, 3500);
        assert_eq!(told(node, with(&eve.clone().ended())).await, 3005);
        assert_eq!(told(node, with(&phone)).await, 3504);
    }

    // The place of a session on a killed node is free with its lease.
    drop(victim);
    let mut on_c = None;
    until("there is room for one", async || {
        let Ok(mut client) = with(&phone).connect(c.addr).await else {
            return false;
        };
        match client.request("who", json!(null)).await {
            Ok(_) => on_c = Some(client),
            Err(_) => drop(client),
        }
        on_c.is_some()
    })
    .await;
    is_bob(&mut on_a).await;
    assert_eq!(told(&a, with(&phone)).await, 3504);

    // Nobody can say whether it is revoked: come back later.
    store.kill().unwrap();
    let ann = Access::of("ann", "ann's");
    for node in [&a, &c] {
        assert_eq!(told(node, with(&ann)).await, 1013);
    }
    is_bob(&mut on_a).await;
    store.restart().await.unwrap();
    for node in [&a, &c] {
        until("it is asked again", async || {
            let Ok(mut client) = with(&ann).connect(node.addr).await else {
                return false;
            };
            client.request("who", json!(null)).await.is_ok()
        })
        .await;
    }

    // A node that goes sends its clients to the other one.
    let mut client = on_c.unwrap();
    c.gateway.begin_shutdown();
    assert_eq!(told(&c, with(&ann)).await, 1001);
    assert_eq!(client.closed().await.unwrap().0, 1001);
    is_bob(&mut on_a).await;
    stop([a, c]).await;
}
