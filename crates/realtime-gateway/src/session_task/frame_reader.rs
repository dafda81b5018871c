//! From the socket to events, without a buffer while nothing is unfinished.
//!
//! What one read brings and nobody has room for stays undecoded, which takes least memory. Control
//! frames among it don't wait with the messages before them: [`FrameReader::scout`] finds them.

use std::{
    io, mem,
    task::{Context, Poll, ready},
};

use realtime_websocket::{Event, Violation};

use crate::{budget::Share, compression::Incoming, metrics::Size, transport::SocketReader};

/// How often a peer that leaves is read before others have a turn.
const READS: usize = 64;

/// Reads one peer.
pub(crate) struct FrameReader {
    /// `None` once the peer has been hung up on.
    socket: Option<SocketReader>,
    decoder: Incoming,
    /// What was read and not yet decoded, from `at` on.
    pending: Vec<u8>,
    at: usize,
    /// The control frames in it were found by the scout, and are no events any more.
    scouted: bool,
    /// All that had come when it was last asked was looked at.
    dry: bool,
    /// A close frame was among what is given up.
    has_closed: bool,
    /// How many of the messages that were discarded are told of.
    told: u32,
    /// The bytes that have come so far.
    received: u64,
}

/// Why there are no more events.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ReadEnd {
    #[error("the peer ended the connection without a close frame")]
    Eof,
    #[error("the connection failed")]
    Io(#[source] io::Error),
    #[error("the peer broke the protocol")]
    Violation(#[source] Violation),
}

impl FrameReader {
    /// `read` came with the request already. It is copied, so that the HTTP server's buffer isn't
    /// kept.
    pub(crate) fn new(socket: SocketReader, read: &[u8], decoder: Incoming) -> Self {
        Self {
            socket: Some(socket),
            decoder,
            pending: read.to_vec(),
            at: 0,
            scouted: false,
            dry: false,
            has_closed: false,
            told: 0,
            received: 0,
        }
    }

    /// Gives back the socket, unless the peer was hung up on, and what was read and not decoded. To
    /// be called between two messages: what has begun is lost.
    pub(crate) fn into_parts(self) -> Option<(SocketReader, Vec<u8>)> {
        let Self {
            socket,
            mut pending,
            at,
            ..
        } = self;
        pending.drain(..at);
        Some((socket?, pending))
    }

    /// Waits for the peer to go away, and reads so many bytes ahead meanwhile, of which nothing is
    /// made yet. One that has sent something before it left is waited for all the same: that is to
    /// be looked at first.
    pub(crate) fn poll_gone(
        &mut self,
        cx: &mut Context<'_>,
        most: usize,
        held: &Share,
    ) -> Poll<ReadEnd> {
        while self.pending.len() - self.at < most {
            let Self {
                socket,
                pending,
                received,
                ..
            } = self;
            let Some(socket) = socket else {
                return Poll::Ready(ReadEnd::Eof);
            };
            let read = socket.poll_read(cx, |bytes| {
                *received += bytes.len() as u64;
                pending.extend_from_slice(bytes);
                !bytes.is_empty()
            });
            self.book(0, held);
            match ready!(read) {
                Ok(true) => {}
                Ok(false) if self.has_input() => return Poll::Pending,
                Ok(false) => return Poll::Ready(ReadEnd::Eof),
                Err(error) => return Poll::Ready(ReadEnd::Io(error)),
            }
        }
        Poll::Pending
    }

    /// The bytes that have come so far. Any of them is a sign of life.
    pub(crate) fn received(&self) -> u64 {
        self.received
    }

    /// Whether there is input that was read and not yet looked at.
    pub(crate) fn has_input(&self) -> bool {
        self.at < self.pending.len()
    }

    /// Whether all that had come when it was last asked was looked at. Where it wasn't, the peer may have
    /// sent what it would be judged for not having sent.
    pub(crate) const fn is_dry(&self) -> bool {
        self.dry
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn is_assembling(&self) -> bool {
        self.decoder.is_assembling()
    }

    /// The next event, or `None` where what has come completes none: one read at the most, so that
    /// a turn can be bounded. Cancel safe: what was read is kept. The memory of messages is booked
    /// in `held`, together with `ahead`, that of finished messages which wait for their handlers.
    pub(crate) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        ahead: usize,
        held: &Share,
    ) -> Poll<Result<Option<Event>, ReadEnd>> {
        self.dry = false;
        // What has come in a few bytes may be long to read.
        if self.decoder.pauses() {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let decoded = if self.has_input() {
            let mut input = &self.pending[self.at..];
            let decoded = self.decoder.decode(&mut input);
            self.at = self.pending.len() - input.len();
            let seen = self.scouted && matches!(decoded, Ok(Some(Event::Ping(_) | Event::Pong(_))));
            if !self.has_input() {
                self.forget_input();
            }
            if seen { Ok(None) } else { decoded }
        } else {
            let Self {
                socket,
                decoder,
                pending,
                received,
                ..
            } = self;
            let Some(socket) = socket else {
                return Poll::Ready(Err(ReadEnd::Eof));
            };
            let read = socket.poll_read(cx, |mut bytes| {
                (!bytes.is_empty()).then(|| {
                    *received += bytes.len() as u64;
                    let decoded = decoder.decode(&mut bytes);
                    pending.extend_from_slice(bytes);
                    decoded
                })
            });
            let Poll::Ready(read) = read else {
                self.dry = true;
                return Poll::Pending;
            };
            match read {
                Ok(Some(decoded)) => decoded,
                Ok(None) => return Poll::Ready(Err(ReadEnd::Eof)),
                Err(error) => return Poll::Ready(Err(ReadEnd::Io(error))),
            }
        };
        self.book(ahead, held);
        Poll::Ready(decoded.map_err(ReadEnd::Violation))
    }

    /// Whether there may be control frames behind messages that wait undecoded.
    pub(crate) fn may_scout(&self) -> bool {
        self.has_input() && !self.scouted
    }

    /// Finds the control frames in what was read and waits, in their order, without the messages
    /// between them: those are decoded when there is room for them. Nothing is found twice.
    pub(crate) fn scout(&mut self, mut found: impl FnMut(Event)) {
        let mut scout = self.decoder.scout();
        let mut input = &self.pending[self.at..];
        // What breaks the protocol is noticed in its turn.
        while let Ok(Some(event)) = scout.decode(&mut input) {
            found(event);
        }
        self.scouted = true;
    }

    /// Gives up what was read, and returns how many messages that were, and how long: as they came,
    /// where some may be compressed. Nothing more is made of what the peer sends but its close frame:
    /// it may take its time to leave, and must hold no memory meanwhile.
    pub(crate) fn release(&mut self, held: &Share) -> (u64, Size) {
        let (mut messages, mut size) = (0, Size::default());
        let mut input = &self.pending[self.at..];
        // Nothing is inflated to be thrown away.
        if self.decoder.is_inflating() {
            self.decoder.discard_messages();
            size = Size::of(input.len());
        }
        while !input.is_empty() {
            match self.decoder.decode(&mut input) {
                Ok(Some(Event::Text(text))) => {
                    (messages, size) = (messages + 1, size.and(Size::of(text.len())));
                }
                Ok(Some(Event::Binary(bytes))) => {
                    (messages, size) = (messages + 1, size.and(Size::of(bytes.len())));
                }
                Ok(Some(Event::Close(_))) => self.has_closed = true,
                Ok(Some(Event::Ping(_) | Event::Pong(_)) | None) | Err(_) => {}
            }
        }
        messages += u64::from(self.discarded());
        if messages == 0 {
            // Pings, or the beginning of a message that has no end.
            size = Size::default();
        }
        self.told = self.decoder.discarded();
        self.forget_input();
        self.decoder.discard_messages();
        self.book(0, held);
        (messages, size)
    }

    /// How many messages have come since what was read was given up.
    pub(crate) fn discarded(&self) -> u32 {
        self.decoder.discarded() - self.told
    }

    fn forget_input(&mut self) {
        (self.pending, self.at, self.scouted) = (Vec::new(), 0, false);
    }

    /// Lets go of the socket.
    pub(crate) fn hang_up(&mut self) {
        self.socket = None;
        self.forget_input();
    }

    /// Whether no close frame can come: there was one, or the peer has sent what is no frame.
    pub(crate) fn is_done(&self) -> bool {
        self.decoder.is_done() && !self.has_closed
    }

    /// Throws away whatever else the peer sends, until its close frame or the end of the stream.
    /// Returns whether it was the end of the stream.
    pub(crate) fn poll_close(&mut self, cx: &mut Context<'_>, held: &Share) -> Poll<bool> {
        if mem::take(&mut self.has_closed) {
            return Poll::Ready(false);
        }
        for _ in 0..READS {
            match ready!(self.poll_event(cx, 0, held)) {
                Ok(Some(Event::Close(_))) => return Poll::Ready(false),
                // What is wrong with it is of no interest any more.
                Ok(_) | Err(ReadEnd::Violation(_)) => {}
                Err(ReadEnd::Eof | ReadEnd::Io(_)) => return Poll::Ready(true),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Throws away whatever else the peer sends, until it ends the connection.
    pub(crate) fn poll_end(&mut self, cx: &mut Context<'_>, held: &Share) -> Poll<()> {
        while !ready!(self.poll_close(cx, held)) {}
        Poll::Ready(())
    }

    /// Books the memory of what is unfinished, and of what waits, decoded or not.
    pub(crate) fn book(&self, ahead: usize, held: &Share) {
        held.set(self.decoder.memory() + self.pending.capacity() + ahead);
    }
}
