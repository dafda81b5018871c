//! The streams that have something to do, in their turns.

use std::{collections::VecDeque, sync::Arc};

use tokio::sync::Notify;

use super::Stream;
use crate::sync::Mutex;

/// Streams that have something to do.
#[derive(Debug, Default)]
pub(crate) struct StreamQueue {
    ready: Mutex<VecDeque<Arc<Stream>>>,
    there: Notify,
}

impl StreamQueue {
    /// The next stream that has something to do. Cancel safe.
    pub(crate) async fn next(&self) -> Arc<Stream> {
        loop {
            let there = self.there.notified();
            tokio::pin!(there);
            there.as_mut().enable();
            let next = self.ready.lock().pop_front();
            match next {
                Some(stream) => return stream,
                None => there.await,
            }
        }
    }

    /// It has more to do, when it is its turn again.
    pub(crate) fn push(&self, stream: Arc<Stream>) {
        self.ready.lock().push_back(stream);
        self.there.notify_one();
    }
}
