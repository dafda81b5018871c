//! What leaves for one peer: from the shard's log and from senders, in order, to its socket.
//!
//! ```text
//!   broadcast ─► log ─┐
//!                     ├─► outbox ─► writer ─► socket
//!   send ─────────────┘                │ what the socket doesn't accept
//!                                    queue
//! ```
//!
//! # Lock order
//! The outbox's lock before the log's. Under the outbox's lock its own socket is written; under
//! the log's nothing else happens. No codec, hook or handler is ever called under either.

mod batch;
mod cork;
mod cursor;
mod log;
mod outbox;
mod queue;
mod room;
mod turnstile;
mod writer;

pub(crate) use batch::Batch;
pub(crate) use log::Log;
pub(crate) use outbox::{Accepted, Followed, Outbox, Progress, Refused};
pub(crate) use queue::{Discarded, Dropped, QueueLimits};
pub(crate) use room::{Audience, Membership, Offset, Opening, Room};
