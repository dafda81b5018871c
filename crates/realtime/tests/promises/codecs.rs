//! A codec that panics ends the session whose message it is, and nothing else.

use bytes::BytesMut;
use realtime::{
    Backpressure, Gateway, Json, Message, Router,
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, Notice, routes},
};
use realtime_testkit::wait::{until, within};
use serde_json::{Value, json};

use crate::{
    host::{ALL, AnyClient, ByName, Host, Kind, key},
    support::Ends,
};

/// Panics when it encodes this route, after it has begun to write.
#[derive(Debug)]
struct PanicsOn(&'static str);

impl Codec for PanicsOn {
    fn name(&self) -> &str {
        JsonCodec.name()
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        if message.route() == self.0 {
            out.extend_from_slice(b"{\"route\":");
            panic!("on purpose: a codec that panics on {}", self.0);
        }
        JsonCodec.encode(message, out)
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        let route = match notice {
            Notice::Gap { .. } => routes::GAP,
            _ => routes::ERROR,
        };
        assert!(
            route != self.0,
            "on purpose: a codec that panics on {route}"
        );
        JsonCodec.encode_notice(notice, out)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let message = JsonCodec.decode(frame)?;
        assert!(
            message.route() != "decode",
            "on purpose: a codec that panics"
        );
        Ok(message)
    }
}

fn router() -> Router {
    Router::new()
        .route("echo", async |Json(data): Json<Value>| Json(data))
        .route("panics", async |Json(data): Json<Value>| Json(data))
        .route("fails", async || Err::<(), _>("on purpose"))
}

/// A session that comes to its end by the codec, and another, under each host.
async fn ends(route: &'static str, brings_about: impl AsyncFn(&Host, &mut AnyClient)) {
    let each = ALL.map(|kind| ends_under(kind, PanicsOn(route), &brings_about));
    futures::future::join_all(each).await;
}

async fn ends_under(
    kind: Kind,
    codec: PanicsOn,
    brings_about: impl AsyncFn(&Host, &mut AnyClient),
) {
    let ends = Ends::default();
    let builder = Gateway::builder(codec)
        .router(router())
        .authenticator(ByName);
    let builder = builder
        .backpressure(Backpressure::DropOldest)
        .queue_messages(4)
        .heartbeat(None);
    let host = Host::start(kind, ends.hear(builder).build().unwrap()).await;
    let (mut bystander, _) = host.connect("bystander").await;
    let (mut victim, _) = host.connect("victim").await;
    host.until_open(2).await;
    brings_about(&host, &mut victim).await;
    let gateway = &host.gateway;
    until(&format!("{kind:?}: on_disconnect runs"), async || {
        ends.len() > 0
    })
    .await;
    host.until_open(1).await;
    assert!(!gateway.is_online(&key("victim")).await.unwrap());
    within("the victim's end", victim.eof()).await;
    for n in 0..300 {
        let delivery = within("a broadcast", gateway.broadcast("after", Json(&n))).await;
        assert_eq!(delivery.unwrap().local, 1);
        loop {
            let message = bystander.recv_json().await.unwrap();
            if message["route"] == "after" {
                assert_eq!(message["data"], n);
                break;
            }
        }
    }
    let answer = bystander.request("echo", json!(1)).await.unwrap();
    assert_eq!(answer["data"], 1);
    let stats = gateway.stats();
    assert_eq!((stats.queued_bytes, stats.assembling_bytes), (0, 0));
    let report = within("the shutdown", gateway.shutdown()).await;
    assert_eq!(
        (report.sessions, report.aborted, report.tasks_left),
        (1, 0, 0)
    );
    assert_eq!(ends.len(), 2, "on_disconnect runs once for each");
}

#[tokio::test]
async fn in_a_reply() {
    ends("panics", async |_, victim| {
        let request = json!({"id": "1", "route": "panics", "data": 1}).to_string();
        victim.send_text(&request).await.unwrap();
    })
    .await;
}

/// What the client learns of a message that failed.
#[tokio::test]
async fn in_an_error() {
    ends("error", async |_, victim| {
        let request = json!({"id": "1", "route": "fails"}).to_string();
        victim.send_text(&request).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn in_a_message_of_the_client() {
    ends("-", async |_, victim| {
        victim.send("decode", Value::Null).await.unwrap();
    })
    .await;
}

/// What the client learns of what it missed, which is made while messages wait. The close frame
/// comes without it.
#[tokio::test]
async fn in_the_notice_of_a_gap() {
    ends("gap", async |host, victim| {
        let session = host.session("victim").await;
        let large = "x".repeat(100_000);
        while host.gateway.stats().dropped == 0 {
            session.send("n", Json(&large)).unwrap();
        }
        // It reads until the notice is due.
        let (code, reason) = within("the victim's end", victim.closed()).await.unwrap();
        assert_eq!(code, 1011, "{reason}");
    })
    .await;
}

/// Whatever has ended the session before.
#[tokio::test]
async fn in_the_notice_of_a_gap_before_a_close_frame() {
    ends("gap", async |host, victim| {
        let session = host.session("victim").await;
        let large = "x".repeat(100_000);
        while host.gateway.stats().dropped == 0 {
            session.send("n", Json(&large)).unwrap();
        }
        session.close(realtime::CloseCode::new(4000).unwrap(), "enough");
        let (code, reason) = within("the victim's end", victim.closed()).await.unwrap();
        assert_eq!((code, &*reason), (4000, "enough"));
    })
    .await;
}
