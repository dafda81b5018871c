//! From a message to its handler and back: layers, router, extractors, hooks.

pub(crate) mod authenticate;
pub(crate) mod client_error;
pub mod extract;
mod handler;
mod hooks;
mod host;
mod inbound;
pub mod middleware;
pub(crate) mod ping;
mod rooms;
mod router;
mod wish;

pub use handler::{
    AtOnce, FromReplier, Handler, Later, NoReply, check_argument, check_no_reply, check_result,
};
pub(crate) use hooks::Hooks;
pub use hooks::{ErrorContext, ErrorStage, Hook, HookResult};
pub(crate) use host::Host;
pub use inbound::Inbound;
pub use rooms::RoomRule;
pub(crate) use rooms::{Params, RoomTable, Shown};
pub use router::{CompleteRouter, Router};
pub(crate) use router::{RouteTable, RouterService};
