//! What is declared is what goes over the wire.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod shop;

use realtime::{Gateway, Identity, Json, Message};
use realtime_testkit::memory::{TestClient, connect};
use serde_json::{Value, json};

fn shop() -> Gateway {
    realtime::builder().router(shop::router()).build().unwrap()
}

async fn client(gateway: &Gateway, name: &str) -> TestClient {
    connect(gateway, Identity::new(name)).await.unwrap()
}

fn data(message: &Message) -> Value {
    message.decode().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_handler_answers_and_sends_what_is_declared() {
    let gateway = shop();
    let mut ann = client(&gateway, "ann").await;
    let wanted = json!({"article": {"name": "tea"}, "count": 2});
    ann.send_message(&Message::new("shop/buy", Json(wanted)).unwrap().with_id(1))
        .await
        .unwrap();
    let offer = ann.receive().await.unwrap();
    assert_eq!(offer.route(), "offer");
    let expected = json!({"articleName": "another tea", "untilThen": null});
    assert_eq!(data(&offer), expected);
    let bell = ann.receive().await.unwrap();
    assert_eq!((bell.route(), bell.data().as_bytes()), ("bell", &b""[..]));
    let bought = ann.receive().await.unwrap();
    let expected = json!({"article": {"name": "tea", "colour": null}, "cents": 200});
    assert_eq!((bought.route(), data(&bought)), ("shop/buy", expected));
    assert!(
        ann.request("open", ())
            .await
            .unwrap()
            .decode::<bool>()
            .unwrap()
    );
}

#[tokio::test(start_paused = true)]
async fn a_declared_error_has_its_code_its_data_and_its_time() {
    let gateway = shop();
    let mut ann = client(&gateway, "ann").await;
    let mut buy = async |wanted: Value| {
        let refused = ann.request("shop/buy", Json(wanted)).await.unwrap_err();
        refused.client_error().unwrap().clone()
    };
    let many = buy(json!({"article": {"name": "tea"}, "count": 4})).await;
    assert_eq!(
        (many.code(), many.message()),
        ("too_many", "there are only 3 left")
    );
    assert_eq!(many.decode_data::<Value>().unwrap(), json!({"left": 3}));
    assert!(!many.is_temporary());

    let closed = buy(json!({"article": {"name": "moon"}})).await;
    assert_eq!(
        (closed.code(), closed.message()),
        ("closed", "the shop is closed")
    );
    assert!(closed.data().is_none() && closed.is_temporary());
    assert_eq!(closed.retry_after().unwrap().as_secs(), 60);

    // Of one that isn't declared, and of any other, the client learns nothing.
    let secret = buy(json!({"article": {"name": "secret"}})).await;
    assert_eq!(secret.code(), "internal");
    let mut guest = client(&gateway, "guest").await;
    let refused = guest.request("open", ()).await.unwrap_err();
    assert_eq!(refused.code(), Some("guest"));
    // And the gateway's own are what they are.
    assert_eq!(buy(json!({"article": 7})).await.code(), "bad_data");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_comes_later_is_typed_by_hand() {
    let gateway = shop();
    let mut ann = client(&gateway, "ann").await;
    let answer = ann.request("later", Json(7)).await.unwrap();
    assert_eq!(data(&answer), "7 of them");
    let refused = ann.request("later", Json(0)).await.unwrap_err();
    assert_eq!(refused.code(), Some("too_many"));
}

#[tokio::test(start_paused = true)]
async fn a_question_has_an_answer_of_its_type() {
    for (answer, is_rung) in [(json!(true), true), (json!(false), false)] {
        let gateway = shop();
        let mut ann = client(&gateway, "ann").await;
        let forget = Message::new("forget", Json("all")).unwrap().with_id(1);
        ann.send_message(&forget).await.unwrap();
        let question = ann.receive_on("sure").await.unwrap();
        assert_eq!(data(&question), "all");
        ann.reply(&question, Json(answer)).await.unwrap();
        if is_rung {
            ann.receive_on("bell").await.unwrap();
        }
        ann.receive_on("forget").await.unwrap();
    }
    // Of another type it is the handler's failure.
    let gateway = shop();
    let mut ann = client(&gateway, "ann").await;
    let forget = Message::new("forget", Json("all")).unwrap().with_id(1);
    ann.send_message(&forget).await.unwrap();
    let question = ann.receive_on("sure").await.unwrap();
    ann.reply(&question, Json("perhaps")).await.unwrap();
    let failed = ann.receive_on("error").await.unwrap();
    assert_ne!(data(&failed)["code"], "");
}

#[test]
fn a_router_is_held_to_the_contract() {
    let contract = shop::contract();
    assert_eq!(contract.unhandled(&shop::router()), [""; 0]);
    assert_eq!(contract.undeclared(&shop::router()), [""; 0]);
    let other = realtime::Router::<()>::new().route("old", async || ());
    let other = other.nest("api.", shop::router());
    let unhandled = contract.unhandled(&other);
    assert_eq!(unhandled.len(), 4, "{unhandled:?}");
    let undeclared = contract.undeclared(&other);
    assert_eq!(
        undeclared[..2],
        ["the request \"old\"", "the request \"api.shop/buy\""]
    );
}
