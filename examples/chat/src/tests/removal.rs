//! A moderator removes somebody from a room, from another node.

use realtime::CloseCode;

use super::*;

async fn come_as_moderator(node: &Gateway, name: &str) -> TestClient {
    let person = Person {
        moderator: true,
        ..called(name)
    };
    come_as(node, person).await
}

/// Why somebody may not come in; nothing where they may.
async fn is_kept_out(client: &mut TestClient, room: &str) -> Option<String> {
    let room = json!({ "room": room });
    let refused = client.request("join", Json(&room)).await.err()?;
    assert_eq!(refused.code(), Some("removed"), "{refused}");
    Some(refused.client_error().unwrap().message().to_owned())
}

fn bob() -> Value {
    json!({ "room": "lobby", "id": "bob Bob" })
}

#[tokio::test(start_paused = true)]
async fn who_is_removed_learns_why_and_stays_out_of_the_room_for_a_while() -> Result<(), TestError>
{
    let [here, there] = nodes();
    for node in [&here, &there] {
        node.start().await.unwrap();
    }
    let mut moderator = come_as_moderator(&here, "Ann").await;
    let (mut bob_here, mut bob_there) = (come(&here, "Bob").await, come(&there, "Bob").await);
    let mut cid = come(&there, "Cid").await;
    for client in [&mut moderator, &mut bob_here, &mut bob_there, &mut cid] {
        enter(client, "lobby").await;
    }
    assert_eq!(members(&mut cid).await.len(), 3);

    let removed = asks(&mut moderator, "remove", bob()).await?;
    assert_eq!(removed, json!({ "sessions": 2 }));
    for client in [&mut bob_here, &mut bob_there] {
        let end = client.closed().await?;
        assert_eq!(end.code.map(CloseCode::as_u16), Some(4500));
        assert!(end.reason.contains("removed you from Lobby"), "{end:?}");
    }
    // The others are told of it at once, and that he has left when he doesn't come back.
    let event: Value = cid.receive_on("gone").await?.decode()?;
    assert_eq!(event, json!({ "id": "bob Bob" }));
    while told(&mut cid).await[1] != ["bob Bob"] {}
    assert_eq!(members(&mut cid).await, ["ann Ann", "cid Cid"]);

    // Another name doesn't help, nor another node. Other rooms are open to him.
    let renamed = Person {
        name: "Rob".to_owned(),
        ..called("Bob")
    };
    for (node, person) in [(&here, called("Bob")), (&there, renamed)] {
        let mut bob = come_as(node, person).await;
        for room in ["room:lobby", "typing:lobby"] {
            let why = is_kept_out(&mut bob, room).await.unwrap();
            assert!(why.contains("10 minutes"), "{why}");
        }
        let error = asks(&mut bob, "say", line("let me in")).await.unwrap_err();
        assert_eq!(error.code(), Some("not_a_member"));
        enter(&mut bob, "music").await;
    }
    tokio::time::sleep(Duration::from_secs(580)).await;
    let mut bob = come(&there, "Bob").await;
    assert!(is_kept_out(&mut bob, "room:lobby").await.is_some());
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(is_kept_out(&mut bob, "room:lobby").await, None);
    Ok(())
}

#[tokio::test(start_paused = true)]
async fn only_a_moderator_removes_and_none_is_kept_out() -> Result<(), TestError> {
    let [node] = nodes();
    let mut ann = come_as_moderator(&node, "Ann").await;
    let (mut bob_here, mut cid) = (come(&node, "Bob").await, come(&node, "Cid").await);
    for client in [&mut ann, &mut bob_here, &mut cid] {
        enter(client, "lobby").await;
    }
    let with = |field: &str, value: &str| {
        let mut remove = bob();
        remove[field] = value.into();
        remove
    };
    let long = format!("{} Bob", "x".repeat(65));
    let error = asks(&mut cid, "remove", bob()).await.unwrap_err();
    assert_eq!(error.code(), Some("forbidden"));
    for (data, code) in [
        (with("room", "music"), "not_a_member"),
        (with("id", "bob"), "nobody"),
        (with("id", &long), "nobody"),
    ] {
        let error = asks(&mut ann, "remove", data).await.unwrap_err();
        assert_eq!(error.code(), Some(code));
    }
    // Nor does anybody get at what is noted of removals.
    let noted = json!({ "room": "removed:lobby:bob" });
    let error = asks(&mut cid, "join", noted).await.unwrap_err();
    assert_eq!(error.code(), Some("unknown_room"));
    assert_eq!(members(&mut bob_here).await.len(), 3);

    asks(&mut ann, "remove", with("id", "ann Ann"))
        .await
        .unwrap_err();
    let mut ann = come_as_moderator(&node, "Ann").await;
    assert_eq!(is_kept_out(&mut ann, "room:lobby").await, None);
    Ok(())
}
