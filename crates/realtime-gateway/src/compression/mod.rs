//! Compression of messages (`permessage-deflate`): what is agreed with a client, how what it sends is
//! read, and frames that are compressed once for all who have agreed.
//!
//! ```text
//!   handshake ─► Deflater::answer ─► Agreed ─┬─► Incoming: what the client sends
//!                                            └─► which of the frames it gets
//!   plain frame ─► Deflater::compress ─► the same message, compressed
//! ```
//!
//! Without the feature `deflate` all of this has no size, and a decoder is what it was.

#[cfg(feature = "deflate")]
mod agreed;
#[cfg(feature = "deflate")]
mod deflater;
#[cfg(feature = "deflate")]
mod incoming;
#[cfg(not(feature = "deflate"))]
mod off;
#[cfg(feature = "deflate")]
mod plain_routes;
#[cfg(all(feature = "admin", feature = "deflate"))]
mod reading;
#[cfg(feature = "deflate")]
mod turn;

#[cfg(feature = "deflate")]
pub(crate) use self::{agreed::Agreed, deflater::Deflater, incoming::Incoming, turn::Turn};
#[cfg(not(feature = "deflate"))]
pub(crate) use off::{Agreed, Deflater, Incoming, Turn};
#[cfg(all(feature = "admin", feature = "deflate"))]
pub(crate) use reading::{is_compressed, plain};
