//! What is declared is what goes over the wire.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod shop;

use std::error::Error;

use realtime::{
    Gateway, Identity, Json, Message, Router, Session,
    contract::{AskError, Contract, Failure, Request, Room, RouterExt},
    error::RequestErrorKind,
    history::MemoryHistory,
    room::RoomRule,
};
use realtime_testkit::memory::{TestClient, connect};
use serde_json::{Value, json};

fn shop() -> Gateway {
    let gateway = realtime::builder().router(shop::router());
    gateway.history(MemoryHistory::new()).build().unwrap()
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
    // Of another type it is none, and who has asked for it to be asked is not to blame.
    let gateway = shop();
    let mut ann = client(&gateway, "ann").await;
    let forget = Message::new("forget", Json("all")).unwrap().with_id(1);
    ann.send_message(&forget).await.unwrap();
    let question = ann.receive_on("sure").await.unwrap();
    ann.reply(&question, Json("perhaps")).await.unwrap();
    let failed = ann.receive_on("error").await.unwrap();
    assert_eq!(data(&failed)["code"], "not_answered");
    assert_eq!(data(&failed)["temporary"], true);
}

#[tokio::test(start_paused = true)]
async fn answers_of_another_type_close_nobody_s_connection() {
    let gateway = shop();
    let mut ann = client(&gateway, "ann").await;
    for id in 0..100 {
        let forget = Message::new("forget", Json("all")).unwrap().with_id(id);
        ann.send_message(&forget).await.unwrap();
        let question = ann.receive_on("sure").await.unwrap();
        ann.reply(&question, Json("perhaps")).await.unwrap();
        let failed = ann.receive_on("error").await.unwrap();
        assert_eq!(data(&failed)["code"], "not_answered");
    }
    assert_eq!(gateway.stats().violations, 0);
}

#[test]
fn an_answer_says_what_does_not_fit() {
    let answer = Message::new("sure", Json("perhaps")).unwrap();
    let unfit = match shop::SURE.decode(&answer) {
        Err(AskError::Answer(unfit)) => unfit,
        other => panic!("{other:?}"),
    };
    assert_eq!(unfit.kind(), RequestErrorKind::Answer);
    let why = unfit.source().and_then(|codec| codec.source()).unwrap();
    assert!(why.to_string().contains("boolean"), "{why}");
}

#[test]
fn a_router_is_held_to_the_contract() {
    let contract = shop::contract();
    assert_eq!(contract.unhandled(&shop::router()), [""; 0]);
    assert_eq!(contract.undeclared(&shop::router()), [""; 0]);
    let other = Router::<()>::new().route("old", async || ());
    let other = other.nest("api.", shop::router());
    let unhandled = contract.unhandled(&other);
    assert_eq!(unhandled.len(), 4, "{unhandled:?}");
    assert_eq!(
        unhandled[0],
        "the request \"shop/buy\", which is handled behind a prefix, as \"api.shop/buy\": declare it \
         with that name"
    );
    let undeclared = contract.undeclared(&other);
    assert_eq!(
        undeclared[..2],
        ["the request \"old\"", "the request \"api.shop/buy\""]
    );
}

#[test]
fn a_route_is_handled_by_its_declaration_and_not_by_its_name() {
    const ASK: Request<String> = Request::new("ask");
    let contract = Contract::new("Shop", "1.0.0").request(ASK);
    let by_name = Router::<()>::new().route(ASK.route(), async |_: Session| Json(7));
    assert_eq!(
        contract.unhandled(&by_name),
        ["the request \"ask\", whose handler has not come by `handle`"]
    );
    let other = Request::<u8>::new("ask");
    let other = Router::<()>::new().handle(other, async |Json(_): Json<u8>| ());
    assert_eq!(
        contract.unhandled(&other),
        ["the request \"ask\", which is handled by a declaration of other types"]
    );
    // It is known behind everything that is done with a router.
    let handled = Router::<u8>::new().handle(ASK, async |Json(_): Json<String>| ());
    let handled = handled.with_state::<()>(7);
    let handled = Router::new().merge(Router::new().nest("", handled));
    assert_eq!(contract.unhandled(&handled), [""; 0]);
}

#[test]
fn rooms_are_what_their_rules_say() {
    let said = |room: Room, rule: RoomRule| {
        let contract = Contract::new("Shop", "1.0.0").room(room);
        contract
            .unhandled(&Router::new().room("a", rule))
            .join("; ")
    };
    let room = || Room::new("a");
    let open = RoomRule::open;
    let (line, who) = (shop::SAID, shop::WHO);
    assert_eq!(said(room(), open()), "");
    let both = room().publish(line).announce(who);
    let rule = open().publish(line.route()).announce(who.route());
    assert_eq!(said(both, rule), "");
    for (room, rule, expected) in [
        (
            room().publish(line),
            open(),
            "declared to publish \"said\", and publish nothing by their rule",
        ),
        (
            room(),
            open().publish("other"),
            "declared to publish nothing, and publish \"other\" by their rule",
        ),
        (
            room().announce(who),
            open().announce("members"),
            "declared to announce \"who\", and announce \"members\" by their rule",
        ),
        (room(), RoomRule::new(), "clients can't join by their rule"),
        (
            room().without_join(),
            open(),
            "clients can join by their rule, and not as declared",
        ),
    ] {
        let said = said(room, rule);
        assert!(said.contains(expected), "{said}");
    }
}

#[tokio::test(start_paused = true)]
async fn any_error_is_a_failure_and_a_declared_one_in_it_is_told() {
    const TRY: Request<u8, (), shop::NotBought> = Request::new("try");
    fn tried(way: u8) -> Result<(), realtime::BoxError> {
        match way {
            0 => Err(shop::NotBought::Closed.into()),
            1 => Err(realtime::ClientError::new("secret", "not declared").into()),
            _ => Err("the disk is full".into()),
        }
    }
    let handler = async |Json(way): Json<u8>| tried(way).map_err(Failure::other);
    let router = Router::new().handle(TRY, handler);
    let (heard, mut hears) = tokio::sync::mpsc::unbounded_channel();
    let gateway = realtime::builder().router(router);
    let hook = move |error: realtime::hooks::ErrorContext| {
        heard.send(format!("{:?}", error.error())).ok();
        std::future::ready(())
    };
    let gateway = gateway.on_error(hook);
    let gateway = gateway.build().unwrap();
    let mut ann = client(&gateway, "ann").await;
    for (way, code) in [(0, "closed"), (1, "internal"), (2, "internal")] {
        let refused = ann.request("try", Json(way)).await.unwrap_err();
        assert_eq!(refused.code(), Some(code));
    }
    loop {
        let error = hears.recv().await.unwrap();
        if error.contains("the disk is full") {
            break;
        }
    }
}
