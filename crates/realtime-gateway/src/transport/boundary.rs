//! A foreign stream, of which both directions have a hold, and whose panics end here.

use std::{
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use super::{BoxStream, without_budget};
use crate::{
    guarded::{Whose, panicked},
    quiet::{QuietError, drop_quietly},
    sync::Mutex,
};

/// One stream for two directions. Gone once it has panicked.
pub(super) struct Boundary(Arc<Mutex<Foreign>>);

impl Boundary {
    /// Both directions of a stream.
    pub(super) fn split(stream: BoxStream) -> (Self, Self) {
        let stream = Arc::new(Mutex::new(Foreign(Some(stream))));
        (Self(Arc::clone(&stream)), Self(stream))
    }

    /// Polls the stream. A panic of it is an error from then on, and the stream is dropped.
    pub(super) fn poll<T>(
        &self,
        cx: &mut Context<'_>,
        mut poll: impl FnMut(Pin<&mut BoxStream>, &mut Context<'_>) -> Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        let mut stream = self.0.lock();
        let Some(io) = &mut stream.0 else {
            let error = "the connection's stream has panicked before";
            return Poll::Ready(Err(io::Error::other(error)));
        };
        let polled = catch_unwind(AssertUnwindSafe(|| {
            without_budget(cx, |cx| poll(Pin::new(io), cx))
        }));
        let polled = polled.unwrap_or_else(|panic| {
            drop_quietly(stream.0.take());
            let error = panicked(Whose::Connection, panic);
            Poll::Ready(Err(io::Error::other(error)))
        });
        polled.map_err(quiet)
    }
}

/// An error of a stream, which may have an error of somebody else's in it.
fn quiet(error: io::Error) -> io::Error {
    if error.get_ref().is_none() {
        return error;
    }
    io::Error::new(error.kind(), QuietError::new(error))
}

/// The stream, whose drop may panic as well.
struct Foreign(Option<BoxStream>);

impl Drop for Foreign {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}
