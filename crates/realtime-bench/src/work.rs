//! What is measured, and its name on the command line and in the report.

use std::{fmt, str::FromStr};

/// One kind of load. As text: `fan-out:1000x128w16` is 1,000 sessions, 128 bytes, 16 in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Work {
    /// One session's broadcasts go to all, a window of them at a time.
    FanOut(Shape),
    /// The same by way of a room that all are in. Peers without rooms broadcast.
    Room(Shape),
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

impl Work {
    /// Whether a floor that batches is the fair one.
    pub(crate) fn is_burst(self) -> bool {
        matches!(self, Self::FanOut(shape) | Self::Room(shape) if shape.window > 1)
    }

    /// How a person would call it.
    pub(crate) fn title(self) -> String {
        match self {
            Self::FanOut(shape) => format!("fan-out, {}", shape.title()),
            Self::Room(shape) => format!("room, {}", shape.title()),
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
            Self::Connect(sessions) => return write!(f, "connect:{sessions}"),
            Self::Storm(sessions) => return write!(f, "storm:{sessions}"),
        };
        write!(f, "{name}:{}x{}", shape.sessions, shape.payload)?;
        match shape.window {
            1 => Ok(()),
            window => write!(f, "w{window}"),
        }
    }
}

impl FromStr for Work {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        parse(text).ok_or_else(|| {
            format!(
                "expected fan-out:NxP, room:NxP, echo:NxP, request:NxP (these also NxPwW), latency:NxP, \
                 stalled:NxP, connect:N or storm:N; got {text:?}"
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
        _ => {}
    }
    let (sessions, rest) = rest.split_once('x')?;
    let (payload, window) = rest.split_once('w').unwrap_or((rest, "1"));
    let shape = Shape {
        sessions: positive(sessions)?,
        payload: positive(payload)?,
        window: positive(window)?,
    };
    match (name, shape.window) {
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
        ] {
            assert!(text.parse::<Work>().is_err(), "{text}");
        }
    }
}
