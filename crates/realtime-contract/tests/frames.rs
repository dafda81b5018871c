//! Frames on a real socket are what the document says of them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod shop;

use std::{
    collections::BTreeSet,
    fs,
    path::Path,
    process::Command,
    time::{Duration, SystemTime},
};

use axum::body::Bytes;
use realtime::{
    Gateway, IdentityUpdate,
    broker::{
        Broker, Join, LocalBroker, NodeInfo, Topic,
        envelope::{Envelope, Target},
    },
    codec::FrameKind,
    history::MemoryHistory,
    node::{Incarnation, NodeId},
};
use realtime_testkit::{client::Client, wait::until};
use serde_json::{Value, json};

const CONNECTION: &str = "gateway";
const TABLE: &str = "room.table_3a__7b_floor_7d__2f__7b_number_7d_";

/// A client that notes what goes over its connection, and what it is called in the document.
struct Witness {
    client: Client,
    seen: Vec<Value>,
}

impl Witness {
    async fn says(&mut self, channel: &str, message: &str, frame: Value) {
        self.client.send_text(&frame.to_string()).await.unwrap();
        self.note(channel, message, frame);
    }

    /// The frames that come next, in whatever order: by what tells them apart, and what each is.
    async fn hears<const N: usize>(
        &mut self,
        mut expected: Vec<(Value, &str, &str)>,
    ) -> [Value; N] {
        let mut heard = Vec::new();
        while !expected.is_empty() {
            let frame = self.client.recv_json().await.unwrap();
            let fits = |(part, _, _): &(Value, &str, &str)| {
                let mut fields = part.as_object().unwrap().iter();
                fields.all(|(field, value)| frame[field] == *value)
            };
            let at = expected.iter().position(fits);
            let at = at.unwrap_or_else(|| panic!("{frame} is none of {expected:?}"));
            let (_, channel, message) = expected.remove(at);
            self.note(channel, message, frame.clone());
            heard.push(frame);
        }
        heard.try_into().unwrap()
    }

    fn note(&mut self, channel: &str, message: &str, frame: Value) {
        self.seen
            .push(json!({ "channel": channel, "message": message, "frame": frame }));
    }
}

/// A request with its answer.
macro_rules! asks {
    ($ann:ident, $channel:expr, $name:literal, $answer:literal, $frame:expr) => {{
        let frame = $frame;
        let id = json!({ "id": frame["id"] });
        $ann.says($channel, concat!($name, ".request"), frame).await;
        let [answer] = $ann.hears(vec![(id, $channel, concat!($name, ".", $answer))]).await;
        answer
    }};
}

async fn everything(ann: &mut Witness, gateway: &Gateway, bus: &LocalBroker) {
    asks!(
        ann,
        CONNECTION,
        "open",
        "reply",
        json!({"id": 1, "route": "open"})
    );
    asks!(
        ann,
        CONNECTION,
        "ping",
        "reply",
        json!({"id": "p", "route": "ping"})
    );

    let buy = |id: u8, name: &str, count: u8| json!({"id": id, "route": "shop/buy", "data": {"article": {"name": name}, "count": count}});
    ann.says(CONNECTION, "shop_2f_buy.request", buy(2, "tea", 1))
        .await;
    let [..]: [Value; 3] = ann
        .hears(vec![
            (json!({"route": "offer"}), CONNECTION, "offer.event"),
            (json!({"route": "bell"}), CONNECTION, "bell.event"),
            (json!({"id": 2}), CONNECTION, "shop_2f_buy.reply"),
        ])
        .await;
    for (id, name, code) in [
        (3, "tea", "too_many"),
        (4, "moon", "closed"),
        (5, "secret", "internal"),
    ] {
        let count = if name == "tea" { 4 } else { 1 };
        let error = asks!(
            ann,
            CONNECTION,
            "shop_2f_buy",
            "error",
            buy(id, name, count)
        );
        assert_eq!(error["data"]["code"], code);
    }

    let forget = |id: u8| json!({"id": id, "route": "forget", "data": "all"});
    for (id, kind, answer) in [
        (6, "answer", json!({"data": false})),
        (
            7,
            "refusal",
            json!({"error": {"code": "busy", "message": "later", "temporary": true}}),
        ),
    ] {
        ann.says(CONNECTION, "forget.request", forget(id)).await;
        let [question] = ann
            .hears(vec![(
                json!({"route": "sure"}),
                CONNECTION,
                "sure.question",
            )])
            .await;
        let mut answer = answer;
        answer["reply"] = question["request"].clone();
        ann.says(CONNECTION, &format!("sure.{kind}"), answer).await;
        let ended = if kind == "answer" {
            "forget.reply"
        } else {
            "forget.error"
        };
        let [..]: [Value; 1] = ann
            .hears(vec![(json!({"id": id}), CONNECTION, ended)])
            .await;
    }

    let room = json!({"room": "table:1/2"});
    let with = |id: u8, route: &str, more: Value| {
        let mut data = room.clone();
        data.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        json!({"id": id, "route": route, "data": data})
    };
    ann.says(TABLE, "join.request", with(8, "join", json!({})))
        .await;
    let entered: [Value; 2] = ann
        .hears(vec![
            (json!({"id": 8}), TABLE, "join.reply"),
            (json!({"route": "who"}), TABLE, "who.event"),
        ])
        .await;
    ann.says(
        TABLE,
        "publish.request",
        with(9, "publish", json!({"data": "hello"})),
    )
    .await;
    let [..]: [Value; 2] = ann
        .hears(vec![
            (json!({"id": 9}), TABLE, "publish.reply"),
            (json!({"route": "said"}), TABLE, "said.event"),
        ])
        .await;
    asks!(
        ann,
        TABLE,
        "members",
        "reply",
        with(10, "members", json!({"limit": 10}))
    );
    let back = json!({"epoch": "3f9a0c5d11ab27e4", "offset": 7});
    let lost = asks!(ann, TABLE, "recover", "reply", with(11, "recover", back));
    assert_eq!(lost["data"]["recovered"], false);
    let entered = entered.iter().find(|frame| frame["id"] == 8).unwrap();
    let position = entered["data"]["position"].clone();
    let got = asks!(
        ann,
        TABLE,
        "recover",
        "reply",
        with(14, "recover", position)
    );
    assert_eq!(got["data"]["recovered"], true);
    assert_eq!(got["data"]["missed"][0]["data"], "hello");
    asks!(ann, TABLE, "leave", "reply", with(12, "leave", json!({})));
    let again = with(13, "publish", json!({"data": "hello"}));
    asks!(ann, TABLE, "publish", "error", again);
    let later = json!({"id": 15, "route": "later", "data": 2});
    let answer = asks!(ann, CONNECTION, "later", "reply", later);
    assert_eq!(answer["data"], "2 of them");
    notices(ann, bus).await;
    changes(ann, gateway).await;
}

/// What the application does to a client that stays.
async fn changes(ann: &mut Witness, gateway: &Gateway) {
    let join = json!({"id": 16, "route": "join", "data": {"room": "table:1/2"}});
    ann.says(TABLE, "join.request", join).await;
    // She is back so soon that nobody hears that she was away.
    let [..]: [Value; 1] = ann
        .hears(vec![(json!({"id": 16}), TABLE, "join.reply")])
        .await;
    let left = gateway.everybody().leave("table:1/2").await.unwrap();
    assert_eq!(left.sessions, 1);
    let removed = json!({"route": "removed", "data": {"room": "table:1/2"}});
    let [..]: [Value; 1] = ann
        .hears(vec![(removed, CONNECTION, "removed.notice")])
        .await;

    // It is told half way.
    let soon = SystemTime::now() + Duration::from_secs(2);
    let update = IdentityUpdate::new().with_expires_at(soon);
    gateway.everybody().update_identity(update).await.unwrap();
    let [expiring] = ann
        .hears(vec![(
            json!({"route": "expiring"}),
            CONNECTION,
            "expiring.notice",
        )])
        .await;
    assert!(expiring["data"]["seconds"].as_u64() <= Some(2));
}

/// What the server says of its own accord.
async fn notices(ann: &mut Witness, bus: &LocalBroker) {
    // It has no id that could be read.
    ann.client.send_text("{").await.unwrap();
    let [error] = ann
        .hears(vec![(
            json!({"route": "error"}),
            CONNECTION,
            "error.notice",
        )])
        .await;
    assert_eq!(
        (error.get("id"), &error["data"]["code"]),
        (None, &json!("malformed"))
    );

    // A message for this node that it can't read.
    let body = Bytes::from_static(b"?");
    let unread = Envelope::new(Target::All, "another", FrameKind::Text, body);
    let _routed = bus.publish(&Topic::All, unread.encode()).await.unwrap();
    let [..]: [Value; 1] = ann
        .hears(vec![(json!({"route": "gap"}), CONNECTION, "gap.notice")])
        .await;
}

/// Asks ajv about each of them.
fn conform(name: &str, document: &Value, seen: &[Value]) -> (bool, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/asyncapi");
    assert!(
        folder.join("node_modules/ajv").exists(),
        "ajv is missing: run `just setup`, or `npm ci --ignore-scripts --prefix {}`",
        folder.display()
    );
    let tmp = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let files = [
        tmp.join(format!("{name}.json")),
        tmp.join(format!("{name}-frames.json")),
    ];
    fs::write(&files[0], document.to_string()).unwrap();
    fs::write(&files[1], json!(seen).to_string()).unwrap();
    let mut node = Command::new("node");
    let output = node.arg(folder.join("conform.mjs")).args(&files).output();
    let output = output.expect("node is missing: run `just setup`, or install Node.js 20 or later");
    let wrong = String::from_utf8(output.stderr).unwrap();
    (output.status.success(), wrong)
}

#[tokio::test]
async fn what_goes_over_the_wire_is_what_the_document_says() {
    // Two nodes of one bus, of which the test is one.
    let bus = LocalBroker::default();
    let gateway = realtime::builder().router(shop::router());
    let gateway = gateway.history(MemoryHistory::new()).broker(bus.clone());
    let gateway = gateway.build().unwrap();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let _inbox = bus.subscribe(Join::new(node)).await.unwrap();
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let listener = realtime::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let served = gateway.clone();
    let server = tokio::spawn(async move { realtime::serve(listener, app, served).await });
    until("it is started", async || gateway.health().is_good()).await;
    let client = Client::connect(address).await.unwrap();
    let mut ann = Witness {
        client,
        seen: Vec::new(),
    };
    everything(&mut ann, &gateway, &bus).await;
    server.abort();

    let document = shop::contract().asyncapi().unwrap();
    let (fits, wrong) = conform("frames", &document, &ann.seen);
    assert!(fits, "{wrong}");

    // It looks at each of them: without what must be there none fits.
    let mut without = ann.seen.clone();
    for message in &mut without {
        let frame = message["frame"].as_object_mut().unwrap();
        frame.retain(|field, _| field != "route" && field != "reply");
    }
    let (_, wrong) = conform("without", &document, &without);
    assert_eq!(wrong.lines().count(), ann.seen.len(), "{wrong}");

    // All there is was seen, but for what only comes in need.
    let mut unseen = BTreeSet::new();
    for channel in [CONNECTION, TABLE] {
        let messages = document["channels"][channel]["messages"]
            .as_object()
            .unwrap();
        let was_seen = |name: &str| {
            let mut seen = ann.seen.iter();
            seen.any(|seen| seen["channel"] == channel && seen["message"] == name)
        };
        unseen.extend(messages.keys().filter(|name| !was_seen(name)).cloned());
    }
    unseen.retain(|name| !name.ends_with(".error"));
    assert_eq!(unseen, BTreeSet::new());
}
