//! What Redis says on the connection that receives, and what is done with it.

use std::sync::Arc;

use bytes::Bytes;
use realtime_core::{
    Incarnation,
    broker::{
        BrokerError, BrokerEvent, BrokerMessage,
        stream::{Look, MAX_STAMP, Next, look},
    },
};
use tokio::time::Instant;

use super::Subscriber;
use crate::{
    error::{refused, unavailable},
    inbox::pieces,
    line::{Awaited, Line, Told},
    resp::{self, Frame},
};

/// Who has sent a message that is too large is read all the same.
const _: () = assert!(resp::BEGINNING >= MAX_STAMP);

impl Subscriber {
    /// Does with a frame what is to be done with it.
    pub(super) async fn take(
        &mut self,
        line: &mut Line,
        frame: Frame,
    ) -> Result<Told, BrokerError> {
        let items = match frame {
            Frame::Array(items) => items,
            Frame::Error(said) => return self.refused(line, &said),
            // PONG, before anything is subscribed.
            _ => return Ok(line.answered()),
        };
        let mut items = items.into_iter();
        let (kind, channel, data) = (items.next(), items.next(), items.next());
        let Some(Frame::Bulk(kind)) = kind else {
            return Err(unavailable("Redis sent something that is not pub/sub"));
        };
        match (&kind[..], data) {
            (b"message" | b"smessage", Some(Frame::Bulk(data)))
                if data.is_empty() && self.is_of_no_topic(channel.as_ref()) =>
            {
                Ok(Told::Other)
            }
            (b"message" | b"smessage", Some(Frame::Bulk(data))) => {
                Ok(self.message(line, data).await)
            }
            (b"message" | b"smessage", Some(Frame::TooLarge { size, beginning })) => {
                let told = self.told_by(line, &beginning);
                let cause = self.too_large(size);
                if let Next::DuplicateNode { incarnation, .. } =
                    self.incoming.refuse(beginning, cause)
                {
                    warn_of_a_duplicate(incarnation);
                }
                Ok(told)
            }
            (b"subscribe" | b"ssubscribe" | b"unsubscribe" | b"pong", _) => Ok(line.answered()),
            (b"sunsubscribe", _) => match (line.awaited.front(), channel) {
                (
                    Some(Awaited {
                        leaves: Some(asked),
                        ..
                    }),
                    Some(Frame::Bulk(left)),
                ) if asked.as_bytes() == left => Ok(line.answered()),
                // Nobody asked for it: the slot is on another server now.
                _ => Err(unavailable(
                    "the cluster has moved the channels of this node",
                )),
            },
            _ => Ok(Told::Other),
        }
    }

    /// Redis has refused a command. One topic that may not be joined is no reason to lose the
    /// others; everything else is.
    fn refused(&mut self, line: &mut Line, said: &str) -> Result<Told, BrokerError> {
        self.locator.note(said, line.connection.address());
        let error = refused("subscribing", said);
        match line.awaited.pop_front() {
            Some(Awaited {
                done: Some(done), ..
            }) if !error.is_transient() => {
                let _nobody_waits = done.send(Err(error));
                Ok(Told::Done)
            }
            _ => Err(error),
        }
    }

    async fn message(&mut self, line: &mut Line, data: Bytes) -> Told {
        // What is read comes from a buffer, and neither this nor an inbox with room waits.
        tokio::task::consume_budget().await;
        let told = self.told_by(line, &data);
        match self.incoming.receive(data) {
            Next::Deliver(message) => self.deliver(line, message).await,
            Next::DuplicateNode { incarnation, .. } => warn_of_a_duplicate(incarnation),
            _ => {}
        }
        told
    }

    /// What a message tells a node that joins.
    fn told_by(&self, line: &Line, data: &Bytes) -> Told {
        let is_double = line.looks && look(&self.member.node, data.clone()) == Look::DuplicateNode;
        match is_double {
            true => Told::Duplicate,
            false => Told::Other,
        }
    }

    async fn deliver(&mut self, line: &mut Line, message: BrokerMessage) {
        let size = message.data.len();
        if size > self.member.config.max_message {
            let cause = self.too_large(size as u64);
            let event = BrokerEvent::invalid_message(cause, 1);
            self.member.events.send(event);
            return;
        }
        let pieces = pieces(size);
        let room = Arc::clone(&self.room);
        let at_once = Arc::clone(&room).try_acquire_many_owned(pieces).ok();
        let at_once = at_once.and_then(|room| Some((self.inbox.try_reserve().ok()?, room)));
        if let Some((place, room)) = at_once {
            place.send((message, room));
            return;
        }
        if self.joining.is_some() {
            // Nobody can read yet, and what is waited for may stand behind it.
            let gap = BrokerEvent::gap(message.source, Some(message.topic), 1);
            self.member.events.send(gap);
            return;
        }
        let stall = self.incoming.stall();
        if let Ok(room) = room.acquire_many_owned(pieces).await {
            let _leaving = self.inbox.send((message, room)).await;
        }
        drop(stall);
        line.heard = Instant::now();
    }

    /// Whether somebody tries there what they may.
    fn is_of_no_topic(&self, channel: Option<&Frame>) -> bool {
        let channels = &self.member.config.channels;
        matches!(channel, Some(Frame::Bulk(name)) if channels.is_of_no_topic(name))
    }

    fn too_large(&self, size: u64) -> String {
        let limit = self.member.config.max_message;
        format!("expected at most {limit} bytes; got {size}")
    }
}

fn warn_of_a_duplicate(incarnation: Incarnation) {
    tracing::error!(
        target: realtime_core::log_targets::BROKER, ?incarnation,
        "another node is alive under this node's id; give each an id of its own",
    );
}
