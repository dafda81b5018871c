//! Rooms whose members come and go: over links that break, and after their node was killed.
//!
//! What is sent are the numbers 1, 2, 3 and so on. A member writes down all that it gets, as it
//! comes and without dropping anything, and in the end its [`book`] is checked.

pub(crate) mod avalanche;
mod book;
mod crowd;
mod cutter;
pub(crate) mod flapping;
mod link;
mod member;
mod publisher;
mod report;

/// The room that all are in.
const ROOM: &str = "bench";
