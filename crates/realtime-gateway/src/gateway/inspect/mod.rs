//! A look at a node: how it is, its sessions and its rooms, in pieces that are bounded.

mod node;
mod rooms;
mod sessions;
#[cfg(feature = "admin")]
mod tap;

pub use node::{Inspection, LinkAges, Phase};
pub use rooms::{RoomCursor, RoomPage, RoomQuery, RoomView};
pub use sessions::{SessionCursor, SessionPage, SessionQuery, SessionView};
#[cfg(feature = "admin")]
pub use tap::{Tap, TapDirection, TapEnd, TapLimits, TappedMessage};
