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
//!
//! A layer that is to see panics as failures, such as [`LoggerLayer`], comes before
//! [`RecoveryLayer`].
//!
//! Where a message is refused or changed by an async function, [`from_fn`] is enough:
//!
//! ```
//! use realtime::{
//!     BoxError, ClientError,
//!     extract::Reply,
//!     middleware::{Inbound, Next, from_fn},
//! };
//!
//! async fn members_only(inbound: Inbound, next: Next) -> Result<Reply, BoxError> {
//!     if !inbound.session.identity().has_role("member") {
//!         return Err(ClientError::new("forbidden", "only members may do that").into());
//!     }
//!     next.run(inbound).await
//! }
//!
//! let gateway = realtime::builder().layer(from_fn(members_only)).build()?;
//! # Ok::<(), realtime::error::BuildError>(())
//! ```
//!
//! Layers of tower that suit any request fit as they are:
//!
//! ```
//! use std::time::Duration;
//!
//! use tower::limit::RateLimitLayer;
//!
//! // Of each session, whose reading stops meanwhile.
//! let ten_a_second = RateLimitLayer::new(10, Duration::from_secs(1));
//! let gateway = realtime::builder().layer(ten_a_second).build()?;
//! # Ok::<(), realtime::error::BuildError>(())
//! ```

mod from_fn;
mod logger;
mod recovery;
mod stack;
mod timeout;

pub use from_fn::{FromFn, FromFnLayer, Next, from_fn};
pub use logger::{Logger, LoggerLayer};
pub use recovery::{Recovery, RecoveryLayer};
pub(crate) use stack::{MessageService, Stack, StackFactory, stack_factory};
pub use timeout::{Timeout, TimeoutLayer};
