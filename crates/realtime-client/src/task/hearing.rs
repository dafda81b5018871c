//! What the server says.

use std::{
    collections::HashMap,
    panic::{AssertUnwindSafe, catch_unwind},
};

use realtime_core::{
    ClientError, Exchange, Message, RoomName, Text,
    codec::{CodecError, CodecErrorKind, Frame, routes},
};
use serde::Deserialize;

use super::Task;
use crate::{Question, Refusal, RequestError, link::Heard, question::refusal, rooms::At};

#[derive(Deserialize)]
struct Removed {
    room: String,
}

#[derive(Deserialize)]
struct Gap {
    #[serde(default)]
    rooms: HashMap<String, At>,
}

impl Task {
    pub(super) fn heard(&mut self, heard: Heard) {
        match heard {
            Heard::End(end) => self.closed(end),
            Heard::Room => {}
            Heard::Alive(is_proven) => {
                if is_proven {
                    self.proven();
                }
                if self.is_open {
                    self.online();
                }
            }
            Heard::Message(frame) => {
                // Not when it opens: something on the way may end each connection right after that.
                self.proven();
                if self.is_open {
                    self.online();
                }
                self.receive(frame);
            }
        }
    }

    fn receive(&mut self, frame: Frame) {
        let codec = &self.settings.codec;
        // A codec may be the user's code.
        let decoded = catch_unwind(AssertUnwindSafe(|| codec.decode(frame)));
        let panicked = |_| {
            Err(CodecError::new(
                CodecErrorKind::Malformed,
                "the codec panicked",
            ))
        };
        let message = match decoded.unwrap_or_else(panicked) {
            Ok(message) => message,
            Err(error) => {
                // Where it was an answer, whoever waits for it waits in vain.
                return self.unreadable.found(&error);
            }
        };
        if let Some(id) = message.message_id().filter(|id| id.is_number())
            && let Some(entry) = id.as_str().parse().ok().and_then(|id| self.outbox.take(id))
        {
            let result = match message.route() {
                routes::ERROR => Err(RequestError::Refused(Refusal::of(&message))),
                _ => Ok(message),
            };
            return self.settle(entry.done, result);
        }
        if let Some(Exchange::Request(id)) = message.exchange() {
            let id = id.clone();
            return self.asked(message, id);
        }
        if let Some(name) = message.room() {
            let name = name.clone();
            let Some(room) = self.rooms.get_mut(&name) else {
                return self.shared.publish(&message);
            };
            let (next, is_new) = room.receive(&message);
            if is_new {
                self.shared.publish(&message);
            }
            return self.follow_if(&name, next);
        }
        self.heed(&message);
        self.shared.publish(&message);
    }

    fn asked(&mut self, message: Message, id: realtime_core::MessageId) {
        let question = Question::new(message, id.clone(), self.link, self.weak.clone());
        let outlet = self.outlet_of_questions();
        let is_read = outlet.is_open();
        if let Err(question) = outlet.offer(question) {
            // It is answered right here.
            question.ignore();
            if !self.has_room() {
                // A server that asks and doesn't read waits for its time.
                return;
            }
            let error = match is_read {
                true => ClientError::new("busy", "as many requests wait as may").temporary(),
                false => ClientError::new("unknown_route", "this client answers no requests"),
            };
            // What can't be written isn't answered, and the server waits for its time.
            let _told_or_not = self.write(&refusal(id, error));
        }
    }

    /// What the server says of this session.
    fn heed(&mut self, message: &Message) {
        match message.route() {
            routes::EXPIRING => self.expiring(),
            routes::REMOVED => {
                let name = message.decode::<Removed>().ok();
                let name = name.and_then(|removed| RoomName::shown(Text::from(removed.room)));
                if let Some(mut room) = name.and_then(|name| self.rooms.remove(&name)) {
                    room.removed();
                }
            }
            routes::GAP => {
                let gap = message.decode::<Gap>().ok();
                let rooms = gap.map(|gap| gap.rooms).unwrap_or_default();
                let names: Vec<RoomName> = self.rooms.keys().cloned().collect();
                for name in names {
                    let at = rooms.get(name.as_str()).cloned().and_then(At::read);
                    if let Some(room) = self.rooms.get_mut(&name) {
                        let next = room.gap(at.as_ref());
                        self.follow_if(&name, next);
                    }
                }
            }
            _ => {}
        }
    }

    fn follow_if(&mut self, name: &RoomName, next: crate::rooms::Next) {
        if next != crate::rooms::Next::Nothing {
            self.follow(name, next);
        }
    }
}
