//! What the servers are spoken to in: the same messages, in each one's form.

use bytes::Bytes;
use clap::ValueEnum;
use realtime_websocket::{Kind, frame};
use serde::{Deserialize, Serialize};

/// The form of messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Dialect {
    /// Our envelopes, on the routes `broadcast` and `echo`.
    Json,
    /// Text that starts with `b` or `e`, and for rooms with `j`, `l` or `r`.
    Plain,
    /// Socket.IO 5 over Engine.IO 4, events `b` and `e`.
    SocketIo,
}

/// What the server is to do with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ask {
    Broadcast,
    Echo,
    /// An echo that is asked for with an id, where the dialect has one.
    Request,
    /// For a room that all have joined, where the dialect has rooms; else a broadcast.
    Room,
}

/// What a server's other frames ask of a client.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Nothing.
    None,
    /// This frame, in return.
    Send(Bytes),
    /// The client may now send messages.
    Joined,
    /// The client did not expect this.
    Wrong,
}

/// Clients must mask, but nothing here hides from a proxy: one key for all.
const KEY: [u8; 4] = [0x5a, 0xa5, 0x3c, 0xc3];

impl Dialect {
    /// The path and query of the upgrade of the `index`th connection.
    pub(crate) fn path(self, index: usize) -> String {
        match self {
            Self::Json => format!("/ws?tenant=bench&identity=u{index}"),
            Self::Plain => "/ws".to_owned(),
            Self::SocketIo => "/socket.io/?EIO=4&transport=websocket".to_owned(),
        }
    }

    /// Whether a client may send as soon as the upgrade is answered.
    pub(crate) fn joins_by_upgrade(self) -> bool {
        self != Self::SocketIo
    }

    /// What a client sends to be in the room, where there is one.
    pub(crate) fn joins(self, ask: Ask) -> Option<Bytes> {
        ((self, ask) == (Self::Json, Ask::Room)).then(|| self.joins_room(THE_ROOM))
    }

    /// A message that comes back from the server with exactly `size` bytes, or in its shortest
    /// form, in a frame as it is sent; and how many bytes it has then.
    pub(crate) fn message(self, ask: Ask, size: usize) -> (Bytes, u64) {
        if (self, ask) == (Self::Json, Ask::Room) {
            return self.to_room(THE_ROOM, size);
        }
        let (head, tail) = match (self, ask) {
            (Self::Json, Ask::Broadcast | Ask::Room) => {
                (r#"{"route":"broadcast","data":""#, r#""}"#)
            }
            (Self::Json, Ask::Echo) => (r#"{"route":"echo","data":""#, r#""}"#),
            (Self::Plain, Ask::Broadcast | Ask::Room) => ("b", ""),
            (Self::Json, Ask::Request) => (r#"{"id":"1","route":"echo","data":""#, r#""}"#),
            (Self::Plain, Ask::Echo | Ask::Request) => ("e", ""),
            (Self::SocketIo, Ask::Broadcast | Ask::Room) => (r#"42["b",""#, r#""]"#),
            (Self::SocketIo, Ask::Echo | Ask::Request) => (r#"42["e",""#, r#""]"#),
        };
        let data = "x".repeat(size.saturating_sub(head.len() + tail.len()));
        let text = [head, &data, tail].concat();
        (client_text(text.as_bytes()), text.len() as u64)
    }

    /// Whether there are rooms that are joined, so that the following three mean something.
    pub(crate) fn has_rooms(self) -> bool {
        self != Self::SocketIo
    }

    /// What a client sends to be in a room.
    pub(crate) fn joins_room(self, room: &str) -> Bytes {
        self.about_room("join", room)
    }

    /// What it sends to be in it no more.
    pub(crate) fn leaves_room(self, room: &str) -> Bytes {
        self.about_room("leave", room)
    }

    fn about_room(self, what: &str, room: &str) -> Bytes {
        let text = match self {
            Self::Json => format!(r#"{{"route":"{what}","data":{{"room":"{room}"}}}}"#),
            _ => format!("{}{room}", &what[..1]),
        };
        client_text(text.as_bytes())
    }

    /// A message to a room that arrives with exactly `size` bytes, or in its shortest form; and how
    /// many bytes it has then.
    pub(crate) fn to_room(self, room: &str, size: usize) -> (Bytes, u64) {
        let around = match self {
            Self::Json => format!(r#"{{"route":"room","room":"{room}","data":""}}"#).len(),
            _ => 1 + room.len(),
        };
        let data = "x".repeat(size.saturating_sub(around));
        let text = match self {
            Self::Json => {
                format!(r#"{{"route":"room","data":{{"room":"{room}","data":"{data}"}}}}"#)
            }
            _ => format!("r{room}{data}"),
        };
        (client_text(text.as_bytes()), (around + data.len()) as u64)
    }

    /// What to do about a frame that is no message.
    pub(crate) fn answer(self, opcode: u8, payload: &[u8]) -> Answer {
        match (opcode, self, payload) {
            (9, ..) => {
                let pong = frame::client_frame(true, frame::Opcode::Pong, payload, KEY);
                Answer::Send(pong)
            }
            (10, ..) => Answer::None,
            // Engine.IO: open, then its ping.
            (1, Self::SocketIo, [b'0', ..]) => Answer::Send(client_text(b"40")),
            (1, Self::SocketIo, [b'2']) => Answer::Send(client_text(b"3")),
            (1, Self::SocketIo, [b'4', b'0', ..]) => Answer::Joined,
            _ => Answer::Wrong,
        }
    }
}

/// The room that all are in.
const THE_ROOM: &str = "bench";

fn client_text(text: &[u8]) -> Bytes {
    frame::client_frame(true, Kind::Text, text, KEY)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_size_that_was_asked_for() {
        for dialect in Dialect::value_variants() {
            for ask in [Ask::Broadcast, Ask::Echo, Ask::Request] {
                let (frame, size) = dialect.message(ask, 128);
                assert_eq!((frame.len(), size), (128 + 4 + 4, 128), "{dialect:?}");
                assert!(dialect.message(ask, 0).1 >= 1);
            }
        }
    }

    #[test]
    fn a_rooms_messages_come_back_with_the_name_of_the_room() {
        let (frame, size) = Dialect::Json.message(Ask::Room, 128);
        let back = r#"{"route":"room","room":"bench","data":""}"#.len();
        let sent = r#"{"route":"room","data":{"room":"bench","data":""}}"#.len();
        assert_eq!((size, frame.len()), (128, 128 - back + sent + 8));
        assert!(Dialect::Json.joins(Ask::Room).is_some());
        assert!(Dialect::Plain.joins(Ask::Room).is_none());
        // The floor sends back what it got.
        let (frame, size) = Dialect::Plain.to_room("r0000012", 128);
        assert_eq!((size, frame.len()), (128, 128 + 8));
    }

    #[test]
    fn socket_io_is_opened_and_kept_alive() {
        let answer = |text: &[u8]| Dialect::SocketIo.answer(1, text);
        assert!(matches!(answer(b"0{\"sid\":1}"), Answer::Send(_)));
        assert_eq!(answer(b"40{\"sid\":1}"), Answer::Joined);
        assert!(matches!(answer(b"2"), Answer::Send(_)));
        assert_eq!(Dialect::Plain.answer(1, b"40"), Answer::Wrong);
    }
}
