//! Layers around message handlers.
//!
//! A message layer is a tower layer over `Service<Inbound, Response = Reply>`. Each session has a
//! stack of its own, built when it connects, so a service need not be `Clone`, and one that isn't
//! ready stops the reading of its session.
//!
//! ```text
//!             .layer(RecoveryLayer)     first registered is outermost
//!   message ─►┌──────────────────────┐
//!             │ .layer(TimeoutLayer) │
//!             │ ┌──────────────────┐ │
//!             │ │ router ─► handler│ │
//!             │ └──────────────────┘ │
//!   reply   ◄─└──────────────────────┘
//! ```

mod from_fn;
mod logger;
mod recovery;
mod stack;
mod timeout;

pub use from_fn::{FromFn, FromFnLayer, Next, from_fn};
pub use logger::{Logger, LoggerLayer};
pub use recovery::{Recovery, RecoveryLayer};
pub(crate) use stack::{MessageService, StackFactory, stack_factory};
pub use timeout::{Timeout, TimeoutLayer};
