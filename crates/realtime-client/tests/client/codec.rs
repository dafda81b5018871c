//! Another codec than JSON, whose name is the subprotocol.

use bytes::{Bytes, BytesMut};
use futures::StreamExt;
use realtime::{
    Gateway, Json, Message,
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, MsgPackCodec, Notice},
    history::Retention,
    message::PayloadKind,
    room::RoomRule,
};
use realtime_client::RoomEvent;
use realtime_testkit::{proxy::Proxy, wait::within};
use serde_json::json;

use super::{
    SECOND, quick,
    server::{Server, router},
};

/// JSON in binary frames.
#[derive(Debug, Clone, Copy)]
struct InBinary;

impl Codec for InBinary {
    fn name(&self) -> &str {
        "test.binary"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        JsonCodec.encode(message, out).map(|_| FrameKind::Binary)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        match frame {
            Frame::Binary(bytes) => JsonCodec.decode(Frame::Text(bytes.try_into().unwrap())),
            Frame::Text(_) => panic!("on purpose: a codec that panics"),
        }
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let kind = JsonCodec.encode_notice(notice, out)?;
        Ok(kind.map(|_| FrameKind::Binary))
    }
}

#[tokio::test]
async fn another_codec_does_all_of_it() {
    let kept = RoomRule::open().history(Retention::new(10, 60 * SECOND).unwrap());
    let server = Gateway::builder(InBinary).router(router().room("{name}", kept.publish("said")));
    let server = Server::start(server).await;
    let proxy = Proxy::start(server.port()).await;
    let client = quick(proxy.port()).codec(InBinary).connect().unwrap();
    assert_eq!(
        within("an answer", client.ask::<u8>("echo", &7))
            .await
            .unwrap(),
        7
    );
    let mut room = client.room("a").join().await.unwrap();
    proxy.reset();
    let mut state = client.state();
    let _ = within("the loss", state.wait_for(|state| !state.is_online()))
        .await
        .unwrap();
    server
        .gateway
        .room("a")
        .send("said", Json(1))
        .await
        .unwrap();
    room.publish(Json(2)).await.unwrap();
    let mut said = Vec::new();
    while said.len() < 2 {
        match within("an event", room.next()).await.unwrap() {
            RoomEvent::Message(message) => said.push(message.decode::<u8>().unwrap()),
            event => assert!(matches!(event, RoomEvent::Recovered { .. }), "{event:?}"),
        }
    }
    assert_eq!(said, [1, 2]);
}

#[tokio::test]
async fn bytes_are_bytes_in_messagepack_also_those_that_were_missed() {
    let kept = RoomRule::open().history(Retention::new(10, 60 * SECOND).unwrap());
    let image = async |image: Bytes| image;
    let router = router()
        .route("image", image)
        .room("{name}", kept.publish("said"));
    let server = Gateway::builder(JsonCodec)
        .codec(MsgPackCodec)
        .router(router);
    let server = Server::start(server).await;
    let client = || quick(server.port()).codec(MsgPackCodec).connect().unwrap();
    let (ann, bob) = (client(), client());
    let bytes = || Bytes::from_static(&[0xff, 0, 1]);
    let answer = within("an answer", ann.request("image", bytes()))
        .await
        .unwrap();
    assert_eq!(answer.data().kind(), PayloadKind::Binary);

    let room = ann.room("a").join().await.unwrap();
    let position = room.position().cloned();
    ann.close().await;
    bob.room("a")
        .join()
        .await
        .unwrap()
        .publish(bytes())
        .await
        .unwrap();
    server
        .gateway
        .room("a")
        .send("said", Json(json!({"data": "/w=="})))
        .await
        .unwrap();
    let mut room = client().room("a").from(position).join().await.unwrap();
    let mut next = async || match within("an event", room.next()).await.unwrap() {
        RoomEvent::Message(message) => message,
        event => panic!("{event:?}"),
    };
    let missed = next().await;
    assert_eq!(
        (missed.data().kind(), missed.data().as_bytes()),
        (PayloadKind::Binary, &bytes()[..])
    );
    let missed: serde_json::Value = next().await.decode().unwrap();
    assert_eq!(missed, json!({"data": "/w=="}));
}

#[tokio::test]
async fn a_server_of_another_codec_is_none() {
    let server = Server::plain().await;
    let client = quick(server.port())
        .codec(InBinary)
        .max_attempts(1)
        .connect()
        .unwrap();
    let end = within("the end", client.ended()).await;
    assert_eq!(end.reason, "it doesn't speak this codec");
}
