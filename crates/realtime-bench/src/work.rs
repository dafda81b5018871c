//! What is measured, and its name on the command line and in the report.

use std::{fmt, str::FromStr};

/// One kind of load. As text: `fan-out:1000x128w16` is 1,000 sessions, 128 bytes, 16 in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// One session's broadcasts go to all, a window of them at a time.
    FanOut(Shape),
    /// The same by way of a room that all are in. Peers without rooms broadcast.
    Room(Shape),
    /// A window of messages at a time goes to as many of many rooms, which take turns.
    Rooms(Rooms),
    /// The same while members leave rooms and join others.
    Moving(Rooms),
    /// So many rooms get one member each, then a second one, and lose both.
    Held(usize),
    /// Every session's messages come back to it, a window of them at a time.
    Echo(Shape),
    /// The same with an id, as requests that are answered. The peers have none, so it is an echo.
    Request(Shape),
    /// Broadcasts at a given rate, whether or not the last one has arrived.
    Latency(Shape),
    /// A fan-out before and after one more session has stopped to read.
    Stalled(Shape),
    /// So many connections are opened and held, and have messages later.
    Connect(usize),
    /// So many connect at the same instant.
    Storm(usize),
}

/// How much of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    pub(crate) sessions: usize,
    /// The bytes of a message as it travels, with its envelope.
    pub(crate) payload: usize,
    /// How many messages are under way at once.
    pub(crate) window: usize,
}

/// Many rooms, and what is sent to each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rooms {
    pub(crate) rooms: usize,
    /// Of each room.
    pub(crate) members: usize,
    /// The bytes of a message as it arrives, with its envelope.
    pub(crate) payload: usize,
    /// How many messages are under way at once, each to another room.
    pub(crate) window: usize,
}

impl Rooms {
    /// In how many rooms each session is, if there are as many.
    pub(crate) const OF_SESSION: usize = 10;

    /// How many sessions fill them.
    pub(crate) fn sessions(self) -> usize {
        self.members * self.rooms.div_ceil(Self::OF_SESSION)
    }

    fn title(self) -> String {
        let Self {
            rooms,
            members,
            payload,
            window,
        } = self;
        format!("{rooms} rooms of {members} × {payload} B, {window} in flight")
    }
}

impl Work {
    /// Whether a floor that batches is the fair one.
    pub(crate) fn is_burst(self) -> bool {
        matches!(self, Self::FanOut(shape) | Self::Room(shape) if shape.window > 1)
    }

    /// Whether only our server can do it.
    pub(crate) fn is_ours_alone(self) -> bool {
        matches!(self, Self::Rooms(_) | Self::Moving(_) | Self::Held(_))
    }

    /// How a person would call it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::FanOut(shape) => format!("fan-out, {}", shape.title()),
            Self::Room(shape) => format!("room, {}", shape.title()),
            Self::Rooms(rooms) => rooms.title(),
            Self::Moving(rooms) => format!("{}, members move", rooms.title()),
            Self::Held(rooms) => format!("memory of {rooms} rooms"),
            Self::Echo(shape) => format!("echo, {}", shape.title()),
            Self::Request(shape) => format!("request and reply, {}", shape.title()),
            Self::Latency(shape) => {
                format!("p99 at half of the floor's rate, {}", shape.title())
            }
            Self::Stalled(shape) => {
                format!("p99 when a reader stops, {}", shape.title())
            }
            Self::Connect(sessions) => format!("{sessions} connects"),
            Self::Storm(sessions) => format!("p99 of {sessions} handshakes at the same instant"),
        }
    }
}

impl Shape {
    fn title(self) -> String {
        let Self {
            sessions,
            payload,
            window,
        } = self;
        format!("{sessions} × {payload} B, {window} in flight")
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, shape) = match self {
            Self::FanOut(shape) => ("fan-out", shape),
            Self::Room(shape) => ("room", shape),
            Self::Echo(shape) => ("echo", shape),
            Self::Request(shape) => ("request", shape),
            Self::Latency(shape) => ("latency", shape),
            Self::Stalled(shape) => ("stalled", shape),
            Self::Rooms(rooms) => return write!(f, "rooms:{rooms}"),
            Self::Moving(rooms) => return write!(f, "moving:{rooms}"),
            Self::Held(rooms) => return write!(f, "held:{rooms}"),
            Self::Connect(sessions) => return write!(f, "connect:{sessions}"),
            Self::Storm(sessions) => return write!(f, "storm:{sessions}"),
        };
        write!(f, "{name}:{}x{}", shape.sessions, shape.payload)?;
        write_window(f, shape.window)
    }
}

impl fmt::Display for Rooms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}x{}x{}", self.rooms, self.members, self.payload)?;
        write_window(f, self.window)
    }
}

fn write_window(f: &mut fmt::Formatter<'_>, window: usize) -> fmt::Result {
    match window {
        1 => Ok(()),
        window => write!(f, "w{window}"),
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "expected fan-out:NxP, room:NxP, echo:NxP, request:NxP (these also NxPwW), latency:NxP, \
                 stalled:NxP, rooms:RxMxP, moving:RxMxP (these two also with wW), held:R, connect:N or \
                 storm:N; got {text:?}"
            )
        })
    }
}

fn parse(text: &str) -> Option<Work> {
    let positive = |text: &str| text.parse().ok().filter(|number| *number > 0);
    let (name, rest) = text.split_once(':')?;
    match name {
        "connect" => return Some(Work::Connect(positive(rest)?)),
        "storm" => return Some(Work::Storm(positive(rest)?)),
        "held" => return Some(Work::Held(positive(rest)?)),
        _ => {}
    }
    let (rooms, rest) = match name {
        "rooms" | "moving" => {
            let (rooms, rest) = rest.split_once('x')?;
            (positive(rooms)?, rest)
        }
        _ => (1, rest),
    };
    let (sessions, rest) = rest.split_once('x')?;
    let (payload, window) = rest.split_once('w').unwrap_or((rest, "1"));
    let shape = Shape {
        sessions: positive(sessions)?,
        payload: positive(payload)?,
        window: positive(window)?,
    };
    let rooms = Rooms {
        rooms,
        members: shape.sessions,
        payload: shape.payload,
        window: shape.window,
    };
    match (name, shape.window) {
        ("rooms", _) => Some(Work::Rooms(rooms)),
        ("moving", _) => Some(Work::Moving(rooms)),
        ("fan-out", _) => Some(Work::FanOut(shape)),
        ("room", _) => Some(Work::Room(shape)),
        ("echo", _) => Some(Work::Echo(shape)),
        ("request", _) => Some(Work::Request(shape)),
        ("latency", 1) => Some(Work::Latency(shape)),
        ("stalled", 1) => Some(Work::Stalled(shape)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        for text in [
            "fan-out:1000x128",
            "fan-out:1000x128w16",
            "room:1000x128w16",
            "rooms:10000x10x128",
            "rooms:10000x10x128w16",
            "moving:100x100x128w4",
            "held:100000",
            "echo:100x128w16",
            "request:100x128",
            "latency:1000x128",
            "stalled:1000x1024",
            "connect:10000",
            "storm:4000",
        ] {
            assert_eq!(text.parse::<Work>().unwrap().to_string(), text);
        }
        for text in [
            "",
            "fan-out",
            "fan-out:0x1",
            "latency:1x1w2",
            "other:1x1",
            "connect:x",
            "storm:0",
            "rooms:10x128",
            "moving:0x10x128",
            "held:1x1",
        ] {
            assert!(text.parse::<Work>().is_err(), "{text}");
        }
    }
}
