//! From the socket to events, without a buffer while nothing is unfinished.

use std::{
    io,
    task::{Context, Poll, ready},
};

use realtime_websocket::{Decoder, Event, Violation};

use crate::{budget::Share, transport::SocketReader};

/// How often a peer that leaves is read before others have a turn.
const READS: usize = 64;

/// Reads one peer.
pub(super) struct FrameReader {
    socket: SocketReader,
    decoder: Decoder,
    /// What was read and not yet decoded, from `at` on.
    pending: Vec<u8>,
    at: usize,
    /// The bytes that have come so far.
    received: u64,
}

/// Why there are no more events.
#[derive(Debug, thiserror::Error)]
pub(super) enum ReadEnd {
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
    pub(super) fn new(socket: SocketReader, read: &[u8], decoder: Decoder) -> Self {
        Self {
            socket,
            decoder,
            pending: read.to_vec(),
            at: 0,
            received: 0,
        }
    }

    /// The bytes that have come so far. Any of them is a sign of life.
    pub(super) fn received(&self) -> u64 {
        self.received
    }

    /// Whether there is input that was read and not yet looked at.
    pub(super) fn has_input(&self) -> bool {
        self.at < self.pending.len()
    }

    /// Whether a message has begun and is not complete.
    pub(super) fn is_assembling(&self) -> bool {
        self.decoder.is_assembling()
    }

    /// The next event, or `None` where what has come completes none: one read at the most, so that
    /// a turn can be bounded. Cancel safe: what was read is kept. The memory of messages is booked
    /// in `held`, together with `ahead`, that of finished messages which wait for their handlers.
    pub(super) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        ahead: usize,
        held: &Share,
    ) -> Poll<Result<Option<Event>, ReadEnd>> {
        let decoded = if self.has_input() {
            let mut input = &self.pending[self.at..];
            let decoded = self.decoder.decode(&mut input);
            self.at = self.pending.len() - input.len();
            if !self.has_input() {
                (self.pending, self.at) = (Vec::new(), 0);
            }
            decoded
        } else {
            let Self {
                socket,
                decoder,
                pending,
                received,
                ..
            } = self;
            let read = socket.poll_read(cx, |mut bytes| {
                (!bytes.is_empty()).then(|| {
                    *received += bytes.len() as u64;
                    let decoded = decoder.decode(&mut bytes);
                    pending.extend_from_slice(bytes);
                    decoded
                })
            });
            match ready!(read) {
                Ok(Some(decoded)) => decoded,
                Ok(None) => return Poll::Ready(Err(ReadEnd::Eof)),
                Err(error) => return Poll::Ready(Err(ReadEnd::Io(error))),
            }
        };
        self.book(ahead, held);
        Poll::Ready(decoded.map_err(ReadEnd::Violation))
    }

    /// Gives up what was read. Nothing more is made of what the peer sends but its close frame: it
    /// may take its time to leave, and must hold no memory meanwhile.
    pub(super) fn release(&mut self, held: &Share) {
        self.decoder.discard_messages();
        self.book(0, held);
    }

    /// Throws away whatever else the peer sends, until its close frame or the end of the stream.
    /// Returns whether it was the end of the stream.
    pub(super) fn poll_close(&mut self, cx: &mut Context<'_>, held: &Share) -> Poll<bool> {
        for _ in 0..READS {
            match ready!(self.poll_event(cx, 0, held)) {
                Ok(Some(Event::Close(_))) => return Poll::Ready(false),
                // Behind a violation there is no close frame to be found.
                Ok(_) | Err(ReadEnd::Violation(_)) => {}
                Err(ReadEnd::Eof | ReadEnd::Io(_)) => return Poll::Ready(true),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Throws away whatever else the peer sends, until it ends the connection.
    pub(super) fn poll_end(&mut self, cx: &mut Context<'_>, held: &Share) -> Poll<()> {
        while !ready!(self.poll_close(cx, held)) {}
        Poll::Ready(())
    }

    /// Books the memory of what is unfinished, and of what waits.
    pub(super) fn book(&self, ahead: usize, held: &Share) {
        held.set(self.decoder.buffered() + ahead);
    }
}
