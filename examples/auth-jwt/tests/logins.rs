//! Signing in, staying in, and signing out, on one node.
#![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::Stdio,
};

use realtime_testkit::client::Request;
use serde_json::json;
use support::{Node, PASSWORD, closed, command, post};

#[tokio::test]
async fn the_right_password_opens_and_no_other() {
    let node = Node::start(300, 1000);
    let answer = node.login("ada", PASSWORD).await;
    assert_eq!((answer.status, &answer.body["name"]), (200, &json!("ada")));
    let set = answer
        .head
        .lines()
        .find(|line| line.starts_with("set-cookie"));
    let set = set.unwrap();
    for part in [
        "__Host-refresh=",
        "HttpOnly",
        "SameSite=Strict",
        "Secure",
        "Path=/",
    ] {
        assert!(set.contains(part), "{set}");
    }
    for (name, password) in [("ada", "battery"), ("ada", ""), ("eve", PASSWORD), ("", "")] {
        let answer = node.login(name, password).await;
        assert_eq!((answer.status, answer.cookie), (401, None), "{name}");
    }
    for token in ["", "nonsense", "e30.e30.e30"] {
        assert_eq!(node.refuses(token).await, 401, "{token}");
    }
    let body = json!({ "name": "ada", "password": PASSWORD }).to_string();
    let other = "Sec-Fetch-Site: same-site\r\n";
    assert_eq!(post(node.1, "/login", other, &body).await.status, 403);
    assert_eq!(post(node.1, "/refresh", "", "").await.status, 401);
}

#[tokio::test]
async fn a_page_of_another_origin_may_not_connect_and_who_speaks_is_the_tokens_word() {
    let node = Node::start(300, 1000);
    let ada = node.sign_in().await;
    let offered = format!("realtime.json, token.{}", ada.token);
    let evil = Request::new("/ws")
        .header("Sec-WebSocket-Protocol", &offered)
        .header("Origin", "http://evil.example");
    assert_eq!(evil.refused(node.1).await.status, 403);
    let mut client = ada.connect().await;
    client.send("say", json!("hello")).await.unwrap();
    let said = loop {
        let message = client.recv_json().await.unwrap();
        if message["route"] == "said" {
            break message["data"].clone();
        }
    };
    assert_eq!(said, json!({ "from": "ada", "text": "hello" }));
}

#[tokio::test]
async fn a_refresh_token_is_good_once_and_used_twice_ends_its_login() {
    let node = Node::start(300, 1000);
    let mut ada = node.sign_in().await;
    let other = node.sign_in().await;
    let first = ada.clone();
    assert_eq!(ada.refresh().await, 200);
    assert_ne!(ada.token, first.token);
    let (mut tab, mut elsewhere) = (ada.connect().await, other.connect().await);

    assert_eq!(first.post("/refresh").await.status, 401);
    // Whoever of the two has stolen it: neither stays.
    assert_eq!(closed(&mut tab).await, 3500);
    assert_eq!(ada.refresh().await, 401);
    for token in [&first.token, &ada.token] {
        assert_eq!(node.refuses(token).await, 401);
    }
    // The same user with another browser stays.
    elsewhere.request("say", json!("still here")).await.unwrap();
}

#[tokio::test]
async fn signing_out_ends_one_login_and_everywhere_all_of_them() {
    let node = Node::start(300, 1000);
    let (mut laptop, mut phone) = (node.sign_in().await, node.sign_in().await);
    let mut gone = node.sign_in().await;
    let mut tabs = [laptop.connect().await, phone.connect().await];
    let mut gone_tab = gone.connect().await;
    assert_eq!(gone.post("/logout").await.status, 204);
    assert_eq!(closed(&mut gone_tab).await, 3500);
    assert_eq!(
        (gone.refresh().await, node.refuses(&gone.token).await),
        (401, 401)
    );

    let answer = laptop.post("/logout-everywhere").await;
    assert_eq!(answer.status, 204);
    assert!(answer.head.contains("Max-Age=0"), "{}", answer.head);
    for tab in &mut tabs {
        assert_eq!(closed(tab).await, 3500);
    }
    for browser in [&mut laptop, &mut phone] {
        assert_eq!(node.refuses(&browser.token).await, 401);
        assert_eq!(browser.refresh().await, 401);
    }
    assert_eq!(laptop.post("/logout-everywhere").await.status, 401);
    // What is issued later is believed, in the same second, too.
    node.sign_in().await.connect().await;
}

#[tokio::test]
async fn without_an_environment_there_is_a_password_all_the_same() {
    let mut command = command(300, 1000);
    command.env_remove("AUTH_KEY").env_remove("AUTH_PASSWORD");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut line = || lines.next().unwrap().unwrap();
    let (address, password) = (line(), line());
    let address = address.strip_prefix("listening on http://").unwrap();
    let password = password.strip_prefix("sign in as ada with ").unwrap();
    let body = json!({ "name": "ada", "password": password }).to_string();
    let answer = post(address.parse().unwrap(), "/login", "", &body).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(answer.status, 200);
}
