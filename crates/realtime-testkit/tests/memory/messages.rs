//! Messages, answers and errors.

use realtime::{
    ClientError, Identity, Json, Message, Payload, Router, Session, auth::StaticToken,
    broker::LocalBroker,
};
use realtime_core::codec::Frame;
use realtime_testkit::{
    client::Request,
    memory::{Connect, TestError, connect},
};
use serde_json::{Value, json};

use crate::{ann, bob, builder};

#[tokio::test(start_paused = true)]
async fn a_line_reaches_everybody_who_is_connected() {
    let gateway = builder().build().unwrap();
    let (mut ann, mut bob) = (ann(&gateway).await, bob(&gateway).await);
    ann.send("chat", Json("hello")).await.unwrap();
    for client in [&mut ann, &mut bob] {
        let line = client.receive().await.unwrap();
        assert_eq!(line.route(), "chat");
        assert_eq!(line.decode::<Value>().unwrap(), json!(["ann", "hello"]));
        client.expect_nothing().await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_whose_handler_returns_nothing_is_answered() {
    let router = Router::new()
        .route("unit", async || ())
        .route("none", async || None::<Json<u8>>);
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = connect(&gateway, Identity::new("ann")).await.unwrap();
    for route in ["unit", "none"] {
        let answer = ann.request(route, ()).await.unwrap();
        assert!(answer.data().is_empty());
    }
    ann.send("unit", ()).await.unwrap();
    ann.expect_nothing().await.unwrap();
}

#[tokio::test]
async fn it_works_by_the_real_clock_too() {
    let gateway = builder().build().unwrap();
    let (mut ann, mut bob) = (ann(&gateway).await, bob(&gateway).await);
    ann.send("chat", Json("hello")).await.unwrap();
    assert_eq!(bob.receive().await.unwrap().route(), "chat");
    assert_eq!(ann.request("echo", Json(1)).await.unwrap().route(), "echo");
    gateway.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_works_on_several_threads() {
    let gateway = builder().build().unwrap();
    let (mut ann, mut bob) = (ann(&gateway).await, bob(&gateway).await);
    for n in 0..100 {
        ann.send("chat", Json(n.to_string())).await.unwrap();
        let line: (String, String) = bob.receive().await.unwrap().decode().unwrap();
        assert_eq!(line.1, n.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_an_answer_is_kept_in_order() {
    let router = Router::new().route("busy", async |session: Session| {
        session.send("first", Json(1)).unwrap();
        session.send("second", Json(2)).unwrap();
        session.send("third", Json(3)).unwrap();
        Json("done")
    });
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    let answer = ann.request("busy", ()).await.unwrap();
    assert_eq!(answer.decode::<String>().unwrap(), "done");
    assert_eq!(ann.receive_on("second").await.unwrap().route(), "second");
    assert_eq!(ann.receive().await.unwrap().route(), "first");
    assert_eq!(ann.receive().await.unwrap().route(), "third");
    ann.expect_nothing().await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn an_error_has_its_code_its_text_and_whether_to_try_again() {
    let router = Router::new()
        .route("full", async || {
            Err::<(), _>(ClientError::new("full", "no room is left").temporary())
        })
        .route("number", async |Json(n): Json<u8>| Json(n));
    let gateway = realtime::builder().router(router).build().unwrap();
    let mut ann = ann(&gateway).await;
    let error = ann.request("full", ()).await.unwrap_err();
    let expected = ClientError::new("full", "no room is left").temporary();
    assert_eq!(error.client_error(), Some(&expected));
    assert!(
        format!("{error:?}").contains("no room is left"),
        "{error:?}"
    );
    let error = ann.request("nonsense", ()).await.unwrap_err();
    assert_eq!(error.code(), Some("unknown_route"));
    let error = ann.request("number", Json(-1)).await.unwrap_err();
    assert_eq!(error.code(), Some("bad_data"));
    let frame = Frame::Text("{nonsense".to_owned().into());
    ann.send_frame(frame).await.unwrap();
    let told: Value = ann.receive_on("error").await.unwrap().decode().unwrap();
    assert_eq!(told["code"], "malformed");
    assert!(ann.request("number", Json(1)).await.is_ok(), "it goes on");
}

#[tokio::test(start_paused = true)]
async fn who_somebody_is_is_said_by_the_test_or_by_the_authenticator() {
    let router = Router::new().route("who", async |identity: Identity| {
        Json(identity.id().to_owned())
    });
    let authenticator = StaticToken::new("s3cret", Identity::new("cid")).unwrap();
    let builder = realtime::builder()
        .router(router)
        .authenticator(authenticator);
    let gateway = builder.build().unwrap();
    let error = Connect::new().to(&gateway).await.unwrap_err();
    assert_eq!(error.status(), Some(401));
    assert!(matches!(error, TestError::Refused(_)));
    let request = Request::new("/ws").header("Authorization", "Bearer s3cret");
    let mut cid = Connect::new().request(request).to(&gateway).await.unwrap();
    let mut ann = ann(&gateway).await;
    for (client, expected) in [(&mut cid, "cid"), (&mut ann, "ann")] {
        let who = client.request("who", ()).await.unwrap();
        assert_eq!(who.decode::<String>().unwrap(), expected);
        assert_eq!(client.session(&gateway).unwrap().identity().id(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_whole_application_is_connected_to_through_its_own_routes() {
    let gateway = builder().build().unwrap();
    let accepting = gateway.clone();
    let accept = async move |upgrade: realtime::Upgrade| {
        let cookie = upgrade.request().headers.get("cookie").cloned();
        match cookie {
            Some(_) => Ok(accepting.accept(upgrade, Identity::new("ann"))),
            None => Err(axum::http::StatusCode::UNAUTHORIZED),
        }
    };
    let app = axum::Router::new().route("/chat", axum::routing::any(accept));
    for (path, status) in [("/ws", 404), ("/chat", 401)] {
        let connect = Connect::new().request(Request::new(path));
        let error = connect
            .to_app(app.clone(), realtime::codec::JsonCodec)
            .await;
        assert_eq!(error.unwrap_err().status(), Some(status), "{path}");
    }
    let request = Request::new("/chat").header("Cookie", "session=1");
    let connect = Connect::new().request(request);
    let mut ann = connect
        .to_app(app, realtime::codec::JsonCodec)
        .await
        .unwrap();
    assert_eq!(ann.session(&gateway).unwrap().identity().id(), "ann");
    ann.send("chat", Json("hello")).await.unwrap();
    assert_eq!(ann.receive().await.unwrap().route(), "chat");
}

#[tokio::test(start_paused = true)]
async fn any_codec_will_do() {
    use bytes::{BufMut, BytesMut};
    use realtime::codec::{Codec, CodecError, FrameKind, Notice, routes};

    /// One byte for the length of the id, one for that of the route, and the data.
    #[derive(Debug)]
    struct Bytewise;

    impl Codec for Bytewise {
        fn name(&self) -> &str {
            "bytewise"
        }

        fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
            for text in [message.id().unwrap_or(""), message.route()] {
                out.put_u8(text.len() as u8);
                out.put_slice(text.as_bytes());
            }
            out.put_slice(message.data().as_bytes());
            Ok(FrameKind::Binary)
        }

        fn encode_notice(
            &self,
            notice: &Notice<'_>,
            out: &mut BytesMut,
        ) -> Result<Option<FrameKind>, CodecError> {
            let Notice::Error { id, error } = notice else {
                return Ok(None);
            };
            let data = json!({
                "code": error.code(),
                "message": error.message(),
                "temporary": error.is_temporary(),
            });
            let message = Message::new(routes::ERROR, Payload::from(data.to_string()))?;
            let message = match id {
                Some(id) => message.with_id((*id).clone()),
                None => message,
            };
            self.encode(&message, out).map(Some)
        }

        fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
            let mut bytes = frame.as_bytes();
            let mut text = || {
                let (length, rest) = bytes.split_first().unwrap();
                let (text, rest) = rest.split_at((*length).into());
                bytes = rest;
                String::from_utf8(text.to_vec()).unwrap()
            };
            let (id, route) = (text(), text());
            // What is text may be JSON.
            let data = match String::from_utf8(bytes.to_vec()) {
                Ok(text) => Payload::from(text),
                Err(_) => Payload::binary(bytes.to_vec()),
            };
            let message = Message::new(route, data)?;
            Ok(if id.is_empty() {
                message
            } else {
                message.with_id(id)
            })
        }
    }

    let router = Router::new().route("raw", async |data: Payload| data);
    let gateway = realtime::Gateway::builder(Bytewise).router(router);
    let gateway = gateway.build().unwrap();
    let mut ann = ann(&gateway).await;
    let bytes = Payload::from(vec![0, 255, 1]);
    let answer = ann.request("raw", bytes.clone()).await.unwrap();
    assert_eq!(answer.data(), &bytes);
    let error = ann.request("nonsense", ()).await.unwrap_err();
    assert_eq!(error.code(), Some("unknown_route"));
}

#[tokio::test(start_paused = true)]
async fn two_nodes_are_one_for_their_clients() {
    let broker = LocalBroker::new();
    let here = builder().broker(broker.clone()).build().unwrap();
    let there = builder().broker(broker).build().unwrap();
    here.start().await.unwrap();
    there.start().await.unwrap();
    let mut ann = connect(&here, Identity::new("ann")).await.unwrap();
    let mut bob = connect(&there, Identity::new("bob")).await.unwrap();
    ann.send("chat", Json("hello")).await.unwrap();
    assert_eq!(bob.receive().await.unwrap().route(), "chat");
    here.shutdown().await;
    there.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn hooks_have_run_when_the_client_is_connected() {
    use realtime::State;
    use std::sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    };

    let visits = Arc::new(AtomicUsize::new(0));
    let welcome = async |session: Session, State(visits): State<Arc<AtomicUsize>>| {
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        let visit = visits.fetch_add(1, SeqCst) + 1;
        session.send("welcome", Json(visit))
    };
    let builder = builder()
        .hook_state(Arc::clone(&visits))
        .on_connect(welcome);
    let gateway = builder.build().unwrap();
    for visit in 1..=2 {
        let mut ann = ann(&gateway).await;
        assert_eq!(visits.load(SeqCst), visit);
        let welcome = ann.receive_on("welcome").await.unwrap();
        assert_eq!(welcome.decode::<usize>().unwrap(), visit);
    }
}
