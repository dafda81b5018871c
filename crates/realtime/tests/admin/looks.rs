//! What is shown, and what never is.

use std::collections::BTreeSet;

use realtime_testkit::{client::Request, wait::until};
use serde_json::json;

use super::{Server, builder, token};

#[tokio::test]
async fn a_node_says_how_it_is_and_what_went_wrong() {
    let fails = async || Err::<(), _>(std::io::Error::other("the disk is full"));
    let router = realtime::Router::new().route("fail", fails);
    let gateway = realtime::builder().router(router).build().unwrap();
    let server = Server::start(gateway).await;
    let mut client = Request::new("/ws").connect(server.addr).await.unwrap();
    client.request("fail", json!(null)).await.unwrap();
    client.send("no such route", json!(null)).await.unwrap();
    until("it is known", async || server.gateway.stats().failed == 2).await;
    let node = server.json("/admin/api/node").await;
    assert_eq!(node["node_id"], server.gateway.node_id().as_str());
    assert_eq!(
        (&node["phase"], &node["health"]["status"]),
        (&json!("serving"), &json!("ready"))
    );
    assert_eq!(node["health"]["sessions"], 1);
    assert_eq!(node["nodes"], json!([server.gateway.node_id().as_str()]));
    let errors = node["errors"].as_array().unwrap();
    assert_eq!(
        errors.len(),
        1,
        "mistakes of clients aren't among them: {errors:?}"
    );
    assert_eq!(errors[0]["stage"], "Message");
    assert!(
        errors[0]["error"]
            .as_str()
            .unwrap()
            .contains("the disk is full")
    );
    server
        .gateway
        .begin_drain(std::time::Duration::from_secs(60));
    assert_eq!(server.json("/admin/api/node").await["phase"], "draining");
    server.gateway.shutdown().await;
    server.stop().await;
}

#[tokio::test]
async fn what_waits_for_all_clients_together_is_counted() {
    let gateway = builder().build().unwrap();
    let server = Server::start(gateway).await;
    let mut client = server.client("ann").await;
    let session = server.gateway.local_sessions().remove(0);
    let large = "x".repeat(100_000);
    // More than the kernel takes for one who doesn't read.
    until("something waits", async || {
        session.send("n", realtime::Json(&large)).unwrap();
        server.json("/admin/api/node").await["queued_messages"] == 3
    })
    .await;
    let node = server.gateway.inspect();
    assert!(node.stats.queued_bytes >= 3 * 100_000, "{node:?}");
    let reads = async {
        loop {
            client.recv().await.unwrap();
        }
    };
    tokio::select! {
        () = reads => {}
        () = until("nothing does", async || server.gateway.inspect().queued_messages == 0) => {}
    }
    server.stop().await;
}

#[tokio::test]
async fn sessions_are_shown_a_page_at_a_time_and_found_by_their_names() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut clients = Vec::new();
    for n in 0..7 {
        clients.push(server.client(&format!("acme/ann-{n}")).await);
    }
    clients.push(server.client("bob").await);
    clients[0].request("enter", json!("chat:7")).await.unwrap();
    let (mut seen, mut after) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/admin/api/sessions?limit=3{after}");
        let page = server.json(&path).await;
        let sessions = page["sessions"].as_array().unwrap();
        assert!(sessions.len() <= 3);
        for session in sessions {
            assert!(seen.insert(session["identity_id"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len(), 8, "each once");
    let mut page = server.page().await;
    for (part, count) in [
        ("ANN-", 7),
        ("acme/ann-3", 1),
        ("acme", 7),
        ("bob", 1),
        ("eve", 0),
    ] {
        let found = page.ask("sessions", json!({ "containing": part })).await;
        assert_eq!(found["sessions"].as_array().unwrap().len(), count, "{part}");
    }
    let found = page.ask("sessions", json!({ "containing": "ann-0" })).await;
    let session = &found["sessions"][0];
    assert_eq!(
        (&session["rooms"], &session["room_count"]),
        (&json!(["chat:7"]), &json!(1))
    );
    assert_eq!(session["speaks"], "realtime.json");
    assert!(
        session["remote_addr"]
            .as_str()
            .unwrap()
            .starts_with("127.0.0.1:")
    );
    let rooms = server.json("/admin/api/rooms?containing=chat").await;
    assert_eq!(
        rooms,
        json!({ "rooms": [{ "name": "chat:7", "members": 1 }], "next": null })
    );
    let found = page
        .ask("find", json!({ "tenant": "acme", "id": "ann-1" }))
        .await;
    assert_eq!(
        (&found["total"], &found["sessions"][0]["tenant_id"]),
        (&json!(1), &json!("acme"))
    );
    for wrong in ["?limit=many", "?after=1", "?what=ever", "?after=a.b"] {
        let path = format!("/admin/api/sessions{wrong}");
        assert_eq!(server.get(&path, Some("root")).await.0, 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn rooms_are_shown_a_page_at_a_time_and_found_by_their_whole_names() {
    let gateway = builder().build().unwrap();
    let server = Server::start(gateway).await;
    let mut clients = Vec::new();
    for n in 0..4 {
        clients.push(server.client(&format!("ann-{n}")).await);
    }
    for room in 0..40 {
        // Each room has two members, so that it could be found twice.
        for member in [room % 4, (room + 1) % 4] {
            let name = json!(format!("room-{room}"));
            clients[member].request("enter", name).await.unwrap();
        }
    }
    let (mut seen, mut after) = (BTreeSet::new(), String::new());
    loop {
        let path = format!("/admin/api/rooms?limit=7{after}");
        let page = server.json(&path).await;
        let rooms = page["rooms"].as_array().unwrap();
        assert!(rooms.len() <= 7);
        for room in rooms {
            assert_eq!(room["members"], 2);
            assert!(seen.insert(room["name"].as_str().unwrap().to_owned()));
        }
        let Some(next) = page["next"].as_str() else {
            break;
        };
        after = format!("&after={next}");
    }
    assert_eq!(seen.len(), 40, "each once");
    // One whose name is known is first, however many have it in theirs.
    let path = "/admin/api/rooms?limit=1&containing=room-3";
    let page = server.json(path).await;
    assert_eq!(page["rooms"], json!([{ "name": "room-3", "members": 2 }]));
    let path = format!("{path}0&after={}", page["next"].as_str().unwrap());
    assert_eq!(server.json(&path).await["rooms"], json!([]), "it was first");
    for wrong in ["?limit=many", "?after=1.2", "?what=ever"] {
        let path = format!("/admin/api/rooms{wrong}");
        assert_eq!(server.get(&path, Some("root")).await.0, 400, "{wrong}");
    }
    server.stop().await;
}

#[tokio::test]
async fn no_token_and_no_query_is_shown_anywhere() {
    let server = Server::start(builder().build().unwrap()).await;
    let request = token(Request::new("/ws?key=quer1ed"), "ann~s3cret");
    let mut client = request.connect(server.addr).await.unwrap();
    client.request("echo", json!("payl0ad")).await.unwrap();
    let mut page = server.page().await;
    let mut all = vec![
        page.ask("find", json!({ "id": "ann" })).await.to_string(),
        page.on("node").await.to_string(),
    ];
    for path in ["node", "sessions", "rooms"] {
        all.push(
            server
                .get(&format!("/admin/api/{path}"), Some("root"))
                .await
                .1,
        );
    }
    assert!(all[0].contains("\"ann\""), "{}", all[0]);
    for said in all {
        for secret in ["s3cret", "quer1ed", "payl0ad", "Bearer"] {
            assert!(!said.contains(secret), "{secret} in {said}");
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_is_told_every_second_and_ends_with_the_gateway() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut page = server.page().await;
    let mut other = server.page().await;
    let first = page.on("node").await;
    assert_eq!(first["phase"], "serving");
    let _ann = server.client("ann").await;
    until("the next ones have her", async || {
        page.on("node").await["health"]["sessions"] == 1
    })
    .await;
    other.on("node").await;
    let gateway = server.gateway.clone();
    let ended = tokio::spawn(async move { gateway.shutdown().await });
    assert_eq!(page.closed().await, 1001);
    assert_eq!(other.closed().await, 1001);
    ended.await.unwrap();
    server.stop().await;
}
