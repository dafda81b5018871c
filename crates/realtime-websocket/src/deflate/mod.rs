//! Compression of messages: `permessage-deflate` (RFC 7692), for both sides of a connection.
//!
//! ```text
//!   Sec-WebSocket-Extensions ──► Policy::answer   (a server)    ──► Agreed
//!                                Policy::offer, Policy::accept (a client)
//!
//!   message ──► Compressor ──► frame        bytes ──► InflatingDecoder ──► Event
//! ```
//!
//! # Once for all
//! By default neither side keeps what it learnt from one message for the next ("no context
//! takeover"). So a compressed frame stands for itself, and a [`Compressor`] makes one for all
//! connections of a broadcast that have agreed to it. The others get the plain one: a
//! [`SharedFrame`] holds both, and has the right one for each. And nobody holds a window while idle: a [`Compressor`] belongs to
//! a thread and not to a connection, and an [`InflatingDecoder`] borrows a [`SpareInflater`] for as
//! long as a message takes.
//!
//! ```
//! use realtime_websocket::{Event, Kind, Limits, Role};
//! use realtime_websocket::deflate::{Compressor, InflatingDecoder, Level, Policy, SpareInflater};
//!
//! // What a browser offers, and what a server makes of it.
//! let offered = "permessage-deflate; client_max_window_bits";
//! let answer = Policy::default().answer([offered.as_bytes()]).unwrap();
//! assert_eq!(
//!     answer.header(),
//!     "permessage-deflate; server_no_context_takeover; client_no_context_takeover",
//! );
//!
//! // A broadcast: compressed once, and sent to each as agreed with it.
//! let text = "so much ado ".repeat(100);
//! let shared = Compressor::new(Level::default()).shared_frame(Kind::Text, text.as_bytes());
//! let connections = [Some(answer.agreed()), None, Some(answer.agreed())];
//! let sent = connections.map(|agreed| shared.for_peer(agreed).clone());
//! assert!(sent[0].len() < 50 && sent[1].len() > 1_200 && sent[2] == sent[0]);
//!
//! // A client reads it. (The roles are the other way round for what clients send.)
//! let agreed = Policy::default().accept([answer.header().as_bytes()])?;
//! let mut client = InflatingDecoder::new(Role::Client, Limits::default(), agreed);
//! let mut spare = SpareInflater::new();
//! let event = client.decode_with(&mut &sent[0][..], &mut spare);
//! assert_eq!(event, Ok(Some(Event::Text(text))));
//! # Ok::<(), realtime_websocket::deflate::BadAnswer>(())
//! ```
//!
//! # What it costs
//! Measured with zlib-rs, so these are estimates:
//!
//! | | memory |
//! | --- | --- |
//! | a connection, idle | nothing beside the decoder's own size |
//! | an inflater, lent for a message ([`InflatingDecoder::decode_with`]) | 56 KB for each thread |
//! | a [`Compressor`] | 380 KB for each thread |
//! | a connection whose peer may refer to earlier messages ([`Policy::receive_takeover`]) | 56 KB more |
//! | a connection to which we refer to earlier messages ([`Policy::send_takeover`]) | 380 KB more, or 251 KB with the smallest window |
//!
//! # What is held against peers
//! - The limit on a message is that of what comes out, and holds *while* it is inflated: a message
//!   that would be too large costs at most twice the limit while its buffer grows, and an inflater.
//! - A message much larger than what was sent for it is refused, too
//!   ([`InflatingDecoder::with_ratio`]).
//! - An inflater is taken only once there is something to inflate: a whole message, or 4 KiB of one.
//!   Until then the bytes wait as they came.
//! - An unfinished message is inflated to 32 times what was sent for it, and the rest waits as it
//!   came: nobody makes us hold a megabyte by sending 4 KiB.
//! - Data may come to their end and begin anew within a message, but not at every other byte of it.
//!
//! # Secrets
//! How long a compressed message is says something of what is in it. Where a secret stands in one
//! message, or with takeover in one connection, beside something that an attacker chooses, and the
//! attacker sees lengths on the wire, the secret can be found out byte by byte, encrypted or not:
//! CRIME and BREACH did that to cookies. So never compress a frame in which a token, a key or a
//! password stands beside what another peer has written. Send it plain: any message may be, whatever
//! was agreed.

mod answer;
mod compressor;
mod decoder;
mod extension;
mod inflater;
mod message;
mod offer;
mod parameters;
mod policy;
mod shared;
mod window;

pub use answer::Answer;
pub use compressor::{Compressor, Level};
pub use decoder::InflatingDecoder;
pub use inflater::SpareInflater;
pub use offer::BadAnswer;
pub use policy::{Agreed, Flow, Policy};
pub use shared::SharedFrame;
pub use window::Window;

/// What the extension is called.
const NAME: &[u8] = b"permessage-deflate";

/// What ends the data of a message when they are made, and isn't sent: RFC 7692, section 7.2.1.
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];

/// So many times as large as what was sent for it a message may be by default, once it is larger
/// than this. What a compressor sends is within it, so that what one side makes the other reads.
const RATIO: u32 = 256;
const SMALL: usize = 64 * 1024;

/// The bit of a frame's first byte that says that its message is compressed.
const RSV1: u8 = 0x40;
