//! The primitives that threads meet at: the real ones, or those of a model checker.
//!
//! With `--cfg realtime_loom` the log, the outbox and the end of a session are checked in every
//! interleaving (`just loom`). Not `--cfg loom`: that would take tokio's network away.

#[cfg(realtime_loom)]
mod model;

use std::sync::PoisonError;

#[cfg(realtime_loom)]
use loom::sync as imp;
#[cfg(not(realtime_loom))]
use std::sync as imp;

#[cfg(not(realtime_loom))]
pub(crate) use std::sync::OnceLock;
#[cfg(not(realtime_loom))]
pub(crate) use tokio::sync::{Notify, Semaphore, TryAcquireError};

pub(crate) use imp::{
    MutexGuard,
    atomic::{AtomicU64, Ordering},
};
#[cfg(realtime_loom)]
pub(crate) use model::{Notify, OnceLock, Semaphore, TryAcquireError};

/// A lock that a panic doesn't close for ever.
///
/// Whatever it protects is whole at each step, and is served better than given up: a lock that
/// stays poisoned would stop everybody for the fault of one.
#[derive(Debug, Default)]
pub(crate) struct Mutex<T>(imp::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(imp::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
