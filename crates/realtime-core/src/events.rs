//! What a backend tells whoever listens.

use std::sync::{Mutex, MutexGuard, PoisonError};

use futures::{Stream, stream};
use tokio::sync::broadcast;

/// How many events a listener that doesn't read keeps.
const KEPT: usize = 256;

/// Events of a backend, for any number of listeners. A listener that doesn't read loses the
/// oldest, and holds nobody up.
///
/// Made for the `events` methods of [`Broker`](crate::broker::Broker) and
/// [`Presence`](crate::presence::Presence).
///
/// ```
/// use futures::StreamExt;
/// use realtime_core::Events;
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let events = Events::new();
/// let listener = events.subscribe();
/// events.send("up");
/// events.close();
/// assert_eq!(listener.collect::<Vec<_>>().await, ["up"]);
/// # });
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug)]
pub struct Events<T>(Mutex<Option<broadcast::Sender<T>>>);

impl<T: Clone + Send + 'static> Events<T> {
    /// Without listeners.
    #[must_use]
    pub fn new() -> Self {
        Self(Mutex::new(Some(broadcast::Sender::new(KEPT))))
    }

    fn sender(&self) -> MutexGuard<'_, Option<broadcast::Sender<T>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells every listener.
    pub fn send(&self, event: T) {
        if let Some(sender) = &*self.sender() {
            // It fails only when nobody listens.
            let _listeners = sender.send(event);
        }
    }

    /// What is told from now on. The stream ends after [`close`](Self::close).
    pub fn subscribe(&self) -> impl Stream<Item = T> + Send + use<T> {
        let receiver = self.sender().as_ref().map(broadcast::Sender::subscribe);
        stream::unfold(receiver, |receiver| async {
            let mut receiver = receiver?;
            loop {
                match receiver.recv().await {
                    Ok(event) => return Some((event, Some(receiver))),
                    Err(broadcast::error::RecvError::Lagged(_)) => {}
                    Err(broadcast::error::RecvError::Closed) => return None,
                }
            }
        })
    }

    /// Ends all streams, those that are asked for later too.
    pub fn close(&self) {
        self.sender().take();
    }
}

impl<T: Clone + Send + 'static> Default for Events<T> {
    fn default() -> Self {
        Self::new()
    }
}
