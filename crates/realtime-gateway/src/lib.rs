//! The gateway.

mod delivery;
mod error;
mod gateway;
mod inbound;
mod session;

pub use delivery::{Delivery, Remote};
pub use error::{
    BuildError, BuildErrorKind, DeliverError, DeliverErrorKind, HandlerError, HandlerErrorKind,
    SendError, SendErrorKind, StartError, StartErrorKind,
};
pub use gateway::Gateway;
pub use inbound::Inbound;
pub use session::Session;
