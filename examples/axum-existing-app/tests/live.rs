//! The socket has the shop's own login and its own idea of who may see an order, and loses nothing.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use realtime_testkit::{
    client::{Client, Request},
    wait::within,
};
use serde_json::{Value, json};
use support::Shop;

const LONG: u32 = 3600;

/// The answer to a page that asks to see an order.
async fn join(client: &mut Client, id: u64) -> Value {
    let room = json!({ "room": format!("order:{id}") });
    client.request("join", room).await.unwrap()
}

/// The step with which an order comes next.
async fn step(client: &mut Client) -> String {
    let message = client.recv_json().await.unwrap();
    assert_eq!(message["route"], "order", "{message}");
    message["data"]["status"].as_str().unwrap().to_owned()
}

async fn closed(client: &mut Client) -> u16 {
    let end = within("the end of a connection", client.closed()).await;
    end.unwrap().0
}

#[tokio::test]
async fn a_socket_needs_the_cookie_and_a_page_of_the_shop() {
    let shop = Shop::start("door", LONG).await;
    for (name, password) in [("ada", ""), ("ada", "battery"), ("eve", support::PASSWORD)] {
        let answer = shop.try_to_sign_in(name, password).await;
        assert_eq!((answer.status, answer.cookie), (401, None), "{name}");
    }
    let bare = Request::new("/ws").refused(shop.1).await;
    assert_eq!(bare.status, 401);
    let forged = "__Host-login=00000000-0000-4000-8000-000000000000";
    let forged = Request::new("/ws").header("Cookie", forged);
    assert_eq!(forged.refused(shop.1).await.status, 401);

    let ada = shop.sign_in("ada").await;
    let elsewhere = ada.upgrade("http://evil.example");
    assert_eq!(elsewhere.refused(shop.1).await.status, 403);
    let mut page = ada.connect().await;
    assert!(join(&mut page, 1).await["data"]["position"].is_object());
}

#[tokio::test]
async fn an_order_is_its_customers_and_the_staffs_over_both_ways() {
    let shop = Shop::start("orders", LONG).await;
    let (ada, bob) = (shop.sign_in("ada").await, shop.sign_in("bob").await);
    let sam = shop.sign_in("sam").await;
    let order = json!({ "item": "Oolong" });
    let placed = ada.call("POST", "/api/orders", Some(order)).await;
    assert_eq!((placed.status, &placed.body["id"]), (201, &json!(3)));
    for (who, listed, statuses) in [
        (&ada, 2, [200, 404, 200, 404, 404]),
        (&bob, 1, [404, 200, 404, 404, 404]),
        (&sam, 3, [200, 200, 200, 404, 404]),
    ] {
        let list = who.get("/api/orders").await.body;
        assert_eq!(list.as_array().unwrap().len(), listed);
        let mut page = who.connect().await;
        for (id, status) in [1, 2, 3, 4, 0].into_iter().zip(statuses) {
            let shown = who.get(&format!("/api/orders/{id}")).await;
            assert_eq!(shown.status, status, "{id}");
            let answer = join(&mut page, id).await;
            let code = (status == 404).then_some("not_found");
            assert_eq!(answer["data"]["code"].as_str(), code, "{id}: {answer}");
        }
        // What isn't the room of an order is nobody's.
        for room in ["order:", "order:x", "orders"] {
            let answer = page.request("join", json!({ "room": room })).await.unwrap();
            assert_eq!(answer["route"], "error", "{room}");
        }
    }
    let step = |to: &str| Some(json!({ "to": to }));
    let path = "/api/orders/1";
    assert_eq!(ada.call("PATCH", path, step("packed")).await.status, 403);
    assert_eq!(sam.call("PATCH", path, step("shipped")).await.status, 409);
    assert_eq!(sam.call("PATCH", path, step("packed")).await.status, 200);
    assert_eq!(sam.call("PATCH", path, step("packed")).await.status, 409);
    for item in ["", " ", &"x".repeat(101)] {
        let order = json!({ "item": item });
        let answer = ada.call("POST", "/api/orders", Some(order)).await;
        assert_eq!(answer.status, 422, "{item:?}");
    }
}

#[tokio::test]
async fn each_step_comes_to_the_orders_pages_and_to_who_was_away() {
    let shop = Shop::start("steps", LONG).await;
    let (ada, sam) = (shop.sign_in("ada").await, shop.sign_in("sam").await);
    let (mut page, mut other) = (ada.connect().await, ada.connect().await);
    join(&mut page, 1).await;
    let place = join(&mut other, 1).await["data"]["position"].clone();
    sam.move_on(2, "packed").await;
    sam.move_on(1, "packed").await;
    assert_eq!(step(&mut page).await, "packed");

    drop(other);
    sam.move_on(1, "shipped").await;
    sam.move_on(1, "delivered").await;
    assert_eq!(step(&mut page).await, "shipped");
    let mut back = ada.connect().await;
    let mut recover = place;
    recover["room"] = "order:1".into();
    let answer = back.request("recover", recover).await.unwrap();
    assert_eq!(answer["data"]["recovered"], true);
    let missed = answer["data"]["missed"].as_array().unwrap().iter();
    let missed: Vec<_> = missed.map(|message| &message["data"]["status"]).collect();
    assert_eq!(missed, ["packed", "shipped", "delivered"]);
    let steps = &ada.get("/api/orders/1").await.body["steps"];
    assert_eq!(steps.as_array().unwrap().len(), 4);
}

#[tokio::test]
async fn a_socket_ends_with_its_login_and_no_other_does() {
    let shop = Shop::start("ends", LONG).await;
    let (laptop, phone) = (shop.sign_in("ada").await, shop.sign_in("ada").await);
    let (mut one, mut two) = (laptop.connect().await, phone.connect().await);
    assert_eq!(laptop.call("DELETE", "/api/login", None).await.status, 204);
    assert_eq!(closed(&mut one).await, 3500);
    assert_eq!(laptop.get("/api/me").await.status, 401);
    let again = laptop.upgrade("http://gateway.test");
    assert_eq!(again.refused(shop.1).await.status, 401);
    join(&mut two, 1).await;

    // The oldest of too many.
    for _ in 0..20 {
        shop.sign_in("ada").await;
    }
    assert_eq!(closed(&mut two).await, 3500);
    assert_eq!(phone.get("/api/me").await.status, 401);
}

#[tokio::test]
async fn a_socket_ends_when_its_login_is_over() {
    let shop = Shop::start("over", 1).await;
    let mut page = shop.sign_in("ada").await.connect().await;
    assert_eq!(closed(&mut page).await, 3005);
}
