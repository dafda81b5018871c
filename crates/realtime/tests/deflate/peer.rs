//! A client that sees frames as they come, and compresses what it is told to.

use std::net::SocketAddr;

use realtime_testkit::wait::within;
use realtime_websocket::{
    Event, Kind, Limits, Role,
    deflate::{Agreed, Compressor, InflatingDecoder, Level, Policy},
    frame,
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
};

const KEY: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

pub(crate) struct Peer<S = TcpStream> {
    pub(crate) stream: S,
    /// The value of the header by which the server has agreed, if it has.
    pub(crate) answer: Option<String>,
    decoder: InflatingDecoder,
    compressor: Compressor,
    read: Vec<u8>,
}

/// What has come.
pub(crate) struct Frame {
    pub(crate) event: Event,
    pub(crate) is_compressed: bool,
    /// As it was on the wire.
    pub(crate) bytes: Vec<u8>,
}

impl Frame {
    pub(crate) fn json(&self) -> Value {
        match &self.event {
            Event::Text(text) => serde_json::from_str(text).unwrap(),
            other => panic!("expected a text message; got {other:?}"),
        }
    }
}

impl Peer {
    pub(crate) async fn connect(server: SocketAddr, query: &str, offer: Option<&str>) -> Self {
        Self::with(server, query, offer, Policy::default()).await
    }

    /// One that refers to its messages before, where it may.
    pub(crate) async fn taking_over(server: SocketAddr) -> Self {
        let policy = Policy::default().with_send_takeover(true);
        Self::with(server, "ann", Some(crate::OFFER), policy).await
    }

    async fn with(server: SocketAddr, query: &str, offer: Option<&str>, policy: Policy) -> Self {
        let mut stream = TcpStream::connect(server).await.unwrap();
        let extensions = offer.map_or_else(String::new, |offer| {
            format!("Sec-WebSocket-Extensions: {offer}\r\n")
        });
        let request = format!(
            "GET /ws?{query} HTTP/1.1\r\nHost: gateway.test\r\nUpgrade: websocket\r\nConnection: \
             Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \
             BwcHBwcHBwcHBwcHBwcHBw==\r\n{extensions}\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the answer", stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        let answer = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            (name == "sec-websocket-extensions").then(|| value.to_owned())
        });
        Self::over(stream, answer, policy)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Peer<S> {
    pub(crate) fn over(stream: S, answer: Option<String>, policy: Policy) -> Self {
        let answered = answer.iter().map(String::as_bytes);
        let agreed: Option<Agreed> = policy.accept(answered).unwrap();
        let limits = Limits::default().with_message(64 << 20);
        let decoder = InflatingDecoder::new(Role::Client, limits, agreed).with_ratio(None);
        let compressor = match agreed.and_then(|agreed| agreed.send) {
            Some(flow) => Compressor::with_flow(flow, Level::Small),
            None => Compressor::new(Level::Small),
        };
        Self {
            stream,
            answer,
            decoder,
            compressor: compressor.with_floor(1),
            read: Vec::new(),
        }
    }

    /// The next frame but pings.
    pub(crate) async fn frame(&mut self) -> Frame {
        within("a frame", async {
            loop {
                let frame = self.next_frame().await;
                let frame = frame.expect("a frame before the end of the connection");
                if !matches!(frame.event, Event::Ping(_)) {
                    break frame;
                }
            }
        })
        .await
    }

    async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(length) = length(&self.read).filter(|length| *length <= self.read.len()) {
                let bytes: Vec<u8> = self.read.drain(..length).collect();
                let event = self.decoder.decode(&mut &bytes[..]).unwrap();
                return Some(Frame {
                    event: event.expect("the server's frames are messages"),
                    is_compressed: bytes[0] & 0x40 != 0,
                    bytes,
                });
            }
            if self.stream.read_buf(&mut self.read).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Answers each ping at once, until the end.
    pub(crate) async fn answer_pings(&mut self) {
        while let Some(frame) = self.next_frame().await {
            if let Event::Ping(data) = frame.event {
                self.raw(&fragment(0x8a, &data)).await;
            }
        }
    }

    /// Reads until the server closes, and returns the code.
    pub(crate) async fn closed(&mut self) -> Option<u16> {
        loop {
            let frame = within("the end", self.next_frame()).await?;
            if let Event::Close(close) = frame.event {
                return close.map(|close| close.code);
            }
        }
    }

    pub(crate) async fn raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Sends a text message as it is.
    pub(crate) async fn send(&mut self, text: &str) {
        let frame = frame::client_frame(true, Kind::Text, text.as_bytes(), KEY);
        self.raw(&frame).await;
    }

    /// A text message in a compressed frame.
    pub(crate) fn compressed(&mut self, text: &str) -> Vec<u8> {
        let frame = self
            .compressor
            .client_frame(Kind::Text, text.as_bytes(), KEY);
        assert_eq!(frame[0], 0xc1, "it shrinks");
        frame.to_vec()
    }

    pub(crate) async fn send_compressed(&mut self, text: &str) -> usize {
        let frame = self.compressed(text);
        self.raw(&frame).await;
        frame.len()
    }

    /// Sends a request as it is, and returns the next frame.
    pub(crate) async fn ask(&mut self, route: &str, data: Value) -> Frame {
        self.send(&request(route, data)).await;
        self.frame().await
    }
}

pub(crate) fn request(route: &str, data: Value) -> String {
    json!({ "id": "1", "route": route, "data": data }).to_string()
}

/// A frame of these bytes, as a client sends it.
pub(crate) fn fragment(first: u8, payload: &[u8]) -> Vec<u8> {
    let fin = first & 0x80 != 0;
    frame::fragment(first & 0x7f, fin, payload, Some(KEY)).to_vec()
}

/// How long a server's frame is, where that is known.
fn length(bytes: &[u8]) -> Option<usize> {
    let (header, length) = match *bytes.get(1)? {
        126 => (
            4,
            u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?) as usize,
        ),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        short => (2, short.into()),
    };
    Some(header + length)
}
