//! A look at one identity's messages: theirs alone, and for a while.

use std::time::{Duration, Instant};

use realtime::{
    Identity, IdentityKey,
    error::ControlErrorKind,
    inspect::{TapEnd, TapLimits},
};
use realtime_testkit::{memory::connect, wait::until};
use serde_json::{Value, json};

use super::{Server, builder};

/// Direction, route and data of the next.
async fn seen(page: &mut super::Page) -> [Value; 3] {
    let message = page.on("tapped").await;
    ["direction", "route", "data"].map(|name| message[name].clone())
}

#[tokio::test]
async fn a_tap_sees_what_one_identity_says_and_gets_and_nobody_elses() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = server.client("acme/ann").await;
    let mut bob = server.client("acme/bob").await;
    let mut page = server.page().await;
    let begun = page
        .ask("tap", json!({ "tenant": "acme", "id": "ann" }))
        .await;
    assert_eq!(
        begun,
        json!({ "here": 1, "watched": 1, "elsewhere": [], "seconds": 60 })
    );
    bob.request("echo", json!("of bob")).await.unwrap();
    let mut eve = server.client("acme/eve").await;
    eve.request("echo", json!("of eve")).await.unwrap();
    ann.request("echo", json!("of ann")).await.unwrap();
    assert_eq!(
        seen(&mut page).await,
        ["in", "echo", "\"of ann\""].map(Value::from)
    );
    assert_eq!(
        seen(&mut page).await,
        ["out", "echo", "\"of ann\""].map(Value::from)
    );
    // Broadcasts and what is sent to them, too.
    bob.send("say", json!("to all")).await.unwrap();
    assert_eq!(
        seen(&mut page).await,
        ["out", "said", "\"to all\""].map(Value::from)
    );
    let key = IdentityKey::new("ann").with_tenant("acme");
    server
        .gateway
        .send_to_identity(&key, "news", realtime::Json(1))
        .await
        .unwrap();
    assert_eq!(seen(&mut page).await, ["out", "news", "1"].map(Value::from));
    // One that comes meanwhile is looked at from its first message on.
    let mut laptop = server.client("acme/ann").await;
    assert_eq!(seen(&mut page).await[..2], ["in", "echo"].map(Value::from));
    assert_eq!(seen(&mut page).await[..2], ["out", "echo"].map(Value::from));
    // So is the answer to a client that comes into a room.
    laptop
        .request("join", json!({ "room": "open" }))
        .await
        .unwrap();
    assert_eq!(seen(&mut page).await[..2], ["in", "join"].map(Value::from));
    assert_eq!(seen(&mut page).await[..2], ["out", "join"].map(Value::from));
    // A token that is shown is hidden.
    let token = json!({ "token": "acme/ann~s3cret" });
    laptop.request("authenticate", token).await.unwrap();
    assert_eq!(
        seen(&mut page).await,
        [json!("in"), json!("authenticate"), Value::Null]
    );
    assert!(
        !seen(&mut page)
            .await
            .iter()
            .any(|said| said.to_string().contains("s3cret"))
    );
    // Of what is long the beginning.
    laptop
        .request("echo", json!("x".repeat(100_000)))
        .await
        .unwrap();
    let [.., data] = seen(&mut page).await;
    assert_eq!(data.as_str().unwrap().len(), 4_096);
    let long = page.on("tapped").await;
    assert!(
        long["bytes"].as_u64().unwrap() > 100_000 && long["route"].is_null(),
        "{long}"
    );
    assert_eq!(long["data"].as_str().unwrap().len(), 4_096);
    page.ask("untap", ().into()).await;
    ann.request("echo", json!("unseen")).await.unwrap();
    bob.send("say", json!("unseen")).await.unwrap();
    let next = page.on("node").await;
    assert_eq!(next["phase"], "serving");
    server.stop().await;
}

#[tokio::test]
async fn a_tap_ends_by_itself_and_with_its_page() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = server.client("ann").await;
    let mut page = server.page().await;
    page.ask("tap", json!({ "id": "ann", "messages": 3 })).await;
    for _ in 0..2 {
        ann.request("echo", json!(1)).await.unwrap();
    }
    let ended = page.on("tap_ended").await;
    assert_eq!(ended, json!({ "why": "messages", "messages": 3 }));
    page.ask("tap", json!({ "id": "ann", "seconds": 0 })).await;
    assert_eq!(
        page.on("tap_ended").await,
        json!({ "why": "time", "messages": 0 })
    );

    // A node has eight at once; a page has one, and takes it with it.
    let key = IdentityKey::new("ann");
    let tap = || server.gateway.tap(&key, TapLimits::default());
    page.ask("tap", json!({ "id": "ann" })).await;
    page.ask("tap", json!({ "id": "ann" })).await;
    let seven: Vec<_> = (0..7).map(|_| tap().unwrap()).collect();
    // The page's own is free by the time at which it begins another.
    for _ in 0..50 {
        page.ask("tap", json!({ "id": "ann" })).await;
    }
    assert_eq!(tap().unwrap_err().kind(), ControlErrorKind::TooMany);
    let mut other = server.page().await;
    assert_eq!(
        other.refused("tap", json!({ "id": "ann" })).await,
        "too_many"
    );
    drop(page);
    until("its place is free", async || tap().is_ok()).await;
    drop(seven);
    server.stop().await;
}

#[tokio::test]
async fn what_comes_faster_than_it_is_read_is_counted() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = server.client("ann").await;
    let key = IdentityKey::new("ann");
    let limits = TapLimits::default().time(Duration::from_secs(30));
    let mut tap = server.gateway.tap(&key, limits).unwrap();
    for n in 0..500 {
        server
            .gateway
            .broadcast("tick", realtime::Json(n))
            .await
            .unwrap();
    }
    for _ in 0..500 {
        ann.recv_json().await.unwrap();
    }
    let mut shown = 0;
    for _ in 0..256 {
        assert_eq!(tap.next().await.unwrap().missed, 0);
        shown += 1;
    }
    ann.request("echo", json!(1)).await.unwrap();
    let next = tap.next().await.unwrap();
    assert_eq!(
        (shown + next.missed, next.route.as_deref()),
        (500, Some("echo"))
    );
    server.gateway.shutdown().await;
    while tap.next().await.is_some() {}
    assert!(tap.end().is_some());
    server.stop().await;
}

#[tokio::test]
async fn its_time_is_over_while_messages_come_and_nobody_takes_them() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut ann = server.client("ann").await;
    let key = IdentityKey::new("ann");
    let limits = TapLimits::default().time(Duration::from_millis(50));
    let mut tap = server.gateway.tap(&key, limits).unwrap();
    let begun = Instant::now();
    ann.request("echo", json!(1)).await.unwrap();
    tokio::time::sleep_until((begun + Duration::from_millis(60)).into()).await;
    assert!(tap.next().await.is_none(), "what has come is too late");
    assert_eq!(tap.end(), Some(TapEnd::Time));
    // Eight that nobody ends are no longer in the way.
    let limits = TapLimits::default().time(Duration::ZERO);
    let tap = || server.gateway.tap(&key, limits);
    let _nobodys: Vec<_> = (0..20).map(|_| tap().unwrap()).collect();
    server.stop().await;
}

#[tokio::test]
async fn of_an_identity_of_many_sessions_some_are_looked_at_and_all_are_counted() {
    let gateway = builder().build().unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut clients = Vec::new();
    for _ in 0..1_001 {
        clients.push(connect(&gateway, Identity::anonymous()).await.unwrap());
    }
    let mut page = server.page().await;
    let anonymous = json!({ "id": "anonymous" });
    let begun = page.ask("tap", anonymous.clone()).await;
    assert_eq!(
        begun,
        json!({ "here": 1_001, "watched": 256, "elsewhere": [], "seconds": 60 })
    );
    let found = page.ask("find", anonymous.clone()).await;
    let node = json!({ "node_id": gateway.node_id(), "sessions": 1_001 });
    assert_eq!(
        found,
        json!({ "sessions": [], "total": 1_001, "nodes": [node] })
    );
    drop(clients.pop());
    let key = IdentityKey::new("anonymous");
    until("there is one less", async || {
        gateway.nodes_of(&key).await.unwrap()[0].sessions == 1_000
    })
    .await;
    let found = page.ask("find", anonymous).await;
    assert_eq!(found["sessions"].as_array().unwrap().len(), 200);
    // Those that come are left out, too.
    let limits = TapLimits::default();
    let tap = gateway.tap(&key, limits).unwrap();
    let _late = connect(&gateway, Identity::anonymous()).await.unwrap();
    assert_eq!((tap.sessions(), tap.left_out()), (256, 745));
    server.stop().await;
}

#[tokio::test]
async fn nobody_looks_where_nobody_may() {
    let gateway = builder().build().unwrap();
    let server = Server::with(gateway, |admin| admin.without_taps()).await;
    let mut page = server.page().await;
    assert_eq!(
        page.ask("me", ().into()).await,
        json!({ "tenant": "", "id": "root", "may_tap": false })
    );
    assert_eq!(
        page.refused("tap", json!({ "id": "ann" })).await,
        "forbidden"
    );
    server.stop().await;
}
