//! What this server and its page agree on: every route with its types, declared once. The document
//! `asyncapi.json` and the page's `routes.d.ts` are made of it, by `just contract`.

use realtime::contract::{Attendance, Contract, Event, Refusal, Request, Room};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a client may rely on: higher when routes change, whatever the version of the server is.
const VERSION: &str = "1.0.0";

/// The longest line, in characters.
pub(crate) const TEXT: usize = 2000;
/// The longest name of a line, in bytes.
pub(crate) const REF: usize = 64;

pub(crate) const SAY: Request<Said, (), NotSaid> =
    Request::new("say").summary("Says a line in a room.");
pub(crate) const LINES: Request<Earlier, Page, NotRead> = Request::new("lines")
    .summary("Asks for the newest lines of a room, or those before an offset.");
pub(crate) const TYPING: Request<Typing, (), NotAMember> =
    Request::new("typing").summary("Tells the others in a room that somebody writes.");
pub(crate) const REMOVE: Request<Remove, Removal, NotRemoved> =
    Request::new("remove").summary("Removes somebody from a room: for moderators.");

pub(crate) const LINE: Event<Line> = Event::new("line").summary("Somebody has said something.");
pub(crate) const PEOPLE: Event<Attendance> =
    Event::new("people").summary("Somebody comes or goes.");
pub(crate) const GONE: Event<Gone> =
    Event::new("gone").summary("A moderator has removed somebody.");
pub(crate) const WRITES: Event<Writer> = Event::new("typing").summary("Somebody is writing.");

/// What is said, and who is there: kept.
pub(crate) const ROOM: &str = "room:{name}";
/// Who is writing: not kept.
pub(crate) const WRITERS: &str = "typing:{name}";

/// All of it.
pub(crate) fn contract() -> Contract {
    let room = Room::new(ROOM).summary("What is said in a room, and who is there.");
    let writers = Room::new(WRITERS).summary("Who is writing in a room.");
    Contract::new("Chat", VERSION)
        .path("/ws")
        .request(SAY)
        .request(LINES)
        .request(TYPING)
        .request(REMOVE)
        .room(room.event(LINE).event(GONE).announce(PEOPLE))
        .room(writers.event(WRITES))
}

/// A line that somebody says. `ref` is the page's own name for it: sent twice, because the answer
/// got lost, it is said once.
#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Said {
    pub(crate) room: String,
    pub(crate) text: String,
    pub(crate) r#ref: String,
}

/// Why a line isn't said.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", content = "data", rename_all = "snake_case")]
pub(crate) enum NotSaid {
    #[error("Join the room first.")]
    NotAMember,
    #[error("There is nothing in this line.")]
    Empty,
    #[error("A line has at most {most} characters; this one has {length}.")]
    TooLong { length: usize, most: usize },
    #[error("The ref of a line has 1 to {REF} bytes.")]
    BadRef,
}

impl Refusal for NotSaid {}

/// A line as everybody gets it. Who said it is the server's word, not the page's.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub(crate) struct Line {
    /// The person.
    pub(crate) from: String,
    pub(crate) name: String,
    pub(crate) text: String,
    /// Milliseconds since 1970.
    pub(crate) at: u64,
    pub(crate) r#ref: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Earlier {
    pub(crate) room: String,
    /// From an earlier page; without it the newest are meant.
    pub(crate) before: Option<u64>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Page {
    pub(crate) lines: Vec<Kept>,
    /// What to ask for next; nothing where there is nothing earlier.
    pub(crate) before: Option<u64>,
}

/// A line with its place in the room.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Kept {
    pub(crate) offset: u64,
    #[serde(flatten)]
    pub(crate) line: Line,
}

/// Why lines can't be had.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum NotRead {
    #[error("Join the room first.")]
    NotAMember,
    #[error("The lines can't be read now.")]
    Unavailable,
}

impl Refusal for NotRead {
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Typing {
    pub(crate) room: String,
}

/// What isn't for those who are not in the room.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum NotAMember {
    #[error("Join the room first.")]
    NotAMember,
}

impl Refusal for NotAMember {}

/// Who writes.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Writer {
    pub(crate) person: String,
    pub(crate) name: String,
}

#[derive(Debug, Deserialize, JsonSchema)]
pub(crate) struct Remove {
    pub(crate) room: String,
    /// As the gateway tells of them.
    pub(crate) id: String,
}

/// Somebody has been removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Removal {
    /// How many connections of theirs were closed.
    pub(crate) sessions: u64,
}

/// Why somebody isn't removed.
#[derive(Debug, thiserror::Error, Serialize, JsonSchema)]
#[serde(tag = "code", rename_all = "snake_case")]
pub(crate) enum NotRemoved {
    #[error("That is for moderators.")]
    Forbidden,
    #[error("Join the room first.")]
    NotAMember,
    #[error("There is nobody with this id.")]
    Nobody,
    #[error("Not all servers have answered. Please try again.")]
    Unavailable,
}

impl Refusal for NotRemoved {
    fn is_temporary(&self) -> bool {
        matches!(self, Self::Unavailable)
    }
}

/// Who was removed.
#[derive(Debug, Serialize, JsonSchema)]
pub(crate) struct Gone {
    pub(crate) id: String,
}
