//! Dropping a future in the middle.

use std::{
    future::{Future, poll_fn},
    pin::pin,
    task::Poll,
};

use realtime_testkit::wait::{until, within};
use tokio::runtime::Handle;

/// Polls a future until it has been pending `times` times, each time when it has been woken, and
/// drops it then. Returns what it gave if it completed before.
pub async fn dropped_after<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let mut future = pin!(future);
    let mut pending = 0;
    let polled = poll_fn(|cx| {
        if pending == times {
            return Poll::Ready(None);
        }
        let polled = future.as_mut().poll(cx);
        if polled.is_pending() {
            pending += 1;
            if pending == times {
                return Poll::Ready(None);
            }
        }
        polled.map(Some)
    });
    within("the next poll", polled).await
}

/// Waits until no more tasks are alive than there were.
pub async fn until_tasks(before: usize) {
    let alive = || Handle::current().metrics().num_alive_tasks();
    until("no task is left over", async || alive() <= before).await;
}

pub fn tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}
