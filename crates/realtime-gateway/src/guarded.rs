//! Foreign code, called so that neither a panic nor a hang gets further.

use std::{
    any::Any,
    fmt,
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    pin::{Pin, pin},
    task::{Context, Poll},
    time::Duration,
};

use futures::{FutureExt, Stream, StreamExt};
use realtime_core::{BoxError, patient};
use tokio::task::coop::cooperative;

use crate::{
    HandlerError, HandlerErrorKind,
    quiet::{drop_quietly, quietly},
};

/// What was called, in the words of an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    Handler,
    Hook,
    Layer,
    Authenticator,
    Codec,
    Connection,
    Broker,
    Presence,
    History,
    Revocations,
    BackgroundTask,
    SessionTask,
}

impl fmt::Display for Whose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handler => "the handler",
            Self::Hook => "the hook",
            Self::Layer => "a layer",
            Self::Authenticator => "the authenticator",
            Self::Codec => "the codec",
            Self::Connection => "the connection's stream",
            Self::Broker => "the broker",
            Self::Presence => "the presence store",
            Self::History => "the history",
            Self::Revocations => "the store of revocations",
            Self::BackgroundTask => "a background task",
            Self::SessionTask => "the session's task",
        })
    }
}

/// Why a call came to nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Broken {
    #[error("{0} panicked: {1}")]
    Panicked(Whose, String),
    #[error("{0} took longer than {1:?}")]
    TookTooLong(Whose, Duration),
}

/// The text of a panic.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
        .to_owned()
}

/// The error for a panic that was caught. What it carried is dropped here, which may panic again.
pub(crate) fn panicked(whose: Whose, panic: Box<dyn Any + Send>) -> Broken {
    let text = panic_text(&*panic);
    drop_quietly(panic);
    Broken::Panicked(whose, text)
}

/// The error of a handler that panicked.
pub(crate) fn handler_panicked(panic: Box<dyn Any + Send>) -> BoxError {
    handler_broke(&panicked(Whose::Handler, panic))
}

pub(crate) fn handler_broke(broken: &Broken) -> BoxError {
    HandlerError::new(HandlerErrorKind::Panicked, broken.to_string()).into()
}

/// Calls foreign code that waits for nothing.
pub(crate) fn caught<T>(whose: Whose, call: impl FnOnce() -> T) -> Result<T, Broken> {
    catch_unwind(AssertUnwindSafe(call)).map_err(|panic| panicked(whose, panic))
}

/// Waits for foreign code: for so long at the most, and a panic becomes an error. What it waits for
/// itself, and came while this process stood still, is in time.
///
/// It is an async block's future that is wanted here, so that what runs before the first await is
/// caught, too.
pub(crate) async fn guarded<T>(
    whose: Whose,
    limit: Option<Duration>,
    call: impl Future<Output = T>,
) -> Result<T, Broken> {
    let mut call = pin!(Some(AssertUnwindSafe(call).catch_unwind()));
    let running = poll_fn(|cx| match call.as_mut().as_pin_mut() {
        Some(call) => call.poll(cx),
        None => Poll::Pending,
    });
    let ran = match limit {
        Some(limit) => patient(limit, running)
            .await
            .ok_or(Broken::TookTooLong(whose, limit)),
        None => Ok(running.await),
    };
    // Dropped here, since that may panic, too.
    quietly(|| call.set(None));
    ran?.map_err(|panic| panicked(whose, panic))
}

/// Somebody else's stream, which is neither asked nor kept after its end. A panic is passed on,
/// for it to be reported, but not twice in a row: a stream that can't go on after one has ended.
/// One that is always ready lets other tasks have a turn.
pub(crate) struct GuardedStream<S> {
    stream: Option<Pin<Box<S>>>,
    panicked: bool,
}

impl<S> GuardedStream<S> {
    pub(crate) fn new(stream: S) -> Self {
        Self {
            stream: Some(Box::pin(stream)),
            panicked: false,
        }
    }

    fn end(&mut self) {
        drop_quietly(self.stream.take());
    }
}

impl<S: Stream> Stream for GuardedStream<S> {
    type Item = S::Item;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<S::Item>> {
        let Some(stream) = &mut self.stream else {
            return Poll::Ready(None);
        };
        let next = || pin!(cooperative(stream.next())).poll(cx);
        let polled = catch_unwind(AssertUnwindSafe(next));
        let before = std::mem::replace(&mut self.panicked, polled.is_err());
        let polled = match polled {
            Ok(polled) => polled,
            Err(panic) if before => {
                drop_quietly(panic);
                Poll::Ready(None)
            }
            Err(panic) => resume_unwind(panic),
        };
        if let Poll::Ready(None) = polled {
            self.end();
        }
        polled
    }
}

impl<S> Drop for GuardedStream<S> {
    fn drop(&mut self) {
        self.end();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct PanicsInDrop;

    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            std::panic::panic_any("again");
        }
    }

    #[tokio::test]
    async fn what_came_while_the_process_stood_still_is_in_time() {
        let limit = Duration::from_millis(50);
        let (answer, answered) = tokio::sync::oneshot::channel();
        tokio::spawn(async move {
            std::thread::sleep(4 * limit);
            // The time is seen to be over before this goes on.
            tokio::task::yield_now().await;
            answer.send(7)
        });
        let came = guarded(Whose::Hook, Some(limit), answered).await;
        assert_eq!(came.unwrap(), Ok(7));
    }

    #[tokio::test(start_paused = true)]
    async fn neither_a_panic_nor_a_hang_gets_further() {
        let limit = Some(Duration::from_secs(1));
        let fine = guarded(Whose::Hook, limit, async { 7 }).await;
        assert_eq!(fine.unwrap(), 7);
        let panics = guarded(Whose::Codec, limit, async {
            if true {
                std::panic::panic_any("no 1".to_owned())
            }
        })
        .await;
        let error = panics.unwrap_err().to_string();
        assert_eq!(error, "the codec panicked: no 1");
        let hangs = guarded(Whose::Broker, limit, std::future::pending::<()>()).await;
        assert_eq!(
            hangs.unwrap_err().to_string(),
            "the broker took longer than 1s"
        );
        let doubly = async {
            if true {
                std::panic::panic_any(PanicsInDrop)
            }
        };
        let error = guarded(Whose::Hook, None, doubly).await;
        assert_eq!(
            error.unwrap_err().to_string(),
            "the hook panicked: no message"
        );
    }
}
