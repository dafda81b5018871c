//! The same over every kind of connection, and with another codec.

use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use realtime::{
    Message,
    codec::{Codec, CodecError, CodecErrorKind, Frame, FrameKind, JsonCodec, Notice},
};
use realtime_testkit::client::{Client, Request};
use realtime_websocket::Event;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{PrivateKeyDer, ServerName},
    },
};

use super::{
    Server, builder, code, end, first_message, nobody, router, text_frame, tokens::Tokens,
};

/// One that is let in, with messages behind its token, and one that isn't.
async fn both<S: AsyncRead + AsyncWrite + Unpin>(mut good: Client<S>, mut bad: Client<S>) {
    let sent = [
        text_frame(&first_message("ann")),
        text_frame(&json!({"id": 2, "route": "echo", "data": "behind"}).to_string()),
    ];
    good.send_raw(&sent.concat()).await.unwrap();
    assert_eq!(good.recv_json().await.unwrap()["id"], 1);
    assert_eq!(good.recv_json().await.unwrap()["data"], "behind");
    let large = "x".repeat(300_000);
    let answer = good.request("echo", json!(large)).await.unwrap();
    assert_eq!(answer["data"], json!(large));
    good.close(1000, "done").await.unwrap();
    assert_eq!(good.closed().await, Some((1000, "done".into())));

    bad.send_frame(9, true, b"?").await.unwrap();
    assert_eq!(bad.recv().await.unwrap(), Event::Pong("?".into()));
    bad.send_text(&first_message("wrong")).await.unwrap();
    assert_eq!(bad.closed().await.unwrap().0, 3500);
    bad.eof().await;
}

#[tokio::test]
async fn under_serve() {
    let server = super::start(builder()).await;
    both(nobody(&server).await, nobody(&server).await).await;
    end(server, ()).await;
}

#[tokio::test]
async fn under_axum() {
    let server = Server::under_axum(builder().build().unwrap()).await;
    both(nobody(&server).await, nobody(&server).await).await;
    end(server, ()).await;
}

#[tokio::test]
async fn under_tls() {
    let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
    let certificate = made.cert.der().clone();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let server = ServerConfig::builder().with_no_client_auth();
    let server = server
        .with_single_cert(vec![certificate.clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let gateway = builder().accept_then_close(true).build().unwrap();
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let server = realtime::serve(listener, app, gateway).secure(move |tcp| acceptor.accept(tcp));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let host = tokio::spawn(server.with_graceful_shutdown(stopped).into_future());

    let mut roots = RootCertStore::empty();
    roots.add(certificate).unwrap();
    let config = ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = TlsConnector::from(Arc::new(config));
    let connect = async |path: &str| {
        let name = ServerName::try_from("gateway.test").unwrap();
        let tcp = TcpStream::connect(addr).await.unwrap();
        let tls = connector.connect(name, tcp).await.unwrap();
        Request::new(path).over(tls).await.unwrap()
    };
    both(connect("/ws").await, connect("/ws").await).await;
    let mut refused = connect("/ws?token=expired").await;
    assert_eq!(refused.closed().await.unwrap().0, 3005);
    refused.eof().await;
    drop(stop);
    host.await.unwrap().unwrap();
}

/// Binary frames: a byte for the length of the id, the id, a byte for that of the route, the route,
/// and the data.
#[derive(Debug)]
struct Lengths;

fn cut(bytes: &mut Bytes) -> Option<String> {
    let length = usize::from(*bytes.first()?);
    let text = bytes.get(1..=length)?.to_vec();
    *bytes = bytes.slice(length + 1..);
    String::from_utf8(text).ok()
}

fn read(mut bytes: Bytes) -> Option<Message> {
    let (id, route) = (cut(&mut bytes)?, cut(&mut bytes)?);
    assert!(route != "panics", "on purpose: a codec that panics");
    let data: Value = serde_json::from_slice(&bytes).ok()?;
    let message = json!({"id": id, "route": route, "data": data}).to_string();
    let text = Frame::Text(message.as_str().into());
    JsonCodec.decode(text).ok()
}

impl Codec for Lengths {
    fn name(&self) -> &str {
        "lengths"
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        let mut json = BytesMut::new();
        JsonCodec.encode(message, &mut json)?;
        let json: Value = serde_json::from_slice(&json).unwrap();
        for name in ["id", "route"] {
            let text = json[name].as_str().unwrap_or_default();
            out.put_u8(text.len() as u8);
            out.put_slice(text.as_bytes());
        }
        out.put_slice(json["data"].to_string().as_bytes());
        Ok(FrameKind::Binary)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        let Frame::Binary(bytes) = frame else {
            return Err(CodecError::new(CodecErrorKind::UnsupportedFrame, "text"));
        };
        read(bytes).ok_or_else(|| CodecError::new(CodecErrorKind::Malformed, "no envelope"))
    }

    fn encode_notice(
        &self,
        _: &Notice<'_>,
        _: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        Ok(None)
    }
}

#[tokio::test]
async fn in_a_codec_of_its_own() {
    let gateway = crate::support::builder_of(Lengths)
        .authenticator(Tokens::default())
        .token_in_message(Some(super::PATIENT))
        .router(router())
        .build()
        .unwrap();
    let server = Server::start(gateway).await;
    let mut ann = nobody(&server).await;
    let first = [b"\x017\x0cauthenticate", &br#"{"token":"ann"}"#[..]].concat();
    ann.send_binary(&first).await.unwrap();
    let answer = Event::Binary(b"\x017\x0cauthenticate{}".to_vec().into());
    assert_eq!(ann.recv().await.unwrap(), answer);
    ann.send_binary(b"\x018\x03whonull").await.unwrap();
    let answer = Event::Binary(b"\x018\x03who\"ann\"".to_vec().into());
    assert_eq!(ann.recv().await.unwrap(), answer);

    let mut text = nobody(&server).await;
    text.send_text(&first_message("ann")).await.unwrap();
    assert_eq!(code(&mut text).await, 3502);
    let mut broken = nobody(&server).await;
    broken.send_binary(b"\x017\x06panicsnull").await.unwrap();
    assert_eq!(code(&mut broken).await, 1011);
    end(server, (ann, text, broken)).await;
}
