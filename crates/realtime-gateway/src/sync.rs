//! The primitives that threads meet at: the real ones, or those of a model checker.
//!
//! With `--cfg realtime_loom` the outbox and the close latch are checked in every interleaving
//! (`just loom`). Not `--cfg loom`: that would take tokio's network away.

#[cfg(not(realtime_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard, OnceLock,
    atomic::{AtomicU64, Ordering},
};
#[cfg(not(realtime_loom))]
pub(crate) use tokio::sync::Notify;

#[cfg(realtime_loom)]
mod model;
#[cfg(realtime_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(realtime_loom)]
pub(crate) use model::{Notify, OnceLock};
