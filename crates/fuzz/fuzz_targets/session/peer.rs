//! The client: writes what it is told to, reads when it is told to, and holds the gateway to the
//! protocol.

use std::{
    collections::BTreeMap,
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll},
};

use realtime_websocket::{CloseFrame, Decoder, Event, Limits, Role, frame};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

use crate::script::masked;

/// More than this is not kept for a gateway that doesn't read.
const UNSENT: usize = 1 << 18;

const REQUEST: &[u8] = b"GET /ws HTTP/1.1\r\nhost: app.test\r\nconnection: Upgrade\r\n\
    upgrade: websocket\r\nsec-websocket-version: 13\r\n\
    sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

#[derive(Debug)]
pub struct Peer {
    /// `None` once it has gone.
    io: Option<DuplexStream>,
    unsent: Vec<u8>,
    /// The response, while it isn't whole.
    head: Option<Vec<u8>>,
    decoder: Decoder,
    answers_pings: bool,
    /// How many bytes have gone either way.
    pub moved: usize,
    pub saw: Saw,
}

/// What came from the gateway.
#[derive(Debug, Default)]
pub struct Saw {
    pub close: Option<Option<CloseFrame>>,
    pub end: bool,
    /// Numbers of messages, by route.
    pub numbers: BTreeMap<String, Vec<u64>>,
    /// What the gaps that it was told of add up to.
    pub missed: u64,
    /// The ids of answers.
    pub ids: Vec<String>,
}

impl Peer {
    pub fn new(io: DuplexStream, answers_pings: bool) -> Self {
        Self {
            io: Some(io),
            unsent: REQUEST.to_vec(),
            head: Some(Vec::new()),
            decoder: Decoder::new(Role::Client, Limits::default()),
            answers_pings,
            moved: 0,
            saw: Saw::default(),
        }
    }

    pub fn send(&mut self, bytes: &[u8]) {
        if self.unsent.len() + bytes.len() <= UNSENT {
            self.unsent.extend_from_slice(bytes);
        }
    }

    /// Writes as much as the wire takes at once.
    pub async fn write(&mut self) {
        poll_fn(|cx| {
            self.poll_write(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_write(&mut self, cx: &mut Context<'_>) {
        let Some(io) = &mut self.io else { return };
        while !self.unsent.is_empty() {
            match Pin::new(&mut *io).poll_write(cx, &self.unsent) {
                Poll::Ready(Ok(taken)) => {
                    self.moved += taken;
                    drop(self.unsent.drain(..taken));
                }
                // The gateway has closed: nobody wants the rest.
                Poll::Ready(Err(_)) => self.unsent.clear(),
                Poll::Pending => return,
            }
        }
    }

    /// Reads all that is there.
    pub async fn read(&mut self) {
        poll_fn(|cx| {
            self.poll_read(cx);
            Poll::Ready(())
        })
        .await;
    }

    fn poll_read(&mut self, cx: &mut Context<'_>) {
        let mut space = [0; 4096];
        while let (Some(io), false) = (&mut self.io, self.saw.end) {
            let mut buffer = ReadBuf::new(&mut space);
            match Pin::new(io).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if buffer.filled().is_empty() => {
                    self.saw.end = true;
                    // Unless it was cut off, which is for the caller to judge.
                    let cut = self.decoder.is_assembling();
                    assert!(!(cut && self.saw.close.is_some()), "a frame is cut off");
                }
                Poll::Ready(Ok(())) => {
                    self.moved += buffer.filled().len();
                    self.take(buffer.filled());
                }
                Poll::Ready(Err(error)) => panic!("{error}"),
                Poll::Pending => return,
            }
        }
    }

    fn take(&mut self, came: &[u8]) {
        let rest;
        let mut bytes = came;
        if let Some(head) = &mut self.head {
            head.extend_from_slice(came);
            let Some(end) = head.windows(4).position(|four| four == b"\r\n\r\n") else {
                return;
            };
            assert!(
                head.starts_with(b"HTTP/1.1 101 "),
                "{}",
                head.escape_ascii()
            );
            rest = head.split_off(end + 4);
            (self.head, bytes) = (None, &rest);
        }
        loop {
            assert!(
                self.saw.close.is_none() || bytes.is_empty(),
                "something follows the close frame: {}",
                bytes.escape_ascii()
            );
            match self.decoder.decode(&mut bytes) {
                Ok(Some(event)) => self.event(event),
                Ok(None) => break,
                Err(violation) => panic!("the gateway broke the protocol: {violation}"),
            }
        }
    }

    fn event(&mut self, event: Event) {
        match event {
            Event::Text(text) => self.message(&text),
            Event::Binary(_) => panic!("the JSON codec sends text"),
            Event::Ping(payload) if self.answers_pings => {
                self.send(&masked(frame::Opcode::Pong, &payload));
            }
            Event::Ping(_) | Event::Pong(_) => {}
            Event::Close(close) => self.saw.close = Some(close),
        }
    }

    fn message(&mut self, text: &str) {
        let message: serde_json::Value = serde_json::from_str(text).expect("an envelope");
        let field = |name: &str| message.get(name).and_then(|value| value.as_str());
        if let Some(id) = field("id") {
            self.saw.ids.push(id.to_owned());
            return;
        }
        let number = |name| message["data"][name].as_u64().expect("a number");
        match field("route").expect("a route") {
            "gap" => self.saw.missed += number("missed"),
            "error" => assert!(message["data"]["code"].is_string()),
            route => {
                let numbers = self.saw.numbers.entry(route.to_owned()).or_default();
                numbers.push(number("n"));
            }
        }
    }

    /// Whether its side of the connection is still there.
    pub fn is_there(&self) -> bool {
        self.io.is_some()
    }

    /// How many bytes the gateway hasn't taken.
    pub fn unsent(&self) -> usize {
        self.unsent.len()
    }

    /// Whether the response has come.
    pub fn is_upgraded(&self) -> bool {
        self.head.is_none()
    }

    pub async fn half_close(&mut self) {
        let shut = poll_fn(|cx| match &mut self.io {
            Some(io) => Pin::new(io).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        });
        shut.await.expect("a pipe can be shut down");
    }

    pub fn vanish(&mut self) {
        self.io = None;
    }
}

/// The gateway's end of the wire.
#[derive(Debug)]
pub struct Socket {
    io: DuplexStream,
    vectored: bool,
    /// Whether the end of the stream is a reset.
    reset: std::sync::Arc<std::sync::atomic::AtomicBool>,
}

impl Socket {
    pub fn new(
        io: DuplexStream,
        vectored: bool,
        reset: std::sync::Arc<std::sync::atomic::AtomicBool>,
    ) -> Self {
        Self {
            io,
            vectored,
            reset,
        }
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        let is_end = matches!(read, Poll::Ready(Ok(()))) && buffer.filled().len() == before;
        if is_end && self.reset.load(std::sync::atomic::Ordering::Relaxed) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        read
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.vectored
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
