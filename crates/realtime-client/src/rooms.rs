//! One room, as the task knows it: whether it is a member, where it is in the history, and what has
//! to be asked next. It is a state machine without a socket or a clock.

use realtime_codec_json::JsonCodec;
use realtime_core::{
    Message, Payload, RoomName, Text,
    codec::{Codec, CodecError, CodecErrorKind, Frame},
    history::{Epoch, Position},
};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::Instant;

use crate::{
    RequestError, RoomEvent, backoff::Backoff, command::Joined, inbox::Outlet,
    unreadable::Unreadable,
};

/// What a reader of a room gets: an event, and where the room is behind it.
pub(crate) type RoomItem = (RoomEvent, Option<Position>);

/// What the task has to do next.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Nothing,
    /// Ask to be let in, or for what was missed.
    Enter,
    /// It isn't in the room any more, nor wants to be.
    Forget,
}

pub(crate) struct Room {
    name: RoomName,
    pub(crate) generation: u64,
    readers: Vec<Outlet<RoomItem>>,
    waiting: Vec<Joined>,
    position: Option<Position>,
    /// It was a member once: who comes back without a position has lost something.
    was_member: bool,
    is_member: bool,
    /// From where it was asked, while it is.
    asking: Option<Option<Position>>,
    /// It has to be asked once more: something was missed while it was asked.
    again: bool,
    /// It is to be entered, and others have their turn before.
    pub(crate) waits: bool,
    /// The highest offset that was dropped since something before it is missing.
    ahead: u64,
    backoff: Backoff,
    pub(crate) retry_at: Option<Instant>,
    /// Of what was missed.
    unreadable: Unreadable,
}

/// However its task ends: nothing more comes.
impl Drop for Room {
    fn drop(&mut self) {
        self.readers.iter().for_each(Outlet::close);
    }
}

/// The data of the answer to `join` and `recover`.
#[derive(Deserialize, Default)]
struct Entered {
    position: Option<At>,
    recovered: Option<bool>,
    #[serde(default)]
    missed: Vec<Box<RawValue>>,
}

/// A position, as it travels.
#[derive(Deserialize, Serialize, Debug, Clone)]
pub(crate) struct At {
    epoch: String,
    offset: u64,
}

impl At {
    pub(crate) fn read(self) -> Option<Position> {
        let epoch: Epoch = self.epoch.parse().ok()?;
        Some(Position::new(epoch, self.offset))
    }
}

#[derive(Serialize)]
struct Wish<'r> {
    room: &'r str,
    #[serde(skip_serializing_if = "Option::is_none")]
    epoch: Option<&'r str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    offset: Option<u64>,
}

impl Room {
    pub(crate) fn new(
        name: RoomName,
        generation: u64,
        position: Option<Position>,
        backoff: Backoff,
    ) -> Self {
        Self {
            name,
            generation,
            readers: Vec::new(),
            waiting: Vec::new(),
            position,
            was_member: false,
            is_member: false,
            asking: None,
            again: false,
            waits: false,
            ahead: 0,
            backoff,
            retry_at: None,
            unreadable: Unreadable::default(),
        }
    }

    /// One more wants to read it. True where it is yet to be entered.
    pub(crate) fn add(&mut self, outlet: Outlet<RoomItem>, joined: Joined) -> bool {
        self.readers.push(outlet);
        if self.is_member {
            // Who has given up meanwhile is no longer among the readers.
            let _heard_or_not = joined.send(Ok(self.position.clone()));
            return false;
        }
        self.waiting.push(joined);
        self.asking.is_none() && self.retry_at.is_none() && !self.waits
    }

    /// Whether it is this object of its name, and waits for its turn.
    pub(crate) const fn has_turn(&self, generation: u64) -> bool {
        self.waits && self.generation == generation
    }

    /// Whether anybody reads it.
    pub(crate) fn is_read(&mut self) -> bool {
        self.readers.retain(Outlet::is_open);
        self.waiting.retain(|joined| !joined.is_closed());
        !self.readers.is_empty()
    }

    /// What is to be asked now, if that makes sense.
    pub(crate) fn wish(&mut self) -> Option<(&'static str, Payload)> {
        self.again = self.asking.is_some();
        if self.again {
            return None;
        }
        self.retry_at = None;
        let from = self.position.clone();
        let wish = Wish {
            room: self.name.as_str(),
            epoch: from.as_ref().map(|from| from.epoch.as_str()),
            offset: from.as_ref().map(|from| from.offset),
        };
        // Two strings and a number always are JSON.
        let data = Payload::json(&wish).ok()?;
        let route = if from.is_some() { "recover" } else { "join" };
        self.asking = Some(from);
        Some((route, data))
    }

    /// There is no connection.
    pub(crate) fn disconnected(&mut self) {
        (self.asking, self.again, self.retry_at) = (None, false, None);
        (self.is_member, self.waits) = (false, false);
    }

    /// A message that says that it is for this room. Also returns whether it is new.
    pub(crate) fn receive(&mut self, message: &Message) -> (Next, bool) {
        // Without an offset it is none of the history, and delivered as it is: so are the news of who
        // comes and goes, in a room with a history, too.
        if let (Some(offset), Some(position)) = (message.offset(), &mut self.position) {
            if offset <= position.offset {
                return (Next::Nothing, false);
            }
            if offset > position.offset + 1 {
                self.ahead = self.ahead.max(offset);
                // Where it has just been refused, it has its time.
                let is_asked = self.asking.is_some() || self.retry_at.is_some() || self.waits;
                let next = if is_asked { Next::Nothing } else { Next::Enter };
                return (next, false);
            }
            position.offset = offset;
        }
        self.tell(&RoomEvent::Message(message.clone()));
        (Next::Nothing, true)
    }

    /// The server has dropped messages: where it is in this room by now.
    pub(crate) fn gap(&mut self, at: Option<&Position>) -> Next {
        match &self.position {
            None => {
                if self.is_member {
                    self.tell(&RoomEvent::Lost);
                }
                Next::Nothing
            }
            Some(last) => {
                let is_here =
                    at.is_some_and(|at| at.epoch == last.epoch && at.offset <= last.offset);
                let waits = is_here || self.retry_at.is_some();
                if waits { Next::Nothing } else { Next::Enter }
            }
        }
    }

    pub(crate) fn removed(&mut self) {
        self.tell(&RoomEvent::Removed);
        self.out(&RequestError::Lost { sent: false });
    }

    /// The answer to its wish. What was missed is given to `deliver`, too.
    pub(crate) fn answered(
        &mut self,
        answer: Result<Message, RequestError>,
        now: Instant,
        mut deliver: impl FnMut(&Message),
    ) -> Next {
        let Some(from) = self.asking.take() else {
            return Next::Nothing;
        };
        match answer.and_then(|answer| {
            answer
                .decode::<Option<Entered>>()
                .map_err(RequestError::Decode)
        }) {
            Ok(entered) => self.entered(from, entered.unwrap_or_default(), &mut deliver),
            Err(error) => self.failed(error, now),
        }
    }

    fn entered(
        &mut self,
        from: Option<Position>,
        entered: Entered,
        deliver: &mut impl FnMut(&Message),
    ) -> Next {
        let recovered = entered.recovered.unwrap_or(false);
        let before = self.position.as_ref().map_or(0, |position| position.offset);
        let is_first = !self.was_member && from.is_none();
        // Where the streams of those who wait for it begin: what was missed stands in them.
        let begin = self.position.clone();
        (self.was_member, self.is_member) = (true, true);
        self.backoff.reset();
        let position = entered.position.and_then(At::read);
        let (mut missed, mut is_whole) = (0, recovered);
        if recovered {
            for envelope in entered.missed {
                let frame = Frame::Text(Text::from(String::from(Box::<str>::from(envelope))));
                let (message, offset) = match missed_message(frame) {
                    Ok(missed) => missed,
                    Err(error) => {
                        self.unreadable.found(&error);
                        is_whole = false;
                        continue;
                    }
                };
                if offset <= before {
                    continue;
                }
                if let Some(place) = &mut self.position {
                    place.offset = offset;
                }
                missed += 1;
                self.tell(&RoomEvent::Message(message.clone()));
                deliver(&message);
            }
        }
        // What has come meanwhile comes once more behind the answer, and is known.
        let is_ahead = self.position.as_ref().zip(position.as_ref());
        let is_ahead = is_ahead
            .is_some_and(|(here, told)| here.epoch == told.epoch && here.offset > told.offset);
        if !(recovered && is_ahead) {
            self.position = position;
        }
        if is_whole {
            self.tell(&RoomEvent::Recovered { missed });
        } else if recovered || !is_first {
            self.tell(&RoomEvent::Lost);
        }
        for joined in self.waiting.drain(..) {
            // Who has given up meanwhile is no longer among the readers.
            let begin = begin.as_ref().or(self.position.as_ref());
            let _heard_or_not = joined.send(Ok(begin.cloned()));
        }
        let place = self.position.as_ref().map(|position| position.offset);
        let is_behind = place.is_some_and(|place| self.ahead > place);
        self.ahead = 0;
        if std::mem::take(&mut self.again) || is_behind {
            Next::Enter
        } else {
            Next::Nothing
        }
    }

    fn failed(&mut self, error: RequestError, now: Instant) -> Next {
        let least = match &error {
            // The next connection brings it here again.
            RequestError::Lost { .. } | RequestError::Ended => return Next::Nothing,
            RequestError::Refused(refusal) if !refusal.is_temporary() => {
                self.tell(&RoomEvent::Refused(refusal.clone()));
                self.out(&error);
                return Next::Forget;
            }
            RequestError::Refused(refusal) => refusal.retry_after().unwrap_or_default(),
            _ => std::time::Duration::ZERO,
        };
        self.retry_at = Some(now + least.max(self.backoff.wait()));
        Next::Nothing
    }

    /// Nobody reads it any more, for this reason.
    pub(crate) fn out(&mut self, error: &RequestError) {
        for joined in self.waiting.drain(..) {
            // Who has given up meanwhile needn't hear it.
            let _heard_or_not = joined.send(Err(error.clone()));
        }
        self.readers.drain(..).for_each(|reader| reader.close());
    }

    fn tell(&mut self, event: &RoomEvent) {
        let item = (event.clone(), self.position.clone());
        self.readers.retain(|reader| reader.push(item.clone()));
    }
}

/// A message of the history, and its place there: without one, it can't be told from one that is known.
fn missed_message(frame: Frame) -> Result<(Message, u64), CodecError> {
    let message = JsonCodec.decode(frame)?;
    let offset = message.offset().ok_or_else(|| {
        let context = "expected the offset of a message that was missed; there is none";
        CodecError::new(CodecErrorKind::Malformed, context)
    })?;
    Ok((message, offset))
}

/// The data of `leave`.
pub(crate) fn leaving(room: &RoomName) -> Payload {
    #[derive(Serialize)]
    struct Leaving<'r> {
        room: &'r str,
    }
    // A string always is JSON.
    Payload::json(&Leaving {
        room: room.as_str(),
    })
    .unwrap_or_default()
}
