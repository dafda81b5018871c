//! Nobody but those whom the guard lets in.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use realtime::{CloseCode, IdentityKey, admin::Admin, codec::JsonCodec, revocation::Revocation};
use realtime_testkit::{client::Request, memory::Connect};
use serde_json::json;

use super::{ByName, Server, builder, token};

const PATHS: [&str; 7] = [
    "/admin",
    "/admin/",
    "/admin/realtime-client.js",
    "/admin/api/node",
    "/admin/api/sessions",
    "/admin/api/rooms",
    "/admin/anything",
];

#[tokio::test]
async fn the_guard_is_asked_for_the_page_the_api_and_the_socket() {
    let server = Server::start(builder().build().unwrap()).await;
    let who = [
        (None, 401),
        (Some("wrong"), 401),
        (Some("ann"), 403),
        (Some("away"), 503),
        (Some("broken"), 500),
    ];
    for (name, expected) in who {
        for path in PATHS {
            let (status, answer) = server.get(path, name).await;
            assert_eq!(status, expected, "{path} for {name:?}: {answer}");
            assert!(
                !answer.contains("node_id") && !answer.contains("<html"),
                "{answer}"
            );
        }
        let socket = Request::new("/admin/ws");
        let socket = name.map_or(socket.clone(), |name| token(socket, name));
        assert_eq!(
            socket.refused(server.addr).await.status,
            expected,
            "{name:?}"
        );
    }
    for path in &PATHS[..6] {
        assert_eq!(server.get(path, Some("root")).await.0, 200, "{path}");
    }
    assert_eq!(server.get("/admin/anything", Some("root")).await.0, 404);
    server.page().await.ask("me", ().into()).await;
    server.stop().await;
}

#[tokio::test]
async fn another_sites_page_can_neither_connect_nor_post() {
    let server = Server::start(builder().build().unwrap()).await;
    let evil = Request::new("/admin/ws")
        .header("Cookie", "who=root")
        .header("Origin", "https://evil.example");
    assert_eq!(evil.refused(server.addr).await.status, 403);
    let own = Request::new("/admin/ws")
        .header("Cookie", "who=root")
        .header("Origin", "http://gateway.test");
    own.connect(server.addr).await.unwrap();
    for method in ["POST", "PUT", "DELETE", "OPTIONS"] {
        let (status, answer) = server
            .ask(method, "/admin/api/sessions", Some("root"))
            .await;
        assert_eq!(status, 405, "{answer}");
        assert!(
            !answer.to_lowercase().contains("access-control"),
            "{answer}"
        );
    }
    server.stop().await;
}

#[tokio::test]
async fn the_page_is_whole_and_its_policy_allows_its_own_parts_alone() {
    let server = Server::start(builder().build().unwrap()).await;
    let (_, page) = server.get("/admin/", Some("root")).await;
    let (head, body) = page.split_once("\r\n\r\n").unwrap();
    let policy = head
        .lines()
        .find(|line| line.starts_with("content-security-policy"));
    let policy = policy.unwrap();
    assert!(
        policy.contains("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'"), "{policy}");
    assert_eq!(policy.matches("'sha256-").count(), 2, "{policy}");
    assert!(head.contains("cache-control: no-store"), "{head}");
    assert!(!body.contains("/* style */") && !body.contains("/* script */"));
    assert!(
        !body.contains("http://") && !body.contains("https://"),
        "nothing from elsewhere"
    );
    server.stop().await;
}

#[tokio::test]
async fn a_fresh_token_of_one_who_may_no_longer_ends_the_page() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut page = server.page().await;
    let token = json!({ "token": "root" });
    page.ask("authenticate", token).await;
    let token = json!({ "token": "root~demoted" });
    page.refused("authenticate", token).await;
    assert_eq!(page.closed().await, 3500);
    server.stop().await;
}

#[tokio::test]
async fn whoever_is_revoked_loses_the_page_and_gets_none() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut page = server.page().await;
    let root = Revocation::identity(IdentityKey::new("root"), SystemTime::now());
    server.gateway.revoke(root).await.unwrap();
    assert_eq!(page.closed().await, 3500);
    assert_eq!(server.get("/admin/", Some("root")).await.0, 401);
    let socket = token(Request::new("/admin/ws"), "root");
    assert_eq!(socket.refused(server.addr).await.status, 401);
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_is_asked_anew_who_it_is_after_a_quarter_of_an_hour() {
    let gateway = builder().build().unwrap();
    let admin = Admin::of(&gateway)
        .guard(ByName::new(), |who| who.has_role("admin"))
        .unwrap();
    let begun = tokio::time::Instant::now();
    let mut page = Connect::new()
        .request(token(Request::new("/ws"), "root"))
        .deadline(Duration::from_secs(20 * 60))
        .to_app(admin.clone(), JsonCodec)
        .await
        .unwrap();
    assert_eq!(page.closed().await.unwrap().code, Some(CloseCode::EXPIRED));
    let lasted = begun.elapsed().as_secs();
    assert!((890..=910).contains(&lasted), "{lasted} s");
}

#[tokio::test]
async fn with_a_fifth_page_the_oldest_of_its_operator_ends() {
    let server = Server::start(builder().build().unwrap()).await;
    let mut pages = Vec::new();
    for _ in 0..5 {
        let mut page = server.page().await;
        page.ask("me", ().into()).await;
        pages.push(page);
    }
    assert_eq!(pages[0].closed().await, 3506);
    for page in &mut pages[1..] {
        page.ask("me", ().into()).await;
    }
    server.stop().await;
}

#[tokio::test]
async fn the_pages_client_is_that_of_this_project() {
    let server = Server::start(builder().build().unwrap()).await;
    let (_, answer) = server.get("/admin/realtime-client.js", Some("root")).await;
    let (_, served) = answer.split_once("\r\n\r\n").unwrap();
    let bundle = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../realtime-client-js/bundle/realtime-client.js");
    let bundle = std::fs::read_to_string(bundle).unwrap();
    assert!(
        served == bundle,
        "crates/realtime-admin/page/realtime-client.js isn't the bundle of realtime-client-js: copy it"
    );
    server.stop().await;
}
