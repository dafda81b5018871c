//! From the socket to events, without a buffer while nothing is unfinished.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    task::{Context, Poll, ready},
};

use realtime_websocket::{Decoder, Event, Limits, Role, Violation};

use crate::{budget::Budget, transport::Reader};

/// Reads one peer.
pub(crate) struct FrameReader {
    reader: Reader,
    decoder: Decoder,
    /// What was read and not yet decoded, from `at` on.
    pending: Vec<u8>,
    at: usize,
    /// Messages of all sessions together that are unfinished or wait for their handlers.
    budget: Arc<Budget>,
    booked: usize,
    /// Bytes of finished messages that wait for their handler.
    ahead: usize,
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
    pub(crate) fn new(reader: Reader, read: &[u8], decoder: Decoder, budget: Arc<Budget>) -> Self {
        Self {
            reader,
            decoder,
            pending: read.to_vec(),
            at: 0,
            budget,
            booked: 0,
            ahead: 0,
        }
    }

    /// Whether there is input that was read and not yet looked at.
    pub(crate) fn has_input(&self) -> bool {
        self.at < self.pending.len()
    }

    /// Whether a message has begun and is not complete.
    pub(crate) fn is_assembling(&self) -> bool {
        self.decoder.is_assembling()
    }

    /// So many bytes of finished messages wait now; `held` as in [`FrameReader::poll_event`].
    pub(crate) fn set_ahead(&mut self, bytes: usize, held: &AtomicUsize) {
        self.ahead = bytes;
        self.tell(held);
    }

    /// The next event. Cancel safe: what was read is kept. The memory of messages is told to
    /// `held`, where others see it.
    pub(crate) fn poll_event(
        &mut self,
        cx: &mut Context<'_>,
        held: &AtomicUsize,
    ) -> Poll<Result<Event, ReadEnd>> {
        loop {
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
                    reader,
                    decoder,
                    pending,
                    ..
                } = self;
                let read = reader.poll_read(cx, |mut bytes| {
                    (!bytes.is_empty()).then(|| {
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
            self.tell(held);
            match decoded {
                Ok(Some(event)) => return Poll::Ready(Ok(event)),
                Ok(None) => {}
                Err(violation) => return Poll::Ready(Err(ReadEnd::Violation(violation))),
            }
        }
    }

    /// Gives up what was read: nothing more is made of it. The peer may take its time to leave,
    /// and must hold no memory meanwhile.
    pub(crate) fn release(&mut self) {
        (self.pending, self.at) = (Vec::new(), 0);
        self.decoder = Decoder::new(Role::Server, Limits::default());
        self.ahead = 0;
        self.book(0);
    }

    /// Throws away whatever else the peer sends, until it ends the connection.
    pub(crate) fn poll_drain(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while let Ok(more) = ready!(self.reader.poll_read(cx, |bytes| !bytes.is_empty())) {
            if !more {
                break;
            }
        }
        Poll::Ready(())
    }

    fn tell(&mut self, held: &AtomicUsize) {
        let now = self.decoder.buffered() + self.ahead;
        // Before the budget moves: who finds it exceeded must find the one who did it.
        held.store(now, Relaxed);
        self.book(now);
    }

    fn book(&mut self, now: usize) {
        self.budget.moved(self.booked, now);
        self.booked = now;
    }
}

impl Drop for FrameReader {
    fn drop(&mut self) {
        self.book(0);
    }
}
