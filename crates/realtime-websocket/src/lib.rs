//! WebSocket frames (RFC 6455) without I/O, for both sides of a connection.
//!
//! Bytes go in and events come out; messages go in and bytes come out. There is no socket here
//! and nothing async, so the same code serves a blocking client, a proxy, a fuzzer and the
//! gateway.
//!
//! ```text
//!   bytes ──► Decoder ──► Event: text, binary, ping, pong, close     or a Violation and its code
//!   text, binary, ping, pong, close ──► frame::… ──► bytes
//! ```
//!
//! - [`Decoder`] joins fragments, unmasks, checks UTF-8 as it arrives and refuses everything that
//!   the RFC forbids, with the close code that it asks for. While idle it holds no heap memory,
//!   and it never allocates more than has come.
//! - [`frame`] builds frames. A server's frames carry no mask, so one frame can be built once and
//!   written to any number of connections.
//! - [`handshake`] has the keys of the opening handshake.
//!
//! ```
//! use realtime_websocket::{Decoder, Event, Kind, Limits, Role, frame};
//!
//! let mut server = Decoder::new(Role::Server, Limits::default());
//! let sent = frame::masked(Kind::Text, b"hello", [1, 2, 3, 4]);
//!
//! let mut input = &sent[..];
//! let event = server.decode(&mut input)?;
//! assert!(matches!(event, Some(Event::Text(text)) if &text[..] == b"hello"));
//! # Ok::<(), realtime_websocket::Violation>(())
//! ```

mod close;
mod decode;
pub mod frame;
pub mod handshake;
mod header;
mod mask;
mod utf8;
mod violation;

pub use close::{CloseCode, CloseFrame};
pub use decode::{Decoder, Event, Limits};
pub use frame::Kind;
pub use violation::Violation;

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that asked for the connection: it masks what it sends.
    Client,
    /// The side that accepted the connection: it sends without a mask.
    Server,
}
