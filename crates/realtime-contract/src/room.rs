//! The declaration of rooms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::{Event, entry::Heard};

/// Rooms whose names fit a pattern, and what their members hear there.
///
/// ```
/// use realtime::contract::{Attendance, Contract, Event, Room};
///
/// const SAID: Event<String> = Event::new("said");
/// const WHO: Event<Attendance> = Event::new("who");
///
/// // As `RoomRule::open().publish(SAID.route()).announce(WHO.route())` has it.
/// let chat = Room::new("chat:{id}").publish(SAID).announce(WHO);
/// let contract = Contract::new("Chat", "1.0.0").room(chat);
/// ```
#[derive(Debug, Clone)]
#[must_use = "a room is declared by `Contract::room`"]
pub struct Room {
    pub(crate) pattern: String,
    pub(crate) summary: String,
    pub(crate) events: Vec<Heard>,
    pub(crate) published: Option<Heard>,
    pub(crate) announced: Option<Heard>,
    pub(crate) clients_join: bool,
}

impl Room {
    /// Rooms of this pattern, as [`Router::room`](realtime_gateway::Router::room) takes it.
    pub fn new(pattern: impl Into<String>) -> Self {
        Self {
            pattern: pattern.into(),
            summary: String::new(),
            events: Vec::new(),
            published: None,
            announced: None,
            clients_join: true,
        }
    }

    /// One sentence for the document.
    pub fn summary(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Members hear this.
    pub fn event<T: JsonSchema + 'static>(mut self, event: Event<T>) -> Self {
        self.events.push(Heard::of(event));
        self
    }

    /// Members publish it, and all of them hear it: what
    /// [`RoomRule::publish`](realtime_gateway::RoomRule::publish) does with the same route. What they
    /// publish isn't read by the server, so its type is their promise to each other.
    pub fn publish<T: JsonSchema + 'static>(mut self, event: Event<T>) -> Self {
        self.published = Some(Heard::of(event));
        self.event(event)
    }

    /// Members hear who comes and goes: what
    /// [`RoomRule::announce`](realtime_gateway::RoomRule::announce) does with the same route.
    pub fn announce(mut self, event: Event<Attendance>) -> Self {
        self.announced = Some(Heard::of(event));
        self.event(event)
    }

    /// Only handlers let sessions in: clients can't ask for it.
    pub fn without_join(mut self) -> Self {
        self.clients_join = false;
        self
    }
}

/// Who has come into a room, and who has left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Attendance {
    /// Who has come.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub joined: Vec<Member>,
    /// Who has gone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left: Vec<Member>,
}

/// Somebody in a room: an identity, however many sessions it has there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Member {
    /// The id of the identity.
    pub id: String,
    /// Its tenant, where it has one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub tenant: String,
    /// Higher with each coming and each going of this identity in the room.
    pub version: u64,
}
