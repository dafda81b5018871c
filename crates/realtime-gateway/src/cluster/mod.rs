//! What this node knows of the others, what it has asked them, and what they have asked it.

mod load;
mod peers;
mod surveys;

pub(crate) use load::Load;
pub(crate) use peers::Peers;
pub(crate) use surveys::{Asked, Found, Received, SURVEYS, Surveys};
