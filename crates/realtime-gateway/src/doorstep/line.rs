//! Both directions of a connection that has no session, no queue and no log: events in, a frame at a
//! time out.

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use realtime_websocket::{Event, Limits, frame};

use super::first_message::LONGEST;
use crate::{
    budget::{Budget, Share},
    compression::{Agreed, Incoming},
    session_task::{FrameReader, ReadEnd},
    transport::{Connection, Sink, SocketWriter},
};

/// How often it is read before others have a turn.
const TURNS: usize = 64;
/// How much is read ahead of an authenticator, for the end of the connection to be seen.
const AHEAD: usize = 16 * 1024;

pub(super) struct Line {
    pub(super) reader: FrameReader,
    writer: SocketWriter,
    /// The frame that is being written.
    writing: Bytes,
    /// The next one.
    next: Option<Bytes>,
    /// Something was written that a layer such as TLS may hold back.
    unflushed: bool,
    /// Not a share of what sessions may hold: for no stranger a session is closed. How much it may
    /// be is bounded by itself.
    held: Share,
}

impl Line {
    pub(super) fn new(connection: Connection, agreed: Agreed) -> Self {
        let Connection {
            reader,
            writer,
            read,
        } = connection;
        let limits = Limits::default().with_message(LONGEST);
        Self {
            reader: FrameReader::new(reader, &read, Incoming::new(limits, agreed)),
            writer,
            writing: Bytes::new(),
            next: None,
            unflushed: false,
            held: Share::new(Arc::new(Budget::new(usize::MAX))),
        }
    }

    /// For a session, between two messages and with nothing half written. `None` where there is none
    /// any more.
    pub(super) fn into_connection(self) -> Option<Connection> {
        let (reader, read) = self.reader.into_parts()?;
        Some(Connection {
            reader,
            writer: self.writer,
            read: read.into(),
        })
    }

    /// This is written next, in place of a pong that still waits.
    pub(super) fn say(&mut self, frame: Bytes) {
        self.next = Some(frame);
    }

    /// Writes what there is to say.
    pub(super) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.writing.is_empty() {
                match self.next.take() {
                    Some(next) => self.writing = next,
                    None => break,
                }
            }
            let slices = [IoSlice::new(&self.writing)];
            let written = ready!(self.writer.poll_write(cx, &slices))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.writing.advance(written);
            self.unflushed = true;
        }
        if self.unflushed {
            ready!(self.writer.poll_flush(cx))?;
            self.unflushed = false;
        }
        Poll::Ready(Ok(()))
    }

    /// The next event but pings, which are answered, and pongs.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>) -> Poll<Result<Event, ReadEnd>> {
        for _ in 0..TURNS {
            if let Poll::Ready(Err(error)) = self.poll_write(cx) {
                return Poll::Ready(Err(ReadEnd::Io(error)));
            }
            match ready!(self.reader.poll_event(cx, 0, &self.held)) {
                Ok(Some(Event::Ping(payload))) => self.say(frame::pong(&payload)),
                Ok(Some(Event::Pong(_)) | None) => {}
                Ok(Some(event)) => return Poll::Ready(Ok(event)),
                Err(end) => return Poll::Ready(Err(end)),
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Waits for the peer to go away. What it sends meanwhile waits.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<ReadEnd> {
        if let Poll::Ready(Err(error)) = self.poll_write(cx) {
            return Poll::Ready(ReadEnd::Io(error));
        }
        self.reader.poll_gone(cx, AHEAD, &self.held)
    }

    /// The close handshake: our frame, then the peer's, then the end of our direction, and of the
    /// peer's. What else the peer sends is thrown away.
    pub(super) async fn close(mut self, frame: Bytes, peer_is_done: bool) {
        self.reader.release(&self.held);
        self.say(frame);
        if poll_fn(|cx| self.poll_write(cx)).await.is_err() {
            return;
        }
        let Self {
            reader,
            writer,
            held,
            ..
        } = &mut self;
        let can_answer = !peer_is_done && !reader.is_done();
        let at_end =
            peer_is_done || (can_answer && poll_fn(|cx| reader.poll_close(cx, held)).await);
        let shut = poll_fn(|cx| writer.poll_shutdown(cx)).await;
        if shut.is_ok() && !at_end {
            poll_fn(|cx| reader.poll_end(cx, held)).await;
        }
    }
}
