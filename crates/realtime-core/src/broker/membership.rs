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
    /// Somebody joins, whose tasks are ended with this.
    Joining(Life),
    Joined(J, Life),
    Closed,
}

/// The tasks of a subscription. Dropping it tells them to end.
#[derive(Debug)]
struct Life {
    stop: CancellationToken,
    tasks: JoinSet<()>,
    /// Cancelled as soon as the life before has ended, for which one of the tasks waits.
    is_alone: CancellationToken,
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
    /// Kind [`Config`](BrokerErrorKind::Config) where the member is subscribed already, or somebody
    /// else subscribes; kind [`Closed`](BrokerErrorKind::Closed) after [`close`](Self::close).
    pub async fn begin(&self) -> Result<Joining<J>, BrokerError> {
        let (stop, is_alone) = {
            let mut own = lock(&self.0);
            let former = match std::mem::replace(&mut *own, Own::Closed) {
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
            };
            let life = Life::after(former);
            let told = (life.stop.clone(), life.is_alone.clone());
            *own = Own::Joining(life);
            told
        };
        // Back to idle if this future is dropped.
        let joining = Joining {
            own: Arc::clone(&self.0),
            stop,
        };
        is_alone.cancelled().await;
        if joining.stop.is_cancelled() {
            return Err(closed());
        }
        Ok(joining)
    }

    /// Ends the subscription, if there is one or somebody joins, and waits until its tasks have ended,
    /// and those of the subscription before; those that take longer than 3 s are aborted. Idempotent.
    pub async fn close(&self) {
        let own = std::mem::replace(&mut *lock(&self.0), Own::Closed);
        if let Own::Idle(Some(mut life)) | Own::Joining(mut life) | Own::Joined(_, mut life) = own {
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
        let own = std::mem::replace(&mut *lock(&self.0), Own::Closed);
        drop(own);
    }
}

/// A subscription in the making. Dropping it tells its tasks to end; who begins again waits until they
/// have.
#[derive(Debug)]
#[must_use]
pub struct Joining<J> {
    own: Arc<Mutex<Own<J>>>,
    stop: CancellationToken,
}

impl<J> Joining<J> {
    /// Cancelled when the subscription is to end: it was dropped, or the broker was closed.
    #[must_use]
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    /// Spawns a task of the subscription, which is to end soon after [`stop`](Self::stop). Where the
    /// broker was closed meanwhile the task is dropped. So whatever others could see of the node is
    /// the work of a task, from the first connection on: one that has begun is waited for.
    pub fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        if let Own::Joining(life) = &mut *lock(&self.own) {
            life.tasks.spawn(task);
        }
    }

    /// The member has joined: this is what it receives, and what callers need.
    ///
    /// # Errors
    /// Kind [`Closed`](BrokerErrorKind::Closed) when the broker was closed meanwhile.
    pub fn complete(
        self,
        joined: J,
        messages: impl Stream<Item = BrokerMessage> + Send + Unpin + 'static,
    ) -> Result<Subscription, BrokerError> {
        let mut own = lock(&self.own);
        let life = match std::mem::replace(&mut *own, Own::Closed) {
            Own::Joining(life) => life,
            other => {
                *own = other;
                return Err(closed());
            }
        };
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
        *own = match std::mem::replace(&mut *own, Own::Closed) {
            Own::Joining(life) => {
                life.stop.cancel();
                Own::Idle(Some(life))
            }
            other => other,
        };
    }
}

impl Life {
    /// One that begins as soon as the one before has ended, if there is one.
    fn after(former: Option<Self>) -> Self {
        match former {
            // It was given up while it waited itself, and did nothing else.
            Some(mut former) if !former.is_alone.is_cancelled() => {
                former.stop = CancellationToken::new();
                former
            }
            former => {
                let mut life = Self {
                    stop: CancellationToken::new(),
                    tasks: JoinSet::new(),
                    is_alone: CancellationToken::new(),
                };
                let alone = life.is_alone.clone().drop_guard();
                if let Some(mut former) = former {
                    life.tasks.spawn(async move {
                        former.end().await;
                        drop(alone);
                    });
                }
                life
            }
        }
    }

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
    async fn what_an_attempt_has_spawned_has_ended_when_the_broker_is_closed() {
        let own = Membership::<()>::default();
        let mut joining = own.begin().await.unwrap();
        let (stop, has_ended) = (joining.stop().clone(), CancellationToken::new());
        let ends = has_ended.clone().drop_guard();
        joining.spawn(async move {
            stop.cancelled().await;
            drop(ends);
        });
        own.close().await;
        assert!(has_ended.is_cancelled());
        let (gone, late) = (CancellationToken::new(), pending());
        let goes = gone.clone().drop_guard();
        joining.spawn(async move {
            let _goes = goes;
            late.await
        });
        assert!(gone.is_cancelled(), "nothing is spawned any more");
        assert_eq!(
            kind(joining.complete((), stream::pending())),
            Some(BrokerErrorKind::Closed)
        );
    }

    #[tokio::test]
    async fn a_broker_that_is_closed_waits_for_a_former_life_too() {
        let own = Membership::default();
        let mut joining = own.begin().await.unwrap();
        let (goes_on, leaves) = tokio::sync::oneshot::channel::<()>();
        joining.spawn(async move { drop(leaves.await) });
        drop(joining.complete((), stream::pending()).unwrap());
        let mut again = Box::pin(own.begin());
        assert!(again.as_mut().now_or_never().is_none(), "it waits");
        let mut closed = Box::pin(own.close());
        tokio::task::yield_now().await;
        assert!(closed.as_mut().now_or_never().is_none(), "it waits, too");
        drop(goes_on);
        closed.await;
        assert_eq!(kind(again.await), Some(BrokerErrorKind::Closed));
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
