//! What came from another node in another encoding is transcoded.

use realtime::{
    IdentityKey, broker::LocalBroker, codec::JsonCodec, history::MemoryHistory,
    presence::MemoryPresence, room::RoomName,
};
use realtime_testkit::wait::until;

use super::*;

/// Two nodes whose own codecs differ, and that both speak all three.
async fn two() -> (Server, Server) {
    let (broker, history) = (LocalBroker::new(), MemoryHistory::new());
    let presence = MemoryPresence::new();
    let rest = |builder: Builder| {
        builder
            .authenticator(ByName)
            .dialect(Slang::default())
            .router(router())
            .broker(broker.clone())
            .history(history.clone())
            .presence(presence.clone())
    };
    let here = rest(support::builder_of(JsonCodec).codec(Loud));
    let there = rest(support::builder_of(Loud).codec(JsonCodec));
    let nodes = (start(here).await, start(there).await);
    until("they know each other", async || {
        nodes.0.gateway.health().is_good() && nodes.1.gateway.health().is_good()
    })
    .await;
    nodes
}

async fn members(server: &Server, room: &str) -> [Client; 3] {
    let [mut json, mut loud, mut slang] = [
        speaking(server, "realtime.json", "json").await,
        speaking(server, "loud", "loud").await,
        speaking(server, "slang", "slang").await,
    ];
    json.request("join", json!({"room": room})).await.unwrap();
    loud.send_text(&format!(
        r#"!{{"id":1,"route":"join","data":{{"room":"{room}"}}}}"#
    ))
    .await
    .unwrap();
    hear(&mut loud).await;
    slang.send_text(&format!("1 join {room}")).await.unwrap();
    hear(&mut slang).await;
    [json, loud, slang]
}

async fn all_hear(clients: &mut [Client; 3], data: &str) {
    let [json, loud, slang] = clients;
    assert_eq!(json.recv_json().await.unwrap()["data"], data);
    let loud = hear(loud).await;
    assert!(loud.starts_with('!') && loud.contains(data), "{loud}");
    let slang = hear(slang).await;
    assert!(slang.ends_with(&format!("news {data:?}")), "{slang}");
}

#[tokio::test(flavor = "multi_thread")]
async fn everybody_on_both_nodes_hears_the_same() {
    let (here, there) = two().await;
    for room in ["open:a", "kept:a"] {
        let (mut ours, mut theirs) = (members(&here, room).await, members(&there, room).await);
        for (n, from) in [&here, &there, &here].into_iter().enumerate() {
            let said = format!("{room} {n}");
            let to = from.gateway.room(room.parse::<RoomName>().unwrap());
            to.send("news", Json(&said)).await.unwrap();
            all_hear(&mut ours, &said).await;
            all_hear(&mut theirs, &said).await;
        }
        let sent = here
            .gateway
            .broadcast("news", Json("everybody"))
            .await
            .unwrap();
        assert_eq!(sent.local, 3);
        all_hear(&mut ours, "everybody").await;
        all_hear(&mut theirs, "everybody").await;
        let key = IdentityKey::new("slang").with_tenant("acme");
        there
            .gateway
            .send_to_identity(&key, "news", Json("slang"))
            .await
            .unwrap();
        for slang in [&mut ours[2], &mut theirs[2]] {
            assert_eq!(hear(slang).await, "- news \"slang\"");
        }
        for client in ours.into_iter().chain(theirs) {
            drop(client);
        }
        here.until_open(0).await;
        there.until_open(0).await;
    }
}

/// What was kept by a node of another codec is recovered.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_may_hold_what_nodes_of_different_codecs_have_sent() {
    let (here, there) = two().await;
    let mut json = speaking(&here, "realtime.json", "json").await;
    let joined = json
        .request("join", json!({"room": "kept:b"}))
        .await
        .unwrap();
    let position = joined["data"]["position"].clone();
    json.close(1000, "").await.unwrap();
    json.closed().await;
    for (n, from) in [&here, &there].into_iter().enumerate() {
        let to = from.gateway.room("kept:b".parse::<RoomName>().unwrap());
        to.send("news", Json(n)).await.unwrap();
    }
    let mut json = speaking(&here, "realtime.json", "json").await;
    let mut from = position;
    from["room"] = "kept:b".into();
    let recovered = json.request("recover", from).await.unwrap();
    let missed = recovered["data"]["missed"].as_array().unwrap();
    let said: Vec<&Value> = missed.iter().map(|message| &message["data"]).collect();
    assert_eq!(said, [&json!(0), &json!(1)]);
}

/// A node that doesn't know the codec says so, and its clients are told that something is missing.
#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_here_can_read_is_told_as_a_gap() {
    let broker = LocalBroker::new();
    let here = start(
        builder()
            .broker(broker.clone())
            .history(MemoryHistory::new()),
    )
    .await;
    let there = support::builder_of(Loud)
        .authenticator(ByName)
        .broker(broker);
    let there = start(there.router(Router::new())).await;
    let mut loud = speaking(&there, "loud", "x").await;
    here.gateway.broadcast("news", Json("rain")).await.unwrap();
    until("it is counted", async || {
        there.gateway.stats().invalid_broker_messages == 1
    })
    .await;
    assert_eq!(
        hear(&mut loud).await,
        r#"!{"route":"gap","data":{"missed":1}}"#
    );
}

/// What one dialect fails at is lost for those who speak it, and for nobody else; and it is told.
#[tokio::test(flavor = "multi_thread")]
async fn what_one_dialect_cannot_say_reaches_the_others() {
    let (here, there) = two().await;
    for room in ["open:a", "kept:a"] {
        let mut json = speaking(&there, "realtime.json", "json").await;
        json.request("join", json!({"room": room})).await.unwrap();
        let mut slang = speaking(&there, "slang", "slang").await;
        slang.send_text(&format!("1 join {room}")).await.unwrap();
        let joined = hear(&mut slang).await;
        let epoch = joined.rsplit(' ').next().unwrap().to_owned();
        // There is nobody here who speaks it.
        for said in ["unspeakable", "unwritable"] {
            let to = || here.gateway.room(room.parse::<RoomName>().unwrap());
            to().send("news", Json(said)).await.unwrap();
            to().send("news", Json("next")).await.unwrap();
            assert!(hear(&mut slang).await.ends_with("\"next\""));
            // Who has got it is told of no gap.
            for expected in [said, "next"] {
                assert_eq!(json.recv_json().await.unwrap()["data"], expected);
            }
        }
        if room == "kept:a" {
            // What can't be said any more spoils no answer, either.
            let position = json!({"room": room, "epoch": epoch, "offset": 0});
            let recovered = json.request("recover", position).await.unwrap();
            assert_eq!(recovered["data"]["missed"].as_array().unwrap().len(), 4);
            slang
                .send_text(&format!("2 recover {room} {epoch} 0"))
                .await
                .unwrap();
            let recovered = hear(&mut slang).await;
            assert!(
                recovered.starts_with("2 in at 4") && recovered.ends_with(" lost"),
                "{recovered}"
            );
        }
        drop((json, slang));
        there.until_open(0).await;
    }
    // It is the same where it is said here: nobody keeps a message from others by what they speak.
    let mut slang = speaking(&here, "slang", "slang").await;
    let mut json = speaking(&here, "realtime.json", "json").await;
    for said in ["unspeakable", "unwritable", "next"] {
        here.gateway.broadcast("news", Json(said)).await.unwrap();
        assert_eq!(json.recv_json().await.unwrap()["data"], said);
    }
    assert!(hear(&mut slang).await.ends_with("\"next\""));
}

/// Clients of nodes with different codecs answer what they are asked from any of them.
#[tokio::test(flavor = "multi_thread")]
async fn answers_of_clients_travel_in_the_codec_of_who_asks() {
    let (here, there) = two().await;
    let (mut json, mut loud) = (
        speaking(&there, "realtime.json", "json").await,
        speaking(&there, "loud", "loud").await,
    );
    for asking in [&here, &there] {
        let mut answers = asking
            .gateway
            .everybody()
            .request("ready?", Json(1))
            .unwrap();
        let answered = async {
            let asked = json.recv_json().await.unwrap();
            let reply = json!({"reply": asked["request"], "data": "yes"});
            json.send_text(&reply.to_string()).await.unwrap();
            let asked: Value = serde_json::from_str(&hear(&mut loud).await[1..]).unwrap();
            let reply = json!({"reply": asked["request"], "data": "yes"});
            loud.send_text(&format!("!{reply}")).await.unwrap();
        };
        let heard = async {
            let mut heard = Vec::new();
            while let Some(answer) = answers.next().await {
                heard.push(answer.result.unwrap().decode::<String>().unwrap());
            }
            heard
        };
        let (heard, ()) = tokio::join!(heard, answered);
        assert_eq!(heard, ["yes", "yes"]);
    }
}
