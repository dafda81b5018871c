//! Nobody but those whom the guard lets in.

use realtime_testkit::client::Request;

use super::{Server, builder, token};

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
