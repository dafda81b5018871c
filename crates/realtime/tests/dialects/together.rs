//! Everybody gets what is sent to many, each in its own words.

use realtime::{IdentityKey, room::RoomName};

use super::*;

/// One of each, each of an identity of its own.
async fn three(server: &Server) -> [Client; 3] {
    [
        speaking(server, "realtime.json", "json").await,
        speaking(server, "loud", "loud").await,
        speaking(server, "slang", "slang").await,
    ]
}

/// All of them hear this next, on a route, and maybe from a room.
async fn all_hear(clients: &mut [Client; 3], data: &str, room: Option<(&str, Option<u64>)>) {
    let mut envelope = json!({"route": "news", "data": data});
    let mut from = "-".to_owned();
    if let Some((room, offset)) = room {
        (envelope["room"], from) = (room.into(), room.to_owned());
        if let Some(offset) = offset {
            envelope["offset"] = offset.into();
            from = format!("{from}#{offset}");
        }
    }
    let [json, loud, slang] = clients;
    assert_eq!(json.recv_json().await.unwrap(), envelope);
    let heard = hear(loud).await;
    let heard: Value = serde_json::from_str(heard.strip_prefix('!').unwrap()).unwrap();
    assert_eq!(heard, envelope);
    assert_eq!(hear(slang).await, format!("{from} news {data:?}"));
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_is_sent_reaches_everybody_it_is_for() {
    let server = start(builder()).await;
    let mut clients = three(&server).await;
    let gateway = &server.gateway;
    let sent = gateway.broadcast("news", Json("rain")).await.unwrap();
    assert_eq!(sent.local, 3);
    all_hear(&mut clients, "rain", None).await;
    let tenant = gateway
        .tenant("acme")
        .send("news", Json("sun"))
        .await
        .unwrap();
    assert_eq!(tenant.local, 3);
    all_hear(&mut clients, "sun", None).await;
    for name in ["json", "loud", "slang"] {
        let key = IdentityKey::new(name).with_tenant("acme");
        gateway
            .send_to_identity(&key, "news", Json("you"))
            .await
            .unwrap();
        let sessions = gateway.local_sessions_of(&key);
        gateway
            .session(sessions[0].id())
            .send("news", Json("and you"))
            .await
            .unwrap();
        sessions[0].send("news", Json("you again")).unwrap();
    }
    for said in ["you", "and you", "you again"] {
        all_hear(&mut clients, said, None).await;
    }
}

/// Everybody joins, in its own way, and hears what one of them publishes.
async fn room(name: &str, has_history: bool) {
    let server = start(builder()).await;
    let mut clients = three(&server).await;
    let [json, loud, slang] = &mut clients;
    let joined = json.request("join", json!({"room": name})).await.unwrap();
    assert_eq!(joined["route"], "join");
    loud.send_text(&format!(
        r#"!{{"id":1,"route":"join","data":{{"room":"{name}"}}}}"#
    ))
    .await
    .unwrap();
    assert!(hear(loud).await.contains("join"));
    slang.send_text(&format!("7 join {name}")).await.unwrap();
    assert!(hear(slang).await.starts_with("7 in at 0"));
    let to = server.gateway.room(name.parse::<RoomName>().unwrap());
    let sent = to.send("news", Json("one")).await.unwrap();
    assert_eq!(sent.local, 3);
    let at = |offset| Some((name, has_history.then_some(offset)));
    all_hear(&mut clients, "one", at(1)).await;
    clients[2]
        .send_text(&format!("8 publish {name} two"))
        .await
        .unwrap();
    assert_eq!(clients[0].recv_json().await.unwrap()["data"], "two");
    assert!(hear(&mut clients[1]).await.contains("two"));
    let own: Vec<String> = [hear(&mut clients[2]).await, hear(&mut clients[2]).await].into();
    assert!(own.contains(&"8 ok ".to_owned()), "{own:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_has_members_of_all_kinds() {
    room("open:a", false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_room_with_a_history_has_them_too() {
    room("kept:a", true).await;
}

/// What was kept while nobody spoke a dialect is told in it to whoever comes back.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_recovered_in_the_words_of_whoever_missed_it() {
    let server = start(builder()).await;
    let mut slang = speaking(&server, "slang", "slang").await;
    slang.send_text("1 join kept:a").await.unwrap();
    let joined = hear(&mut slang).await;
    let epoch = joined.rsplit(' ').next().unwrap().to_owned();
    drop(slang);
    server.until_open(0).await;
    let to = || server.gateway.room("kept:a".parse::<RoomName>().unwrap());
    for said in ["one", "two"] {
        to().send("news", Json(said)).await.unwrap();
    }
    let mut slang = speaking(&server, "slang", "slang").await;
    slang
        .send_text(&format!("2 recover kept:a {epoch} 0"))
        .await
        .unwrap();
    assert_eq!(
        hear(&mut slang).await,
        format!("2 in at 2 {epoch} missed \"one\",\"two\"")
    );
    to().send("news", Json("three")).await.unwrap();
    assert_eq!(hear(&mut slang).await, "kept:a#3 news \"three\"");
}

/// Many come and go in all dialects while somebody broadcasts: whoever was there before a broadcast
/// and is after it has got it, in order.
#[tokio::test(flavor = "multi_thread")]
async fn who_comes_and_goes_meanwhile_loses_nothing() {
    let server = start(builder()).await;
    let mut constant = three(&server).await;
    let gateway = server.gateway.clone();
    let sender = tokio::spawn(async move {
        for n in 0..300 {
            gateway
                .broadcast("news", Json(n.to_string()))
                .await
                .unwrap();
            tokio::task::yield_now().await;
        }
    });
    let coming = async {
        for n in 0..20 {
            let protocol = ["realtime.json", "loud", "slang"][n % 3];
            let request = Request::new("/ws?x").header("Sec-WebSocket-Protocol", protocol);
            drop(request.connect(server.addr).await.unwrap());
        }
    };
    let reading = async {
        for n in 0..300 {
            all_hear(&mut constant, &n.to_string(), None).await;
        }
    };
    tokio::join!(coming, reading);
    sender.await.unwrap();
}
