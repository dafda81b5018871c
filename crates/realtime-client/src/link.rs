//! One WebSocket: frames in and out, and whether the other side is still there. It has no task of
//! its own: whoever waits for what it hears drives it.

use std::time::Duration;

use bytes::{Buf, Bytes, BytesMut};
use realtime_core::{
    Text,
    codec::{Frame, FrameKind},
};
use realtime_websocket::{
    Decoder, Event, Limits, Role,
    frame::{self, Kind, Opcode},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    time::{Instant, sleep_until, timeout},
};

use crate::state::End;

/// With as much unsent, nothing more is taken to be sent.
const HIGH_WATER: usize = 256 * 1024;
/// With as much unsent, pings of the server wait for their answers in vain: it doesn't read.
const PONGS_UP_TO: usize = 2 * HIGH_WATER;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long an attempt has to live before a pong counts as a success of it.
const PROVEN: Duration = Duration::from_secs(10);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) struct Link {
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    decoder: Decoder,
    input: BytesMut,
    output: BytesMut,
    is_flushed: bool,
    opened_at: Instant,
    heard_at: Instant,
    /// When a ping went out that nothing has come after.
    pinged_at: Option<Instant>,
    every: Option<Duration>,
    patience: Duration,
    end: Option<End>,
}

/// Something that came.
pub(crate) enum Heard {
    Message(Frame),
    /// The other side lives. With `true`, for so long that the attempt was a success.
    Alive(bool),
    End(End),
}

impl Link {
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        input: BytesMut,
        max_message: usize,
        every: Option<Duration>,
        patience: Duration,
    ) -> Self {
        let (read, write) = split(stream);
        let now = Instant::now();
        Self {
            read,
            write,
            decoder: Decoder::new(Role::Client, Limits::default().with_message(max_message)),
            input,
            output: BytesMut::new(),
            is_flushed: true,
            opened_at: now,
            heard_at: now,
            pinged_at: None,
            every,
            patience,
            end: None,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        self.output.len() < HIGH_WATER
    }

    pub(crate) fn send(&mut self, kind: FrameKind, payload: &[u8]) {
        let kind = match kind {
            FrameKind::Text => Kind::Text,
            FrameKind::Binary => Kind::Binary,
        };
        self.put(frame::client_frame(true, kind, payload, key()));
    }

    /// Asks whether the server is there, and ends it without an answer in time.
    pub(crate) fn probe(&mut self) {
        if self.pinged_at.is_none() {
            self.pinged_at = Some(Instant::now());
            self.put(frame::client_frame(true, Opcode::Ping, b"", key()));
        }
    }

    fn put(&mut self, frame: Bytes) {
        self.output.extend_from_slice(&frame);
        self.is_flushed = false;
    }

    /// What has come already, without waiting.
    pub(crate) fn buffered(&mut self) -> Option<Heard> {
        while !self.input.is_empty() && self.end.is_none() {
            let mut rest = &self.input[..];
            let decoded = self.decoder.decode(&mut rest);
            let read = self.input.len() - rest.len();
            self.input.advance(read);
            let event = match decoded {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(violation) => {
                    let code = violation.close_code();
                    self.goodbye(code);
                    // What was wrong is the server's: to come back at once would be of no use.
                    self.end = Some(End::closed(code, violation.to_string()));
                    continue;
                }
            };
            match event {
                Event::Text(text) => return Some(Heard::Message(Frame::Text(Text::from(text)))),
                Event::Binary(bytes) => return Some(Heard::Message(Frame::Binary(bytes))),
                Event::Ping(payload) => {
                    if self.output.len() < PONGS_UP_TO {
                        self.put(frame::client_frame(true, Opcode::Pong, &payload, key()));
                    }
                }
                Event::Pong(_) => {
                    return Some(Heard::Alive(self.opened_at.elapsed() >= PROVEN));
                }
                Event::Close(close) => {
                    let (code, reason) = match close {
                        Some(close) => (close.code, close.reason),
                        None => (1005, String::new()),
                    };
                    self.goodbye(if code == 1005 { 1000 } else { code });
                    self.end = Some(End::closed(code, reason));
                }
            }
        }
        None
    }

    fn goodbye(&mut self, code: u16) {
        let payload = frame::close_payload(code, "");
        self.put(frame::client_frame(true, Opcode::Close, &payload, key()));
    }

    /// Waits for something to come, and writes meanwhile. Nothing is lost when it is dropped.
    pub(crate) async fn hear(&mut self) -> Heard {
        loop {
            if let Some(heard) = self.buffered() {
                return heard;
            }
            if let Some(end) = self.end.clone() {
                let last = async {
                    self.write.write_all_buf(&mut self.output).await?;
                    self.write.flush().await
                };
                // It ends either way.
                let _sent_or_not = timeout(GOODBYE, last).await;
                return Heard::End(end);
            }
            self.input.reserve(8 * 1024);
            let wake = self.wake();
            let is_idle = self.output.is_empty() && self.is_flushed;
            // True once all has left. Neither half of it loses anything when it is dropped.
            let writing = async {
                match self.output.is_empty() {
                    true => self.write.flush().await.map(|()| true),
                    false => self.write.write_buf(&mut self.output).await.map(|_| false),
                }
            };
            tokio::select! {
                read = self.read.read_buf(&mut self.input) => match read {
                    Ok(0) => self.lost("the connection ended"),
                    Ok(_) => {
                        self.heard_at = Instant::now();
                        self.pinged_at = None;
                    }
                    Err(error) => self.lost(error.to_string()),
                },
                written = writing, if !is_idle => match written {
                    Ok(is_flushed) => self.is_flushed = is_flushed,
                    Err(error) => self.lost(error.to_string()),
                },
                () = until(wake) => self.look(),
            }
        }
    }

    fn lost(&mut self, reason: impl Into<String>) {
        self.output.clear();
        if self.end.is_none() {
            self.end = Some(End::closed(1006, reason));
        }
    }

    fn wake(&self) -> Option<Instant> {
        match self.pinged_at {
            Some(at) => Some(at + self.patience),
            None => self.every.map(|every| self.heard_at + every),
        }
    }

    fn look(&mut self) {
        match self.pinged_at {
            Some(_) => self.lost("the server doesn't answer"),
            None => self.probe(),
        }
    }

    /// Ends it from this side, and waits a moment for the other one.
    pub(crate) async fn close(mut self) {
        self.goodbye(1000);
        let goodbye = async {
            self.write.write_all_buf(&mut self.output).await?;
            self.write.flush().await?;
            while self.end.is_none() {
                while self.buffered().is_some() {}
                if self.end.is_some() || self.read.read_buf(&mut self.input).await? == 0 {
                    break;
                }
            }
            self.write.shutdown().await
        };
        // Who doesn't answer is left.
        let _done_or_not = timeout(GOODBYE, goodbye).await;
    }
}

/// A mask is there for proxies that take a page's bytes for HTTP. What this client sends is no
/// page's, so it needn't be a secret.
fn key() -> [u8; 4] {
    fastrand::u32(..).to_ne_bytes()
}

pub(crate) async fn until(wake: Option<Instant>) {
    match wake {
        Some(wake) => sleep_until(wake).await,
        None => std::future::pending().await,
    }
}
