//! Who is where, on two nodes, without a port or a wait.

#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::time::Duration;

use realtime::{
    CloseCode, Gateway, Identity, Json,
    broker::{AnyBroker, LocalBroker},
    presence::{AnyPresence, MemoryPresence},
};
use realtime_testkit::{
    client::Request,
    memory::{Connect, TestClient, TestError},
    wait::until,
};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::people::OFFICE;

const GRACE: Duration = Duration::from_secs(5);

/// Two nodes of one office.
async fn nodes() -> [Gateway; 2] {
    let (broker, presence) = (LocalBroker::new(), MemoryPresence::new());
    let build = || {
        let broker = AnyBroker::new(broker.clone());
        crate::build(broker, AnyPresence::new(presence.clone())).unwrap()
    };
    let nodes = [build(), build()];
    for node in &nodes {
        node.start().await.unwrap();
    }
    nodes
}

/// A tab of somebody, which looks at the board.
async fn tab(node: &Gateway, name: &str) -> TestClient {
    let request = Request::new(format!("/ws?name={name}"));
    let mut tab = Connect::new().request(request).to(node).await.unwrap();
    let board = json!({ "room": "board" });
    tab.request("join", Json(&board)).await.unwrap();
    tab
}

/// The next word about somebody: the group, and whether they are in it.
async fn told(tab: &mut TestClient, id: &str) -> (String, bool) {
    loop {
        let change: Value = tab.receive_on("changed").await.unwrap().decode().unwrap();
        if change["id"] == id {
            let group = change["group"].as_str().unwrap().to_owned();
            return (group, change["is_here"].as_bool().unwrap());
        }
    }
}

async fn go(tab: &mut TestClient, place: &str) -> Result<(), TestError> {
    tab.request("go", Json(place)).await.map(drop)
}

/// Who is in a group, as the board says.
async fn there(tab: &mut TestClient, group: &str) -> Vec<String> {
    let board: Value = tab
        .request("look", Json(()))
        .await
        .unwrap()
        .decode()
        .unwrap();
    let people = board[group].as_array().unwrap().iter();
    let ids = people.map(|somebody| somebody["id"].as_str().unwrap().to_owned());
    ids.collect()
}

fn online() -> String {
    "online".to_owned()
}

#[tokio::test(start_paused = true)]
async fn tabs_are_one_and_a_reload_is_no_news() -> Result<(), TestError> {
    let [here, elsewhere] = nodes().await;
    let mut ann = tab(&here, "Ann").await;
    let mut bob = tab(&elsewhere, "Bob").await;
    assert_eq!(told(&mut ann, "Bob").await, (online(), true));

    let second = tab(&here, "Bob").await;
    drop(second);
    ann.expect_nothing_for(GRACE * 4).await?;
    assert_eq!(there(&mut ann, "online").await, ["Ann", "Bob"]);

    // He loads the page again, and reaches the other node.
    bob.close(CloseCode::NORMAL, "").await?;
    tokio::time::sleep(GRACE / 2).await;
    let mut bob = tab(&here, "Bob").await;
    ann.expect_nothing_for(GRACE * 4).await?;

    let left = Instant::now();
    bob.close(CloseCode::NORMAL, "").await?;
    assert_eq!(told(&mut ann, "Bob").await, (online(), false));
    assert!(left.elapsed() >= GRACE);
    assert_eq!(there(&mut ann, "online").await, ["Ann"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_goes_goes_with_all_tabs_and_is_told_of_at_once() -> Result<(), TestError> {
    let [here, elsewhere] = nodes().await;
    let mut bob = tab(&here, "Bob").await;
    let (mut ann, _second) = (tab(&here, "Ann").await, tab(&elsewhere, "Ann").await);
    assert_eq!(told(&mut bob, "Ann").await, (online(), true));
    go(&mut ann, "kitchen").await?;
    assert_eq!(told(&mut bob, "Ann").await, ("kitchen".to_owned(), true));

    let from = Instant::now();
    go(&mut ann, "garden").await?;
    let went: Value = bob.receive_on("went").await?.decode()?;
    assert_eq!(went["place"], "kitchen");
    let went: Value = bob.receive_on("went").await?.decode()?;
    assert_eq!(went, json!({ "id": "Ann", "place": "garden" }));
    assert!(from.elapsed() < GRACE / 5);
    let key = Identity::new("Ann").with_tenant(OFFICE).key().clone();
    for node in [&here, &elsewhere] {
        let tabs = node.local_sessions_of(&key);
        let rooms = tabs.iter().flat_map(|tab| tab.rooms());
        let mut rooms: Vec<_> = rooms.map(|room| room.as_str().to_owned()).collect();
        rooms.sort_unstable();
        assert_eq!(rooms, ["board", "place:garden"]);
    }
    assert_eq!(told(&mut bob, "Ann").await, ("garden".to_owned(), true));
    assert_eq!(told(&mut bob, "Ann").await, ("kitchen".to_owned(), false));
    assert!(there(&mut bob, "kitchen").await.is_empty());
    assert_eq!(there(&mut bob, "garden").await, ["Ann"]);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn who_has_no_name_stays_outside_and_a_place_that_is_not_there_is_refused() {
    let [here, _] = nodes().await;
    let long = "x".repeat(31);
    for query in [
        "",
        "?name=",
        "?name=%20",
        "?name=a%0Ab",
        "?name=",
        &format!("?name={long}"),
    ] {
        let request = Request::new(format!("/ws{query}"));
        let mut nobody = Connect::new().request(request).to(&here).await;
        let code = match &mut nobody {
            Ok(refused) => refused.closed().await.unwrap().code,
            Err(error) => error.end().and_then(|end| end.code),
        };
        assert_eq!(code, Some(CloseCode::UNAUTHORIZED), "{query}");
    }
    let mut ann = tab(&here, "Ann+B%C3%A9").await;
    until("she is online", async || {
        there(&mut ann, "online").await == ["Ann Bé"]
    })
    .await;
    for place in ["cellar", "", "place:kitchen", "online"] {
        let error = go(&mut ann, place).await.unwrap_err();
        assert_eq!(error.code(), Some("unknown_place"), "{place:?}");
        // Nobody is let in but by `go`.
        let room = json!({ "room": format!("place:{place}") });
        assert!(ann.request("join", Json(&room)).await.is_err());
    }
}
