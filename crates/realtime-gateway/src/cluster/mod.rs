//! What this node knows of the others, what it has asked them, and what they have asked it.

mod load;
mod order;
mod peers;
mod refusals;
mod surveys;

pub(crate) use load::Load;
pub(crate) use order::{Order, Place};
pub(crate) use peers::Peers;
pub(crate) use refusals::Refusals;
pub(crate) use surveys::{Asked, Found, Received, SURVEYS, Surveys};
