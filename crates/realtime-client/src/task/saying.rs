//! What is said to the server, and what became of it.

use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::BytesMut;
use realtime_core::{
    Message, Payload, RoomName,
    codec::{CodecError, CodecErrorKind},
};
use tokio::time::Instant;

use super::{Phase, Task};
use crate::{
    RequestError,
    backoff::Backoff,
    command::{Command, Limit},
    outbox::Done,
    rooms::{Next, Room, leaving},
};

/// The most rooms of one client.
const MOST_ROOMS: usize = 10_000;
/// So many rooms are entered at once; the others wait for their turn. A client that comes back with
/// all its rooms is then no burst, neither for the server nor for what its user asks meanwhile.
const ENTERED_AT_ONCE: usize = 32;

impl Task {
    pub(super) fn command(&mut self, command: Command) {
        match command {
            Command::Ask {
                message,
                limit,
                answer,
            } => {
                // Nobody waits for it any more: it needn't be done.
                if !answer.is_closed() {
                    self.say(message, Done::Answer(answer), &limit);
                }
            }
            Command::Post {
                message,
                limit,
                sent,
            } => {
                if !sent.is_closed() {
                    self.say(message, Done::Sent(sent), &limit);
                }
            }
            Command::Reply {
                message,
                link,
                sent,
            } => {
                let result = match link == self.link {
                    true => self.write(&message),
                    false => Err(RequestError::Lost { sent: false }),
                };
                if let Some(sent) = sent {
                    // Who doesn't wait for it needn't hear it.
                    let _heard_or_not = sent.send(result);
                }
            }
            Command::Join {
                room,
                from,
                outlet,
                joined,
            } => {
                let rooms = self.rooms.len() + self.outbox.leaving();
                if !self.rooms.contains_key(&room) && rooms >= MOST_ROOMS {
                    let _heard_or_not = joined.send(Err(RequestError::Full));
                    return;
                }
                self.generations += 1;
                let (generation, backoff) = (self.generations, Backoff::new(self.settings.backoff));
                let entry = self.rooms.entry(room.clone());
                let new = || Room::new(room.clone(), generation, from, backoff);
                if entry.or_insert_with(new).add(outlet, joined) {
                    self.enter(&room);
                }
            }
            Command::Leave {
                room,
                limit,
                answer,
            } => {
                let is_read = self.rooms.get_mut(&room).is_none_or(Room::is_read);
                if is_read || !self.is_open {
                    // It is in it for somebody else, or for nobody.
                    if !is_read {
                        self.rooms.remove(&room);
                    }
                    let _heard_or_not = answer.send(Ok(Message::default()));
                    return;
                }
                self.rooms.remove(&room);
                // It has to be said, however late it is.
                let _in_time = limit.take();
                let message = Message::plain(None, "leave".into(), leaving(&room));
                self.say_now(message, Done::Left(answer), limit.deadline);
            }
            Command::Retry => {
                if matches!(self.phase, Phase::Waiting(_)) {
                    self.attempt();
                }
            }
        }
    }

    /// The client has ended.
    pub(super) fn decline(command: Command) {
        // Who doesn't wait for it needn't hear it.
        match command {
            Command::Ask { answer, .. } | Command::Leave { answer, .. } => {
                let _heard_or_not = answer.send(Err(RequestError::Ended));
            }
            Command::Post { sent, .. }
            | Command::Reply {
                sent: Some(sent), ..
            } => {
                let _heard_or_not = sent.send(Err(RequestError::Ended));
            }
            Command::Join { joined, .. } => {
                let _heard_or_not = joined.send(Err(RequestError::Ended));
            }
            Command::Reply { sent: None, .. } | Command::Retry => {}
        }
    }

    /// Says it now, or keeps it until there is a connection.
    fn say(&mut self, message: Message, done: Done, limit: &Limit) {
        let deadline = limit.deadline;
        if !limit.take() {
            self.settle(done, Err(RequestError::TimedOut { sent: false }));
        } else if self.is_online {
            self.say_now(message, done, deadline);
        } else if let Err(done) = self.outbox.keep(message, done, deadline) {
            self.settle(done, Err(RequestError::Full));
        }
    }

    fn say_now(&mut self, message: Message, done: Done, deadline: Instant) {
        if let Done::Sent(_) = done {
            let result = self.write(&message);
            return self.settle(done, result.map(|()| Message::default()));
        }
        match self.outbox.add(done, deadline) {
            Err(done) => self.settle(done, Err(RequestError::Full)),
            Ok(id) => self.write_asked(id, message),
        }
    }

    fn write_asked(&mut self, id: u64, message: Message) {
        if let Err(error) = self.write(&message.with_id(id))
            && let Some(entry) = self.outbox.take(id)
        {
            self.settle(entry.done, Err(error));
        }
    }

    /// Sends what waits for it.
    pub(super) fn flush(&mut self) {
        while self.is_online
            && let Some((id, message)) = self.outbox.next_waiting()
        {
            let is_post = self.outbox.is_post(id);
            if !is_post {
                self.write_asked(id, message);
                continue;
            }
            let result = self.write(&message).map(|()| Message::default());
            if let Some(entry) = self.outbox.take(id) {
                self.settle(entry.done, result);
            }
        }
    }

    /// What this client asks for itself, as soon as a connection is open.
    pub(super) fn ask_for_itself(&mut self, route: &'static str, data: Payload, done: Done) {
        let message = Message::plain(None, route.into(), data);
        self.say_now(message, done, Instant::now() + self.settings.timeout);
    }

    pub(super) fn write(&mut self, message: &Message) -> Result<(), RequestError> {
        let Phase::Open(link) = &mut self.phase else {
            return Err(RequestError::Lost { sent: false });
        };
        if link.is_over() {
            return Err(RequestError::Lost { sent: false });
        }
        let mut out = BytesMut::new();
        let codec = &self.settings.codec;
        // A codec may be the user's code.
        let encoded = catch_unwind(AssertUnwindSafe(|| codec.encode(message, &mut out)));
        let panicked = |_| {
            let context = "the codec panicked";
            Err(CodecError::new(CodecErrorKind::Encode, context))
        };
        let kind = encoded
            .unwrap_or_else(panicked)
            .map_err(RequestError::Encode)?;
        link.send(kind, &out);
        Ok(())
    }

    /// Asks to be let into a room, or for what was missed, when it has its turn.
    pub(super) fn enter(&mut self, name: &RoomName) {
        if !self.is_open {
            return;
        }
        if self.outbox.entering() < ENTERED_AT_ONCE {
            return self.enter_now(name);
        }
        if let Some(room) = self.rooms.get_mut(name)
            && !std::mem::replace(&mut room.waits, true)
        {
            let generation = room.generation;
            let rooms = &self.rooms;
            let is_wanted = |name: &RoomName, of| rooms.get(name).is_some_and(|r| r.has_turn(of));
            self.turns
                .push(name.clone(), generation, MOST_ROOMS, is_wanted);
        }
    }

    /// Some of those that were asked for may have their answers.
    pub(super) fn enter_waiting(&mut self) {
        while self.outbox.entering() < ENTERED_AT_ONCE
            && let Some((name, generation)) = self.turns.pop()
        {
            // Unless it was left, or has had its turn.
            let room = self.rooms.get(&name);
            if room.is_some_and(|room| room.has_turn(generation)) {
                self.enter_now(&name);
            }
        }
    }

    fn enter_now(&mut self, name: &RoomName) {
        let Some(room) = self.rooms.get_mut(name) else {
            return;
        };
        room.waits = false;
        let generation = room.generation;
        if let Some((route, data)) = room.wish() {
            self.ask_for_itself(route, data, Done::Room(name.clone(), generation));
        }
    }

    /// What a room wants next.
    pub(super) fn follow(&mut self, name: &RoomName, next: Next) {
        match next {
            Next::Nothing => {}
            Next::Enter => self.enter(name),
            Next::Forget => {
                self.rooms.remove(name);
            }
        }
        // A time that isn't right any more is looked at once, and for nothing.
        let retry_at = self.rooms.get(name).and_then(|room| room.retry_at);
        self.rooms_at = self.rooms_at.into_iter().chain(retry_at).min();
    }

    /// Leaves the rooms that nobody reads any more.
    pub(super) fn leave_unread(&mut self) {
        let unread = self.rooms.extract_if(|_, room| !room.is_read());
        let unread: Vec<RoomName> = unread.map(|(name, _)| name).collect();
        for name in unread {
            if self.is_open {
                let message = Message::plain(None, "leave".into(), leaving(&name));
                // There is nobody to whom it could be told.
                let _sent_or_not = self.write(&message);
            }
        }
    }

    /// Tells who has asked what became of it.
    pub(super) fn settle(&mut self, done: Done, result: Result<Message, RequestError>) {
        match done {
            // Who has given up needn't hear it.
            Done::Answer(answer) | Done::Left(answer) => {
                let _heard_or_not = answer.send(result);
            }
            Done::Sent(sent) => {
                let _heard_or_not = sent.send(result.map(drop));
            }
            Done::Shown { first } => self.shown(first, result),
            Done::Room(name, generation) => {
                let shared = std::sync::Arc::clone(&self.shared);
                let room = self.rooms.get_mut(&name);
                if let Some(room) = room.filter(|room| room.generation == generation) {
                    let deliver = |message: &Message| shared.publish(message);
                    let next = room.answered(result, Instant::now(), deliver);
                    self.follow(&name, next);
                }
            }
        }
    }
}
