//! Clients of JSON and of MessagePack beside each other: the same messages, and bytes as bytes.

use bytes::Bytes;
use realtime::{
    Payload,
    broker::LocalBroker,
    codec::{JsonCodec, MsgPackCodec},
    error::RequestErrorKind,
    history::MemoryHistory,
    room::RoomName,
};
use realtime_testkit::wait::until;
use rmpv::Value as Packed;

use super::*;

/// A map of MessagePack.
macro_rules! map {
    ($($name:expr => $value:expr),* $(,)?) => {
        Packed::Map(vec![$((Packed::from($name), Packed::from($value))),*])
    };
}

/// One who speaks MessagePack, read by a parser of another make.
struct Packer(Client);

impl Packer {
    async fn connect(server: &Server, name: &str) -> Self {
        let request = Request::new(format!("/ws?{name}"));
        let request = request.header("Sec-WebSocket-Protocol", "realtime.msgpack");
        let client = request.connect(server.addr).await.unwrap();
        let chosen = client.answer.header("sec-websocket-protocol");
        assert_eq!(chosen, Some("realtime.msgpack"));
        let mut packer = Self(client);
        let who = packer.request("who", Packed::Nil).await;
        assert_eq!(who["data"], name.into());
        packer
    }

    async fn send(&mut self, message: &Packed) {
        let mut out = Vec::new();
        rmpv::encode::write_value(&mut out, message).unwrap();
        self.0.send_binary(&out).await.unwrap();
    }

    async fn hear(&mut self) -> Packed {
        match self.0.recv().await.unwrap() {
            realtime_websocket::Event::Binary(frame) => {
                rmpv::decode::read_value(&mut &frame[..]).unwrap()
            }
            other => panic!("{other:?}"),
        }
    }

    async fn request(&mut self, route: &str, data: Packed) -> Packed {
        self.send(&map! { "id" => 7, "route" => route, "data" => data })
            .await;
        let answer = self.hear().await;
        assert_eq!(answer["id"], 7.into(), "{answer}");
        answer
    }
}

fn bytes() -> Packed {
    Packed::Binary(b"\xff\x00\"".to_vec())
}

const BASE64: &str = "/wAi";

fn own(builder: Builder) -> Builder {
    let router = router().route("bytes", async |bytes: Bytes| bytes);
    builder.authenticator(ByName).router(router)
}

async fn one() -> Server {
    start(own(crate::support::builder().codec(MsgPackCodec))).await
}

/// Two nodes that speak both, each with another codec of its own.
async fn two(backends: impl Fn(Builder) -> Builder) -> [Server; 2] {
    let here = own(crate::support::builder().codec(MsgPackCodec));
    let there = own(crate::support::builder_of(MsgPackCodec).codec(JsonCodec));
    let servers = [start(backends(here)).await, start(backends(there)).await];
    until("they know each other", async || {
        let good = |server: &Server| server.gateway.health().is_good();
        servers.iter().all(good)
    })
    .await;
    servers
}

async fn two_here() -> [Server; 2] {
    let (broker, history) = (LocalBroker::new(), MemoryHistory::new());
    two(move |builder| builder.broker(broker.clone()).history(history.clone())).await
}

/// One of each at a node.
struct Pair {
    json: Client,
    packed: Packer,
}

impl Pair {
    async fn join(server: &Server, room: &str) -> Self {
        let mut json = speaking(server, "realtime.json", "json").await;
        json.request("join", json!({ "room": room })).await.unwrap();
        let mut packed = Packer::connect(server, "packed").await;
        let joined = packed.request("join", map! { "room" => room }).await;
        assert_eq!(joined["route"], "join".into());
        Self { json, packed }
    }

    /// Both hear this next, each in its own form.
    async fn hear(&mut self, room: &str, offset: Option<u64>, json: Value, packed: &Packed) {
        let mut expected = json;
        expected["route"] = "news".into();
        expected["room"] = room.into();
        if let Some(offset) = offset {
            expected["offset"] = offset.into();
        }
        assert_eq!(self.json.recv_json().await.unwrap(), expected);
        let heard = self.packed.hear().await;
        assert_eq!(heard["data"], *packed, "{heard}");
        assert_eq!(
            (&heard["route"], &heard["room"]),
            (&"news".into(), &room.into())
        );
        let number = offset.map_or(Packed::Nil, Packed::from);
        assert_eq!(heard["offset"], number);
    }
}

fn document() -> (Value, Packed) {
    let json = json!({"a": [1, -1, 1.5, null, u64::MAX], "ä": "\u{1f600}"});
    let list = [
        1.into(),
        (-1).into(),
        1.5.into(),
        Packed::Nil,
        u64::MAX.into(),
    ];
    (
        json,
        map! { "a" => Packed::Array(list.into()), "ä" => "\u{1f600}" },
    )
}

async fn everybody_hears_the_same(servers: &[Server; 2], room: &str, is_kept: bool) {
    let mut pairs = [
        Pair::join(&servers[0], room).await,
        Pair::join(&servers[1], room).await,
    ];
    let (json, packed) = document();
    let binary = json!({"data": BASE64, "encoding": "base64"});
    let mut offset = 0;
    let mut next = || {
        offset += 1;
        is_kept.then_some(offset)
    };
    for from in servers {
        let to = || from.gateway.room(room.parse::<RoomName>().unwrap());
        to().send("news", Json(&json)).await.unwrap();
        let at = next();
        for pair in &mut pairs {
            pair.hear(room, at, json!({ "data": &json }), &packed).await;
        }
        let data = Payload::binary(&b"\xff\x00\""[..]);
        to().send("news", data).await.unwrap();
        let at = next();
        for pair in &mut pairs {
            pair.hear(room, at, binary.clone(), &bytes()).await;
        }
    }
    // What they publish themselves; without an id nothing is answered.
    for from in 0..2 {
        let publication = map! { "room" => room, "data" => bytes() };
        let message = map! { "route" => "publish", "data" => publication };
        pairs[from].packed.send(&message).await;
        let at = next();
        for pair in &mut pairs {
            pair.hear(room, at, binary.clone(), &bytes()).await;
        }
        let mut publication = binary.clone();
        publication["room"] = room.into();
        pairs[from].json.send("publish", publication).await.unwrap();
        let at = next();
        for pair in &mut pairs {
            pair.hear(room, at, binary.clone(), &bytes()).await;
        }
        let publication = map! { "room" => room, "data" => packed.clone() };
        let message = map! { "route" => "publish", "data" => publication };
        pairs[from].packed.send(&message).await;
        let at = next();
        for pair in &mut pairs {
            pair.hear(room, at, json!({ "data": &json }), &packed).await;
        }
    }
}

/// What both have sent while nobody was there comes to both.
async fn both_recover_the_same(servers: &[Server; 2], room: &str) {
    for (n, server) in servers.iter().enumerate() {
        let room = format!("{room}{n}");
        let mut packed = Packer::connect(server, "packed").await;
        let joined = packed
            .request("join", map! { "room" => room.as_str() })
            .await;
        let epoch = joined["data"]["position"]["epoch"]
            .as_str()
            .unwrap()
            .to_owned();
        drop(packed);
        let data = Payload::binary(&b"\xff\x00\""[..]);
        for from in servers {
            let to = || from.gateway.room(room.parse::<RoomName>().unwrap());
            to().send("news", Json("text")).await.unwrap();
            to().send("news", &data).await.unwrap();
        }
        let mut packed = Packer::connect(server, "packed").await;
        let from = map! { "room" => room.as_str(), "epoch" => epoch.as_str(), "offset" => 0 };
        let recovered = packed.request("recover", from).await;
        assert_eq!(recovered["data"]["recovered"], true.into(), "{recovered}");
        assert_eq!(recovered["data"]["position"]["offset"], 4.into());
        let missed = recovered["data"]["missed"].as_array().unwrap();
        for (n, message) in missed.iter().enumerate() {
            assert_eq!(
                (&message["offset"], &message["route"]),
                (&(n + 1).into(), &"news".into())
            );
        }
        let data: Vec<_> = missed
            .iter()
            .map(|message| message["data"].clone())
            .collect();
        assert_eq!(data, ["text".into(), bytes(), "text".into(), bytes()]);
        let mut json = speaking(server, "realtime.json", "json").await;
        let from = json!({"room": room, "epoch": epoch, "offset": 0});
        let recovered = json.request("recover", from).await.unwrap();
        let missed = recovered["data"]["missed"].as_array().unwrap();
        let data: Vec<_> = missed.iter().map(|message| &message["data"]).collect();
        assert_eq!(data, ["text", BASE64, "text", BASE64]);
        assert_eq!(missed[3]["encoding"], "base64");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_in_a_room_on_two_nodes_hears_the_same() {
    let servers = two_here().await;
    everybody_hears_the_same(&servers, "open:a", false).await;
    everybody_hears_the_same(&servers, "kept:a", true).await;
    both_recover_the_same(&servers, "kept:b").await;
}

#[cfg(all(feature = "broker-redis", feature = "history-redis"))]
#[tokio::test(flavor = "multi_thread")]
async fn so_it_is_over_redis() {
    use realtime::connect;

    let redis = realtime_testkit::servers::Redis::start().await.unwrap();
    let url = redis.url();
    let servers = two(move |builder| {
        let builder = builder.broker(connect::broker(&url).unwrap());
        builder.history(connect::history(&url).unwrap())
    })
    .await;
    everybody_hears_the_same(&servers, "kept:a", true).await;
    both_recover_the_same(&servers, "kept:b").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_are_answered_in_their_own_form() {
    let server = one().await;
    let mut ann = Packer::connect(&server, "ann").await;
    let (_, document) = document();
    assert_eq!(
        ann.request("echo", document.clone()).await["data"],
        document
    );
    assert_eq!(ann.request("bytes", bytes()).await["data"], bytes());
    // Bytes are no JSON, and JSON is no bytes.
    for (route, data) in [("echo", bytes()), ("bytes", BASE64.into())] {
        let answer = ann.request(route, data).await;
        assert_eq!(answer["data"]["code"], "bad_data".into(), "{answer}");
    }
    let answer = ann.request("nowhere", Packed::Nil).await;
    assert_eq!(
        (&answer["route"], &answer["data"]["code"]),
        (&"error".into(), &"unknown_route".into())
    );
    for id in [
        u64::MAX.into(),
        (-1).into(),
        "seven".into(),
        i64::MIN.into(),
    ] {
        let id: Packed = id;
        ann.send(&map! { "id" => id.clone(), "route" => "echo" })
            .await;
        assert_eq!(ann.hear().await["id"], id);
    }
    let answer = ann.request("echo", Packed::Ext(-1, vec![0; 4])).await;
    assert_eq!(answer["data"]["code"], "malformed".into());
    let told = answer["data"]["message"].as_str().unwrap();
    assert!(told.contains("an extension type"), "{told}");
    ann.0.send_text("{}").await.unwrap();
    assert_eq!(ann.0.closed().await.unwrap().0, 1003);
    // As one is closed who sends binary frames in JSON.
    let mut bob = speaking(&server, "realtime.json", "bob").await;
    bob.send_binary(b"\x80").await.unwrap();
    assert_eq!(bob.closed().await.unwrap().0, 1003);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_server_asks_and_is_answered() {
    let server = one().await;
    let mut ann = Packer::connect(&server, "ann").await;
    let session = server.gateway.local_sessions().remove(0);
    let ask = || {
        let (session, data) = (session.clone(), Payload::binary(&b"\xff\x00\""[..]));
        tokio::spawn(async move { session.request("ask", data, Duration::from_secs(10)).await })
    };
    let asked = ask();
    let question = ann.hear().await;
    assert_eq!(
        (&question["route"], &question["data"]),
        (&"ask".into(), &bytes())
    );
    let reply = map! { "reply" => question["request"].clone(), "data" => bytes() };
    ann.send(&reply).await;
    let answer = asked.await.unwrap().unwrap();
    assert_eq!(answer.data(), &Payload::binary(&b"\xff\x00\""[..]));
    let asked = ask();
    let question = ann.hear().await;
    let error = map! { "code" => "busy", "message" => "later" };
    let refusal = map! { "reply" => question["request"].clone(), "error" => error };
    ann.send(&refusal).await;
    let error = asked.await.unwrap().unwrap_err();
    assert_eq!(error.kind(), RequestErrorKind::Refused);
}

/// What is too deep for the one is lost to the one, who is told so. What was kept before can't be
/// recovered by the one, who goes on from there.
#[tokio::test(flavor = "multi_thread")]
async fn data_that_has_no_form_in_one_of_them_keeps_nobody_from_the_room() {
    let server = one().await;
    let room = || server.gateway.room("kept:a".parse::<RoomName>().unwrap());
    let deep = || Payload::from(format!("{}{}", "[".repeat(200), "]".repeat(200)));
    room().send("news", deep()).await.unwrap();
    room().send("news", Json("flat")).await.unwrap();
    let mut pair = Pair::join(&server, "kept:a").await;
    let joined = pair
        .packed
        .request("join", map! { "room" => "kept:a" })
        .await;
    let epoch = joined["data"]["position"]["epoch"].clone();
    for (offset, is_recovered) in [(0, false), (1, true)] {
        let from = map! { "room" => "kept:a", "epoch" => epoch.clone(), "offset" => offset };
        let recovered = pair.packed.request("recover", from).await;
        let data = &recovered["data"];
        assert_eq!(data["recovered"], is_recovered.into(), "{recovered}");
        assert_eq!(data["position"]["offset"], 2.into());
    }
    room().send("news", deep()).await.unwrap();
    // It is too deep for the parser of this client, too.
    assert!(hear(&mut pair.json).await.contains("\"offset\":3"));
    assert_eq!(pair.packed.hear().await["route"], "gap".into());
    room().send("news", Json("flat")).await.unwrap();
    let json = json!({"data": "flat"});
    pair.hear("kept:a", Some(4), json, &"flat".into()).await;
}

/// A client over memory is given the codec, and offers it.
#[tokio::test(start_paused = true)]
async fn a_client_over_memory_speaks_it_too() {
    use realtime_testkit::memory::Connect;

    let gateway = own(crate::support::builder().codec(MsgPackCodec))
        .build()
        .unwrap();
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let connect = |offered: Option<&str>| {
        let request = Request::new("/ws?ann");
        let request = match offered {
            Some(offered) => request.header("Sec-WebSocket-Protocol", offered),
            None => request,
        };
        Connect::new()
            .request(request)
            .to_app(app.clone(), MsgPackCodec)
    };
    for offered in [
        None,
        Some("realtime.json"),
        Some("realtime.msgpack, token.x"),
    ] {
        let mut ann = connect(offered).await.unwrap();
        let data = Payload::binary(&b"\xff\x00"[..]);
        let answer = ann.request("bytes", data.clone()).await.unwrap();
        assert_eq!(answer.data(), &data, "{offered:?}");
        let error = ann.request("nowhere", ()).await.unwrap_err();
        assert_eq!(error.code(), Some("unknown_route"));
        gateway.broadcast("news", Json([1])).await.unwrap();
        assert_eq!(
            ann.receive().await.unwrap().decode::<Vec<u8>>().unwrap(),
            [1]
        );
    }
}
