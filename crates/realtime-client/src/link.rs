//! One WebSocket: frames in and out, and whether the other side is still there. It has no task of
//! its own: whoever waits for what it hears drives it.

use std::{io, sync::Arc, time::Duration};

use bytes::{Buf, Bytes, BytesMut};
use futures::FutureExt;
use realtime_core::{
    Text,
    codec::{Frame, FrameKind},
};
use realtime_websocket::{
    Event,
    frame::{self, Kind, Opcode},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, WriteHalf, split},
    task::unconstrained,
    time::{Instant, sleep_until, timeout_at},
};

use crate::{
    compression::Wire,
    liveness::{Fault, Liveness, Look, Times},
    socket::Gauge,
    state::End,
};

/// With as much unsent, nothing more is taken to be sent.
const HIGH_WATER: usize = 256 * 1024;
/// With as much unsent, pings of the server wait for their answers in vain: it doesn't read.
const PONGS_UP_TO: usize = 2 * HIGH_WATER;
/// How much room there is at least for what is read.
const READ: usize = 8 * 1024;
/// How long a goodbye may take.
const GOODBYE: Duration = Duration::from_secs(2);
/// How long an attempt has to live before a pong counts as a success of it.
const PROVEN: Duration = Duration::from_secs(10);

pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

pub(crate) struct Link {
    read: ReadHalf<Box<dyn Stream>>,
    write: WriteHalf<Box<dyn Stream>>,
    wire: Wire,
    input: BytesMut,
    output: BytesMut,
    is_flushed: bool,
    liveness: Liveness,
    socket: Arc<Gauge>,
    /// How much the socket had taken when that was looked at last.
    taken: u64,
    /// Why it has ended, and until when the last that is said may be on its way.
    end: Option<(End, Instant)>,
}

/// Something that came.
pub(crate) enum Heard {
    Message(Frame),
    /// Nothing, but more is taken to be sent again.
    Room,
    /// The other side lives. With `true`, for so long that the attempt was a success.
    Alive(bool),
    End(End),
}

impl Link {
    pub(crate) fn new(
        stream: Box<dyn Stream>,
        socket: Arc<Gauge>,
        input: BytesMut,
        wire: Wire,
        times: Times,
    ) -> Self {
        let (read, write) = split(stream);
        Self {
            read,
            write,
            wire,
            input,
            output: BytesMut::new(),
            is_flushed: true,
            liveness: Liveness::new(times, Instant::now()),
            taken: socket.taken(),
            socket,
            end: None,
        }
    }

    pub(crate) fn has_room(&self) -> bool {
        !self.is_over() && self.output.len() < HIGH_WATER
    }

    /// Nothing more can be said.
    pub(crate) const fn is_over(&self) -> bool {
        self.end.is_some()
    }

    pub(crate) fn send(&mut self, kind: FrameKind, payload: &[u8]) {
        let kind = match kind {
            FrameKind::Text => Kind::Text,
            FrameKind::Binary => Kind::Binary,
        };
        let frame = self.wire.message(kind, payload, key());
        self.put(frame);
    }

    /// Asks whether the server is there, and ends it without an answer in time.
    pub(crate) fn probe(&mut self) {
        if !self.is_over() && self.liveness.may_ask() {
            self.put(frame::client_frame(true, Opcode::Ping, b"", key()));
            self.liveness.asks(self.output.len());
        }
    }

    fn put(&mut self, frame: Bytes) {
        self.liveness.waits(Instant::now());
        self.output.extend_from_slice(&frame);
        self.is_flushed = false;
    }

    /// What has come already, without waiting.
    pub(crate) fn buffered(&mut self) -> Option<Heard> {
        while !self.input.is_empty() && !self.is_over() {
            let mut rest = &self.input[..];
            let decoded = self.wire.decode(&mut rest);
            let read = self.input.len() - rest.len();
            self.input.advance(read);
            let event = match decoded {
                Ok(Some(event)) => event,
                Ok(None) => continue,
                Err(violation) => {
                    let code = violation.close_code();
                    self.goodbye(code);
                    // What was wrong is the server's: to come back at once would be of no use.
                    self.ends(End::closed(code, violation.to_string()));
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
                    return Some(Heard::Alive(self.liveness.opened_at().elapsed() >= PROVEN));
                }
                Event::Close(close) => {
                    let (code, reason) = match close {
                        Some(close) => (close.code, close.reason),
                        None => (1005, String::new()),
                    };
                    self.goodbye(if code == 1005 { 1000 } else { code });
                    self.ends(End::closed(code, reason));
                }
            }
        }
        None
    }

    fn ends(&mut self, end: End) {
        self.end
            .get_or_insert_with(|| (end, Instant::now() + GOODBYE));
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
            if let Some((end, by)) = self.end.clone() {
                let last = async {
                    self.write.write_all_buf(&mut self.output).await?;
                    self.write.flush().await
                };
                // It ends either way.
                let _sent_or_not = timeout_at(by, last).await;
                return Heard::End(end);
            }
            self.input.reserve(READ);
            let wake = self.liveness.wake();
            let (is_idle, had_room) = (self.is_idle(), self.has_room());
            // Nothing once all has left. Neither half of it loses anything when it is dropped.
            let writing = async {
                match self.output.is_empty() {
                    true => self.write.flush().await.map(|()| None),
                    false => self.write.write_buf(&mut self.output).await.map(Some),
                }
            };
            tokio::select! {
                read = self.read.read_buf(&mut self.input) => self.heard(read),
                written = writing, if !is_idle => match written {
                    Ok(written) => self.written(written),
                    Err(error) => self.lost(error.to_string()),
                },
                () = until(wake) => self.look(),
            }
            if self.has_room() && !had_room {
                return Heard::Room;
            }
        }
    }

    /// What is there by now, without waiting for it, in so many reads: pings alone may come faster than
    /// they are read.
    pub(crate) fn hear_now(&mut self, reads: &mut usize) -> Option<Heard> {
        loop {
            if let Some(heard) = self.buffered() {
                return Some(heard);
            }
            if self.is_over() {
                return unconstrained(self.hear()).now_or_never();
            }
            *reads = reads.checked_sub(1)?;
            self.input.reserve(READ);
            let read = unconstrained(self.read.read_buf(&mut self.input)).now_or_never()?;
            self.heard(read);
        }
    }

    fn is_idle(&self) -> bool {
        self.output.is_empty() && self.is_flushed
    }

    fn heard(&mut self, read: io::Result<usize>) {
        match read {
            Ok(0) => self.lost("the connection ended"),
            Ok(_) => self.liveness.heard(Instant::now()),
            Err(error) => self.lost(error.to_string()),
        }
    }

    /// So many bytes have left, or all of them.
    fn written(&mut self, bytes: Option<usize>) {
        self.is_flushed = bytes.is_none();
        let (bytes, is_all) = (bytes.unwrap_or(0), self.is_idle());
        self.taken = self.socket.taken();
        self.liveness.taken(bytes, is_all, Instant::now());
    }

    fn lost(&mut self, reason: impl Into<String>) {
        self.output.clear();
        self.ends(End::closed(1006, reason));
    }

    fn look(&mut self) {
        match self.liveness.look(Instant::now()) {
            Look::Nothing => {}
            Look::Ask => self.probe(),
            Look::Judge(fault) => self.judge(fault),
        }
    }

    /// By what the socket has now, and not by which of two things is looked at first.
    fn judge(&mut self, fault: Fault) {
        match fault {
            Fault::Silent => {
                self.input.reserve(READ);
                let read = unconstrained(self.read.read_buf(&mut self.input));
                if let Some(read) = read.now_or_never() {
                    return self.heard(read);
                }
            }
            Fault::Stuck => {
                self.socket.insist();
                let written = match self.output.is_empty() {
                    true => unconstrained(self.write.flush())
                        .now_or_never()
                        .map(|flushed| flushed.map(|()| None)),
                    false => unconstrained(self.write.write_buf(&mut self.output))
                        .now_or_never()
                        .map(|written| written.map(Some)),
                };
                match written {
                    Some(Ok(written)) => return self.written(written),
                    Some(Err(error)) => return self.lost(error.to_string()),
                    // TLS has some of what it holds itself taken.
                    None if self.socket.taken() > self.taken => return self.written(Some(0)),
                    None => {}
                }
            }
        }
        self.lost(fault.as_str());
    }

    /// Ends it from this side, and waits a moment for the other one.
    pub(crate) async fn close(mut self) {
        let by = match &self.end {
            // It was said.
            Some((_, by)) => *by,
            None => {
                self.goodbye(1000);
                Instant::now() + GOODBYE
            }
        };
        let goodbye = async {
            self.write.write_all_buf(&mut self.output).await?;
            self.write.flush().await?;
            while !self.is_over() {
                while self.buffered().is_some() {}
                if self.is_over() || self.read.read_buf(&mut self.input).await? == 0 {
                    break;
                }
            }
            self.write.shutdown().await
        };
        // Who doesn't answer is left.
        let _done_or_not = timeout_at(by, goodbye).await;
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

#[cfg(test)]
mod tests {
    #![allow(clippy::panic, clippy::unwrap_used, reason = "a test fails by a panic")]

    use std::{
        pin::Pin,
        task::{Context, Poll},
    };

    use tokio::{
        io::{ReadBuf, duplex},
        time::timeout,
    };

    use realtime_websocket::Limits;

    use super::*;
    use crate::compression::Agreed;

    const TIMES: Times = Times {
        every: None,
        pong: Duration::from_secs(60),
        write: Duration::from_secs(60),
    };

    fn link(stream: impl Stream + 'static) -> Link {
        Link::new(
            Box::new(stream),
            Arc::default(),
            BytesMut::new(),
            Wire::new(Limits::default().with_message(1_000), Agreed::default()),
            TIMES,
        )
    }

    /// As while commands are heard and timers are due.
    #[tokio::test]
    async fn a_goodbye_takes_its_time_once_however_often_its_wait_begins_anew() {
        let (ours, mut theirs) = duplex(64);
        let mut link = link(ours);
        link.send(FrameKind::Text, &[b'x'; 500]);
        theirs
            .write_all(&frame::close(1012, "so it is"))
            .await
            .unwrap();
        let begun = Instant::now();
        let heard = loop {
            assert!(begun.elapsed() < 3 * GOODBYE, "it doesn't end");
            if let Ok(heard) = timeout(GOODBYE / 4, link.hear()).await {
                break heard;
            }
            assert!(link.is_over() && !link.has_room(), "nothing more is said");
        };
        let Heard::End(end) = heard else {
            panic!("expected the end");
        };
        assert_eq!(end, End::closed(1012, "so it is"));
    }

    /// Pings without an end.
    struct Pings;

    impl AsyncRead for Pings {
        fn poll_read(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            while buffer.remaining() >= 2 {
                buffer.put_slice(&[0x89, 0]);
            }
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Pings {
        fn poll_write(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(bytes.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    #[tokio::test]
    async fn a_look_at_what_is_there_ends_however_fast_it_comes() {
        let mut reads = 100;
        assert!(link(Pings).hear_now(&mut reads).is_none());
        assert_eq!(reads, 0);
    }
}
