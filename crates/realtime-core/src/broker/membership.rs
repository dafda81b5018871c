//! Whether a member has joined: one subscription at a time, one after the other.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures::{Stream, StreamExt};
use tokio::{task::JoinSet, time::timeout};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::{BrokerError, BrokerErrorKind, BrokerMessage, Subscription};

/// How long the tasks of a subscription may take to leave.
const LEAVE: Duration = Duration::from_secs(3);

/// Whether the member has joined, for those who write a [`Broker`](super::Broker): what
/// [`subscribe`](super::Broker::subscribe) promises of a second subscription, a dropped one, and a
/// closed broker. `J` is what callers need of a subscription while it is there.
///
/// ```
/// use futures::stream;
/// use realtime::broker::{BrokerError, BrokerErrorKind, Membership};
///
/// # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
/// let own = Membership::default();
/// let mut joining = own.begin().await?;
/// let stop = joining.stop().clone();
/// // The task that owns the link ends when the subscription is dropped.
/// joining.spawn(async move { stop.cancelled().await });
/// let subscription = joining.complete("what callers need", stream::pending())?;
/// assert_eq!(own.joined()?, "what callers need");
///
/// let second = own.begin().await.map(drop);
/// assert_eq!(second.unwrap_err().kind(), BrokerErrorKind::Config);
/// drop(subscription);
/// // It waits until the task has ended.
/// own.begin().await?;
/// # Ok::<(), BrokerError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Membership<J>(Arc<Mutex<Own<J>>>);

#[derive(Debug)]
enum Own<J> {
    /// Nothing is connected, but for a former life that may still be on its way out.
    Idle(Option<Life>),
    Joining,
    Joined(J, Life),
    Closed,
}

/// The tasks of a subscription. Dropping it tells them to end.
#[derive(Debug, Default)]
struct Life {
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

impl<J: Clone> Membership<J> {
    /// What callers need of the subscription.
    ///
    /// # Errors
    /// Kind [`Unavailable`](BrokerErrorKind::Unavailable) where there is none, kind
    /// [`Closed`](BrokerErrorKind::Closed) after [`close`](Self::close).
    pub fn joined(&self) -> Result<J, BrokerError> {
        match &*lock(&self.0) {
            Own::Joined(joined, life) if !life.stop.is_cancelled() => Ok(joined.clone()),
            Own::Closed => Err(closed()),
            _ => Err(BrokerError::new(
                BrokerErrorKind::Unavailable,
                "subscribe first: the broker doesn't know this node yet",
            )),
        }
    }

    /// Begins to join, as soon as the tasks of the subscription before have ended, whose name is to
    /// be free; those that take longer than 3 s are aborted.
    ///
    /// # Cancel safety
    /// Dropped before it returns, nothing has begun.
    ///
    /// # Errors
    /// Kind [`Config`](BrokerErrorKind::Config) where the member is subscribed already, kind
    /// [`Closed`](BrokerErrorKind::Closed) after [`close`](Self::close).
    pub async fn begin(&self) -> Result<Joining<J>, BrokerError> {
        let former = {
            let mut own = lock(&self.0);
            match std::mem::replace(&mut *own, Own::Joining) {
                Own::Idle(former) => former,
                Own::Joined(_, life) if life.stop.is_cancelled() => Some(life),
                other => {
                    let is_closed = matches!(other, Own::Closed);
                    *own = other;
                    return Err(match is_closed {
                        true => closed(),
                        false => BrokerError::new(
                            BrokerErrorKind::Config,
                            "this member is subscribed already; make another for another node",
                        ),
                    });
                }
            }
        };
        // Back to idle if this future is dropped.
        let mut joining = Joining {
            own: Arc::clone(&self.0),
            life: Life::default(),
            former,
        };
        if let Some(former) = &mut joining.former {
            former.end().await;
        }
        joining.former = None;
        Ok(joining)
    }

    /// Ends the subscription, if there is one, and waits until its tasks have ended; those that take
    /// longer than 3 s are aborted. Idempotent.
    pub async fn close(&self) {
        let own = std::mem::replace(&mut *lock(&self.0), Own::Closed);
        if let Own::Joined(_, mut life) | Own::Idle(Some(mut life)) = own {
            life.end().await;
        }
    }
}

impl<J> Default for Membership<J> {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(Own::Idle(None))))
    }
}

/// A broker that is dropped leaves.
impl<J> Drop for Membership<J> {
    fn drop(&mut self) {
        if let Own::Joined(_, life) = &*lock(&self.0) {
            life.stop.cancel();
        }
    }
}

/// A subscription in the making. Dropping it tells its tasks to end.
#[derive(Debug)]
#[must_use]
pub struct Joining<J> {
    own: Arc<Mutex<Own<J>>>,
    life: Life,
    /// The subscription before, until its tasks have ended.
    former: Option<Life>,
}

impl<J> Joining<J> {
    /// Cancelled when the subscription is to end: it was dropped, or the broker was closed.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.life.stop
    }

    /// Spawns a task of the subscription, which is to end soon after [`stop`](Self::stop).
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.life.tasks.spawn(task);
    }

    /// The member has joined: this is what it receives, and what callers need.
    ///
    /// # Errors
    /// Kind [`Closed`](BrokerErrorKind::Closed) when the broker was closed meanwhile.
    pub fn complete(
        mut self,
        joined: J,
        messages: impl Stream<Item = BrokerMessage> + Send + Unpin + 'static,
    ) -> Result<Subscription, BrokerError> {
        let own = Arc::clone(&self.own);
        let mut own = lock(&own);
        if !matches!(&*own, Own::Joining) {
            return Err(closed());
        }
        let life = std::mem::take(&mut self.life);
        let leaves = life.stop.clone().drop_guard();
        *own = Own::Joined(joined, life);
        Ok(Subscription::new(Inbox {
            messages,
            _leaves: leaves,
        }))
    }
}

impl<J> Drop for Joining<J> {
    fn drop(&mut self) {
        let mut own = lock(&self.own);
        if matches!(&*own, Own::Joining) {
            let former = self.former.take();
            *own = Own::Idle(Some(
                former.unwrap_or_else(|| std::mem::take(&mut self.life)),
            ));
        }
    }
}

impl Life {
    async fn end(&mut self) {
        self.stop.cancel();
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        // Each of their steps has a bound; this one is for the sum.
        if timeout(LEAVE, ended).await.is_err() {
            self.tasks.shutdown().await;
        }
    }
}

impl Drop for Life {
    fn drop(&mut self) {
        self.stop.cancel();
        // They leave with a word.
        self.tasks.detach_all();
    }
}

/// What waits for the gateway. Dropping it leaves the cluster.
struct Inbox<M> {
    messages: M,
    _leaves: DropGuard,
}

impl<M: Stream<Item = BrokerMessage> + Unpin> Stream for Inbox<M> {
    type Item = BrokerMessage;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerMessage>> {
        self.messages.poll_next_unpin(cx)
    }
}

fn closed() -> BrokerError {
    BrokerError::new(BrokerErrorKind::Closed, "the broker is closed")
}

fn lock<J>(own: &Mutex<Own<J>>) -> MutexGuard<'_, Own<J>> {
    own.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use futures::{FutureExt, stream};

    use super::*;

    fn kind<T>(result: Result<T, BrokerError>) -> Option<BrokerErrorKind> {
        result.map_err(|error| error.kind()).err()
    }

    #[tokio::test(start_paused = true)]
    async fn a_former_life_is_waited_for_though_somebody_gave_up_to_wait() {
        let own = Membership::default();
        let mut joining = own.begin().await.unwrap();
        joining.spawn(pending());
        drop(joining.complete((), stream::pending()).unwrap());
        for _ in 0..2 {
            assert!(own.begin().now_or_never().is_none(), "it waits");
        }
        // What doesn't end is aborted.
        let _joining = own.begin().await.unwrap();
    }

    #[tokio::test]
    async fn a_broker_that_is_closed_stays_closed_whoever_is_joining() {
        let own = Membership::default();
        let joining = own.begin().await.unwrap();
        assert_eq!(kind(own.joined()), Some(BrokerErrorKind::Unavailable));
        assert_eq!(kind(own.begin().await), Some(BrokerErrorKind::Config));
        own.close().await;
        let stop = joining.stop().clone();
        assert_eq!(
            kind(joining.complete((), stream::pending())),
            Some(BrokerErrorKind::Closed)
        );
        assert!(stop.is_cancelled());
        assert_eq!(kind(own.joined()), Some(BrokerErrorKind::Closed));
        assert_eq!(kind(own.begin().await), Some(BrokerErrorKind::Closed));
    }

    #[tokio::test]
    async fn a_failed_attempt_leaves_the_place_to_another() {
        let own = Membership::<()>::default();
        let mut joining = own.begin().await.unwrap();
        let stop = joining.stop().clone();
        joining.spawn(stop.clone().cancelled_owned());
        drop(joining);
        assert!(stop.is_cancelled());
        let _another = own.begin().await.unwrap();
    }

    #[tokio::test]
    async fn a_broker_that_is_dropped_leaves() {
        let own = Membership::default();
        let joining = own.begin().await.unwrap();
        let stop = joining.stop().clone();
        let _subscription = joining.complete((), stream::pending()).unwrap();
        drop(own);
        assert!(stop.is_cancelled());
    }
}
