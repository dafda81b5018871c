//! What an application says of its rooms: by pattern, who may come in and what they have.

mod client;
mod params;
mod pattern;
mod rule;
mod shown;
mod table;

pub(crate) use params::Params;
pub use params::{FromRoomParams, RoomParam, RoomParams};
pub(crate) use pattern::RoomPattern;
pub use rule::RoomRule;
pub(crate) use shown::Shown;
pub(crate) use table::RoomTable;
