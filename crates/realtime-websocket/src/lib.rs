//! WebSocket frames (RFC 6455) without I/O, for both sides of a connection.
//!
//! A WebSocket is a TCP stream cut into frames. This crate does the cutting and nothing else:
//! bytes go in and events come out, messages go in and bytes come out. There is no socket here,
//! no clock and nothing async, so the same code serves the gateway, a test client, a proxy and a
//! fuzzer, and every rule of the protocol can be tested without a network.
//!
//! # Reading
//!
//! ```text
//!             ┌──────────────────────── Decoder ────────────────────────┐
//!   bytes ──► │ header ──► may it come? ──► unmask ──► UTF-8 ──► join   │ ──► Event
//!   (any cut) │               │ role, order, limits          │ fragments│     Text  Binary
//!             └───────────────┼──────────────────────────────┼──────────┘     Ping  Pong
//!                             ▼                              ▼                Close
//!                         Violation ──► close_code(): for the close frame
//! ```
//!
//! A [`Decoder`] knows which [`Role`] is ours and what the peer may send ([`Limits`]). It accepts
//! bytes in whatever pieces the network delivers, and the pieces never change the events. Three
//! promises matter to a server that holds many connections:
//!
//! - **Idle costs nothing.** Between messages a decoder holds no heap memory; it is 96 bytes.
//! - **What is announced is not believed.** A frame is judged at its header, and then memory grows
//!   with the bytes that come, never past what was announced or allowed. A frame that lies whole
//!   in the input costs one allocation of exactly its size.
//! - **What is forbidden is refused at the first byte that shows it**, with the close code that
//!   the RFC asks for. After a close all further input is ignored, and after a violation all
//!   but the peer's close frame.
//!
//! ```
//! use realtime_websocket::{Decoder, Event, Kind, Limits, Role, frame};
//!
//! let mut server = Decoder::new(Role::Server, Limits::default());
//! let sent = frame::client_frame(true, Kind::Text, b"hello", [1, 2, 3, 4]);
//!
//! let mut input = &sent[..];
//! let event = server.decode(&mut input)?;
//! assert!(matches!(event, Some(Event::Text(text)) if text == "hello"));
//! assert!(input.is_empty());
//! # Ok::<(), realtime_websocket::Violation>(())
//! ```
//!
//! # Writing
//!
//! ```text
//!   message ──► frame::server_frame ──► bytes      no mask: built once, the same for all peers
//!   message ──► frame::client_frame ──► bytes      masked with a key of its own
//! ```
//!
//! A server's frames carry no mask, so a fan-out builds one [`Bytes`](bytes::Bytes) and writes it
//! to any number of connections. [`frame::server_frame_with`] encodes the payload right behind the
//! room that is kept for the header, so that it is never copied.
//!
//! # The opening handshake
//!
//! [`handshake`] checks and answers its keys. The HTTP around them is the caller's.
//!
//! # Compression
//!
//! With the feature `deflate` there is the module of that name: `permessage-deflate` (RFC 7692), and a
//! decoder for connections that have agreed to it. The [`Decoder`] itself is the same with and
//! without.

#![cfg_attr(docsrs, feature(doc_cfg))]

mod build;
mod close;
#[cfg(feature = "deflate")]
#[cfg_attr(docsrs, doc(cfg(feature = "deflate")))]
pub mod deflate;
pub mod frame;
pub mod handshake;
mod limits;
mod mask;
mod parse;
mod utf8;
mod violation;

pub use close::{CloseFrame, is_sendable_close_code};
pub use frame::Kind;
pub use limits::Limits;
pub use parse::{Decoder, Event};
pub use violation::Violation;

/// Which side of the connection this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// The side that asked for the connection: it masks what it sends.
    Client,
    /// The side that accepted the connection: it sends without a mask.
    Server,
}

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
