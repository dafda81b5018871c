//! What clients learn of errors: data of the application's own, and why theirs doesn't fit.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod support;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
    time::Duration,
};

use realtime::{
    Builder, ClientError, Gateway, Identity, Json, Payload, Router,
    broker::LocalBroker,
    error::{RequestErrorKind, SendErrorKind},
    extract::Replier,
    hooks::{ErrorContext, ErrorStage},
};
use realtime_testkit::memory::{TestClient, connect};
use serde::Deserialize;
use serde_json::{Value, json};
use support::Server;

/// How many errors the hooks have heard of, with their causes.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<String>>>);

impl Heard {
    fn on<L>(&self, builder: Builder<(), L>) -> Builder<(), L> {
        let heard = self.clone();
        builder.on_error(move |context: ErrorContext| {
            if context.stage() == ErrorStage::Message {
                let mut said = context.error().to_string();
                let mut cause = context.error().source();
                while let Some(error) = cause {
                    said = format!("{said}: {error}");
                    cause = error.source();
                }
                heard.0.lock().unwrap().push(said);
            }
            async {}
        })
    }

    async fn says(&self, text: &str) {
        realtime_testkit::wait::until(text, async || {
            self.0
                .lock()
                .unwrap()
                .iter()
                .any(|said| said.contains(text))
        })
        .await;
    }
}

fn failing() -> ClientError {
    ClientError::new("full", "no room is left")
}

fn longest(more: usize) -> Payload {
    Payload::json(&"x".repeat(ClientError::MAX_DATA - 2 + more)).unwrap()
}

fn router() -> Router {
    let fails = |error: ClientError| move || std::future::ready(Err::<(), _>(error.clone()));
    let unwritable = BTreeMap::from([(vec![1], 1)]);
    Router::new()
        .route("data", fails(failing().with_data(Json(json!({"left": 0})))))
        .route("longest", fails(failing().with_data(longest(0))))
        .route("too long", fails(failing().with_data(longest(1))))
        .route(
            "not JSON",
            fails(failing().with_data(Payload::from("1},{"))),
        )
        .route("unwritable", fails(failing().with_data(Json(unwritable))))
        .route("later", async |replier: Replier| {
            let error = failing().temporary().with_data(Json(["later"]));
            replier.refuse(error).unwrap();
        })
        .route("later, too long", async |replier: Replier| {
            let refused = replier.refuse(failing().with_data(longest(1)));
            assert_eq!(refused.unwrap_err().kind(), SendErrorKind::Encode);
        })
}

async fn ann(gateway: &Gateway) -> TestClient {
    connect(gateway, Identity::new("ann")).await.unwrap()
}

async fn error(client: &mut TestClient, route: &'static str) -> ClientError {
    let error = client.request(route, ()).await.unwrap_err();
    error.client_error().unwrap().clone()
}

#[tokio::test]
async fn an_error_carries_data_of_the_applications_own() {
    let server = Server::start(support::builder().router(router()).build().unwrap()).await;
    let mut client = server.connect().await;
    let answer = client.request("data", json!(null)).await.unwrap();
    assert_eq!(
        answer["data"],
        json!({"code": "full", "message": "no room is left", "temporary": false, "data": {"left": 0}})
    );
    server.stop().await;
}

#[tokio::test(start_paused = true)]
async fn data_that_cannot_be_sent_is_left_out_and_the_hooks_hear_why() {
    let heard = Heard::default();
    let gateway = heard
        .on(support::builder().router(router()))
        .build()
        .unwrap();
    let mut ann = ann(&gateway).await;
    assert_eq!(
        error(&mut ann, "data")
            .await
            .decode_data::<Value>()
            .unwrap()["left"],
        0
    );
    assert_eq!(error(&mut ann, "longest").await.data(), Some(&longest(0)));
    let later = error(&mut ann, "later").await;
    assert_eq!(later, failing().temporary().with_data(Json(["later"])));
    for (route, why) in [
        ("too long", "at most 16384 bytes of data"),
        ("not JSON", "one JSON value"),
        (
            "unwritable",
            "can't be written as JSON: key must be a string",
        ),
    ] {
        assert_eq!(error(&mut ann, route).await, failing(), "{route}");
        heard.says(why).await;
    }
    assert_eq!(error(&mut ann, "later, too long").await, failing());
    ann.expect_nothing().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_clients_refusal_may_have_data_too_also_from_another_node() {
    let broker = LocalBroker::new();
    let mut gateways = Vec::new();
    for _ in 0..2 {
        let gateway = support::builder().broker(broker.clone()).build().unwrap();
        gateway.start().await.unwrap();
        gateways.push(gateway);
    }
    let mut ann = ann(&gateways[1]).await;
    let session = ann.session(&gateways[1]).unwrap();
    let busy = ClientError::new("busy", "later").with_data(Json(json!({"until": 7})));
    let ask = session.request("ask", (), Duration::from_secs(5));
    let answer = async {
        let asked = ann.receive_on("ask").await.unwrap();
        ann.refuse(&asked, busy.clone()).await.unwrap();
    };
    let (asked, ()) = tokio::join!(ask, answer);
    let asked = asked.unwrap_err();
    assert_eq!(asked.kind(), RequestErrorKind::Refused);
    assert_eq!(asked.refusal(), Some(&busy));

    let mut answers = gateways[0]
        .session(session.id())
        .request("ask", ())
        .unwrap();
    let answer = async {
        let asked = ann.receive_on("ask").await.unwrap();
        ann.refuse(&asked, busy.clone()).await.unwrap();
    };
    let (first, ()) = tokio::join!(answers.next(), answer);
    assert_eq!(first.unwrap().result.unwrap_err(), busy);

    let too_much = ClientError::new("busy", "later").with_data(longest(1));
    let ask = session.request("ask", (), Duration::from_secs(1));
    let answer = async {
        let asked = ann.receive_on("ask").await.unwrap();
        ann.refuse(&asked, too_much).await.unwrap_err();
    };
    let (asked, ()) = tokio::join!(ask, answer);
    assert_eq!(asked.unwrap_err().kind(), RequestErrorKind::TimedOut);
}

#[derive(Debug, Deserialize)]
struct Move {
    #[expect(dead_code, reason = "it is only read")]
    x: u8,
}

#[tokio::test(start_paused = true)]
async fn why_data_does_not_fit_is_told_where_the_server_says_so() {
    for details in [false, true] {
        let router = Router::new().route("move", async |Json(_): Json<Move>| {});
        let heard = Heard::default();
        let builder = support::builder().router(router).decode_details(details);
        let gateway = heard.on(builder).build().unwrap();
        let mut ann = ann(&gateway).await;
        let long = "y".repeat(2_000);
        for (data, words) in [
            (json!({"y": 1}), "missing field `x`"),
            (json!({"x": "secret"}), "invalid type: string \"secret\""),
            (json!({"x": long}), "invalid type: string \"yyy"),
        ] {
            let error = ann.request("move", Json(data)).await.unwrap_err();
            assert_eq!(error.code(), Some("bad_data"));
            let told = error.client_error().unwrap().message().to_owned();
            assert_eq!(told.contains(words), details, "{told}");
            assert!(told.len() < 700, "{told}");
            // The application's own hooks hear it in any case.
            heard.says(words).await;
        }
    }
}
