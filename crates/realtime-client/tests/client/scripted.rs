//! A server that says what the test wants, to clients one after the other.

use std::collections::VecDeque;

use realtime_testkit::wait::within;
use realtime_websocket::{Decoder, Event, Kind, Limits, Role, frame, handshake};
use serde_json::Value;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

pub(super) struct Scripted(TcpListener);

/// One connection.
pub(super) struct Peer {
    stream: TcpStream,
    /// The head of the request.
    pub(super) head: String,
    decoder: Decoder,
    events: VecDeque<Event>,
}

impl Scripted {
    pub(super) async fn start() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(super) fn port(&self) -> u16 {
        self.0.local_addr().unwrap().port()
    }

    /// The next connection, with nothing answered.
    pub(super) async fn next(&self) -> Peer {
        let (mut stream, _) = within("a connection", self.0.accept()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(within("the request", stream.read_u8()).await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        let decoder = Decoder::new(Role::Server, Limits::default());
        Peer {
            stream,
            head,
            decoder,
            events: VecDeque::new(),
        }
    }

    /// The next one, upgraded.
    pub(super) async fn accept(&self) -> Peer {
        let mut peer = self.next().await;
        peer.upgrade("").await;
        peer
    }
}

impl Peer {
    /// Answers the request, with these headers beside the others.
    pub(super) async fn upgrade(&mut self, headers: &str) {
        let key = self.header("sec-websocket-key").unwrap();
        let accept = handshake::accept_key(key.as_bytes());
        self.raw(format!(
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\
             Sec-WebSocket-Accept: {accept}\r\nSec-WebSocket-Protocol: realtime.json\r\n{headers}\r\n"
        ))
        .await;
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines();
        let mut headers = lines.filter_map(|line| line.split_once(": "));
        headers
            .find(|(key, _)| *key == name)
            .map(|(_, value)| value)
    }

    pub(super) async fn raw(&mut self, text: String) {
        self.bytes(text.as_bytes()).await;
    }

    pub(super) async fn bytes(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).await.unwrap();
    }

    /// Some bytes, as they come.
    #[cfg(feature = "deflate")]
    pub(super) async fn read(&mut self) -> Vec<u8> {
        let mut buffer = vec![0; 4096];
        let read = within("something", self.stream.read(&mut buffer))
            .await
            .unwrap();
        buffer.truncate(read);
        buffer
    }

    /// Takes up to so many bytes, whatever they are.
    pub(super) async fn read_some(&mut self, most: usize) {
        let mut buffer = vec![0; most];
        within("something", self.stream.read(&mut buffer))
            .await
            .unwrap();
    }

    pub(super) async fn refuse(mut self, status: u16, header: &str) {
        self.raw(format!(
            "HTTP/1.1 {status} No\r\n{header}Content-Length: 0\r\n\r\n"
        ))
        .await;
    }

    pub(super) async fn send(&mut self, message: Value) {
        let frame = frame::server_frame(Kind::Text, message.to_string().as_bytes());
        self.stream.write_all(&frame).await.unwrap();
    }

    pub(super) async fn close(mut self, code: u16, reason: &str) {
        self.stream
            .write_all(&frame::close(code, reason))
            .await
            .unwrap();
        while self.event().await.is_some() {}
    }

    /// The next message. Pings are answered.
    pub(super) async fn message(&mut self) -> Value {
        loop {
            match self.event().await.expect("a message") {
                Event::Text(text) => return serde_json::from_str(&text).unwrap(),
                Event::Ping(payload) => {
                    self.stream.write_all(&frame::pong(&payload)).await.unwrap();
                }
                other => panic!("expected a message; got {other:?}"),
            }
        }
    }

    /// The next thing that comes, and `None` at the end.
    pub(super) async fn event(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.events.pop_front() {
                return Some(event);
            }
            let mut buffer = vec![0; 4096];
            match within("something from the client", self.stream.read(&mut buffer)).await {
                Ok(0) | Err(_) => return None,
                Ok(read) => {
                    let mut bytes = &buffer[..read];
                    while let Some(event) = self.decoder.decode(&mut bytes).unwrap() {
                        self.events.push_back(event);
                    }
                }
            }
        }
    }
}
