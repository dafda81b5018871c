//! The connection that receives, and what was asked for on it.

use std::{collections::VecDeque, time::Duration};

use bytes::BytesMut;
use futures::StreamExt;
use realtime_core::broker::BrokerError;
use tokio::{sync::oneshot, time::Instant};

use crate::{
    connection::{Connection, ended},
    error::failed,
    resp::{self, Frame},
    traffic::write_some,
};

/// How long ago a byte may have come that is said to come now.
const JUST_NOW: Duration = Duration::from_secs(1);

/// A command to which Redis has not answered yet.
pub(crate) struct Awaited {
    /// How many answers are still to come.
    pub(crate) answers: usize,
    /// The channel that is to be left.
    pub(crate) leaves: Option<String>,
    pub(crate) done: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

/// A connection, and what waits for Redis on it.
pub(crate) struct Line {
    pub(crate) connection: Connection,
    pub(crate) out: BytesMut,
    unflushed: bool,
    pub(crate) awaited: VecDeque<Awaited>,
    /// When Redis has last said something.
    pub(crate) heard: Instant,
    pub(crate) asked: bool,
    /// Another node under this node's id is looked for.
    pub(crate) looks: bool,
}

/// What a frame was, where it matters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Told {
    /// The oldest command that was awaited is done.
    Done,
    Duplicate,
    Other,
}

impl Line {
    pub(crate) fn new(connection: Connection) -> Self {
        Self {
            connection,
            out: BytesMut::new(),
            unflushed: false,
            awaited: VecDeque::new(),
            heard: Instant::now(),
            asked: false,
            looks: true,
        }
    }

    /// Asks for something.
    pub(crate) fn put(&mut self, words: &[&[u8]]) {
        resp::put(&mut self.out, words);
        self.awaited.push_back(Awaited {
            // One for each channel, or one to PING.
            answers: words.len().saturating_sub(1).max(1),
            leaves: None,
            done: None,
        });
    }

    /// When a byte of Redis's has last come, or a message was last taken.
    pub(crate) fn last_byte(&self) -> Instant {
        let byte = self.connection.frames.decoder().last_byte();
        byte.map_or(self.heard, |byte| byte.max(self.heard))
    }

    /// Whether something comes that is not there as a whole yet, and bytes of it came just now.
    pub(crate) fn is_in_the_middle(&self) -> bool {
        self.last_byte() > self.heard && self.last_byte().elapsed() < JUST_NOW
    }

    /// The next thing that Redis says, while what waits is written.
    pub(crate) async fn next(&mut self) -> Result<Frame, BrokerError> {
        loop {
            let has_to_write = !self.out.is_empty() || self.unflushed;
            let Self {
                connection,
                out,
                unflushed,
                ..
            } = self;
            tokio::select! {
                frame = connection.frames.next() => {
                    (self.heard, self.asked) = (Instant::now(), false);
                    return match frame {
                        Some(Ok(frame)) => Ok(frame),
                        Some(Err(error)) => Err(failed("reading", error)),
                        None => Err(ended()),
                    };
                }
                written = write_some(&mut connection.writes, out, unflushed), if has_to_write => {
                    written.map_err(|e| failed("writing", e))?;
                }
            }
        }
    }

    /// One answer to what is awaited longest has come.
    pub(crate) fn answered(&mut self) -> Told {
        let Some(first) = self.awaited.front_mut() else {
            return Told::Other;
        };
        first.answers -= 1;
        if first.answers > 0 {
            return Told::Other;
        }
        let done = self.awaited.pop_front().and_then(|first| first.done);
        if let Some(done) = done {
            let _nobody_waits = done.send(Ok(()));
        }
        Told::Done
    }
}
