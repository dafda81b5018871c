//! Requests, and what becomes of them.

use std::time::Instant;

use futures::future::join_all;
use realtime::{ClientError, Router, codec::MsgPackCodec};
use realtime_client::{Json, Message, Payload, RequestError};
use realtime_testkit::{
    proxy::{Fault, Proxy},
    wait::within,
};
use serde_json::{Value, json};

use super::{MS, SECOND, quick, scripted::Scripted, server::Server};

#[tokio::test]
async fn many_requests_have_each_its_answer() {
    let server = Server::plain().await;
    let client = quick(server.port()).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let answers = (0..500_u32).map(|n| {
        let client = client.clone();
        async move { client.ask::<u32>("echo", &n).await }
    });
    for (n, answer) in within("the answers", join_all(answers))
        .await
        .into_iter()
        .enumerate()
    {
        assert_eq!(answer.unwrap() as usize, n);
    }
    assert_eq!(
        client.ask::<Option<Value>>("nothing", "").await.unwrap(),
        None
    );
    let wrong = client.ask::<u8>("echo", "text").await.unwrap_err();
    assert!(matches!(wrong, RequestError::Decode(_)), "{wrong:?}");
    let wrong = client
        .request("echo", Payload::from("no JSON"))
        .await
        .unwrap_err();
    assert!(matches!(wrong, RequestError::Encode(_)), "{wrong:?}");
}

#[tokio::test]
async fn a_refusal_is_typed() {
    let server = Scripted::start().await;
    let client = quick(server.port()).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    let asking = client.request("price", Json("tea"));
    let answering = async {
        let asked = peer.message().await;
        assert_eq!(
            (&asked["route"], &asked["data"]),
            (&json!("price"), &json!("tea"))
        );
        let error = json!({"code": "busy", "message": "later", "temporary": true, "retry_after": 0.25, "x": 1,
            "data": {"field": "name", "line": "a\u{1b}b"}});
        peer.send(json!({"id": asked["id"], "route": "error", "data": error}))
            .await;
    };
    let (answer, ()) = tokio::join!(asking, answering);
    let error = answer.unwrap_err();
    let refusal = error.refusal().unwrap();
    assert_eq!((refusal.code(), refusal.message()), ("busy", "later"));
    assert!(refusal.is_temporary());
    assert_eq!(refusal.retry_after(), Some(250 * MS));
    let data: Value = serde_json::from_slice(refusal.payload().as_bytes()).unwrap();
    assert_eq!(data["x"], 1);
    // What the application adds can be read, and isn't shown.
    assert_eq!(refusal.decode_data::<Value>().unwrap()["field"], "name");
    assert_eq!(
        refusal.data().unwrap().as_bytes(),
        data["data"].to_string().as_bytes()
    );
    for shown in [error.to_string(), format!("{error:?}")] {
        assert!(shown.contains("busy") && !shown.contains("name"), "{shown}");
    }
}

#[tokio::test]
async fn what_a_gateway_adds_to_an_error_is_there() {
    let wrong = json!({"field": "name", "longest": 20, "why": "x".repeat(1000)});
    let refused = wrong.clone();
    let route = move || {
        let error = ClientError::new("invalid", "too long");
        let error = error.with_data(realtime::Json(refused.clone()));
        async move { Err::<(), ClientError>(error) }
    };
    let server = Server::start(
        realtime::builder()
            .codec(MsgPackCodec)
            .router(Router::new().route("sign_up", route)),
    );
    let server = server.await;
    for codec in ["realtime.json", "realtime.msgpack"] {
        let client = quick(server.port());
        let client = match codec {
            "realtime.json" => client,
            _ => client.codec(MsgPackCodec),
        };
        let client = client.connect().unwrap();
        let error = client.request("sign_up", ()).await.unwrap_err();
        let refusal = error.refusal().unwrap();
        assert_eq!(refusal.decode_data::<Value>().unwrap(), wrong, "{codec}");
    }
}

#[tokio::test]
async fn a_request_without_an_answer_times_out_or_is_lost() {
    let server = Server::plain().await;
    let proxy = Proxy::start(server.port()).await;
    let client = quick(proxy.port()).connect().unwrap();
    within("a connection", client.online()).await.unwrap();
    let begun = Instant::now();
    let message = Message::new("never", ()).unwrap();
    let error = client.request_message(message, 100 * MS).await.unwrap_err();
    assert!(
        matches!(error, RequestError::TimedOut { sent: true, .. }),
        "{error:?}"
    );
    assert!(begun.elapsed() >= 100 * MS);
    // Its session still waits for the handler: another one answers.
    proxy.reset();
    let mut state = client.state();
    let _ = within("the loss", state.wait_for(|state| !state.is_online()))
        .await
        .unwrap();
    client.request("echo", Json(1)).await.unwrap();
    let (lost, ()) = tokio::join!(client.request("never", ()), async {
        // Behind it on the same connection.
        client.send("echo", Json(1)).await.unwrap();
        proxy.reset();
    });
    let lost = lost.unwrap_err();
    assert!(
        matches!(lost, RequestError::Lost { sent: true, .. }),
        "{lost:?}"
    );
}

#[tokio::test]
async fn what_waits_for_a_connection_is_bounded_and_goes_out_in_order() {
    let server = Server::plain().await;
    let proxy = Proxy::start(server.port()).await;
    proxy.set(Fault::Refuse);
    let client = quick(proxy.port()).queue(3).connect().unwrap();
    let mut waiting = Vec::new();
    for n in 0..3_u8 {
        let mut asked = Box::pin({
            let client = client.clone();
            async move { client.ask::<u8>("echo", &n).await }
        });
        assert!(futures::poll!(&mut asked).is_pending());
        waiting.push(asked);
    }
    let full = within("the refusal", client.request("echo", Json(9)))
        .await
        .unwrap_err();
    assert!(matches!(full, RequestError::Full), "{full:?}");
    // One that is given up makes no work, and makes room.
    drop(waiting.remove(1));
    let mut asked = Box::pin(client.ask::<u8>("echo", &3));
    assert!(futures::poll!(&mut asked).is_pending());
    proxy.set(Fault::None);
    let answers = within("the answers", join_all(waiting)).await;
    let answers: Vec<u8> = answers.into_iter().map(Result::unwrap).collect();
    assert_eq!(answers, [0, 2]);
    assert_eq!(within("the answer", asked).await.unwrap(), 3);
    // What waits too long was not sent.
    proxy.set(Fault::Refuse);
    proxy.reset();
    let mut state = client.state();
    let _ = within("the loss", state.wait_for(|state| !state.is_online()))
        .await
        .unwrap();
    let message = Message::new("echo", Json(1)).unwrap();
    let late = client.request_message(message, 50 * MS).await.unwrap_err();
    assert!(
        matches!(late, RequestError::TimedOut { sent: false, .. }),
        "{late:?}"
    );
}

#[tokio::test]
async fn binary_data_and_metadata_travel() {
    let server = Scripted::start().await;
    let client = quick(server.port()).timeout(SECOND).connect().unwrap();
    let mut peer = server.accept().await;
    peer.send(json!({"route": "welcome"})).await;
    let message = Message::new("image", Payload::binary(vec![0xff, 0])).unwrap();
    let asking = client.request_message(message.with_metadata("lang", "en"), SECOND);
    let answering = async {
        let asked = peer.message().await;
        assert_eq!(
            (&asked["data"], &asked["encoding"]),
            (&json!("/wA="), &json!("base64"))
        );
        assert_eq!(asked["metadata"], json!({"lang": "en"}));
        let answer = json!({"id": asked["id"], "data": "/w==", "encoding": "base64"});
        peer.send(answer).await;
    };
    let (answer, ()) = tokio::join!(asking, answering);
    assert_eq!(answer.unwrap().data().as_bytes(), [0xff]);
}
