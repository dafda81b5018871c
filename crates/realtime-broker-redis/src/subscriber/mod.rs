//! Receives: subscribes to the channels of this node, and hands what comes to the gateway as fast
//! as that takes it. What it doesn't take stays in the socket, and then at Redis.

mod frames;
mod serve;
mod subscribe;

use std::{sync::Arc, time::Duration};

use realtime_core::{
    Pause,
    broker::{BrokerError, TopicName, stream::Incoming},
};
use realtime_redis::caught;
use tokio::{
    sync::{Semaphore, mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    error::unavailable,
    health::Half,
    inbox::Delivered,
    locate::Locator,
    member::{Member, Question, with_sources},
};

/// How long a connection has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);

/// Joins or leaves a topic, as it is in `Topics` by then, and says when Redis has done it.
pub(crate) struct Change {
    pub(crate) topic: TopicName,
    pub(crate) done: oneshot::Sender<Result<(), BrokerError>>,
}

pub(crate) struct Subscriber {
    pub(crate) member: Arc<Member>,
    pub(crate) locator: Locator,
    pub(crate) incoming: Incoming,
    pub(crate) inbox: mpsc::Sender<Delivered>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) changes: mpsc::Receiver<Change>,
    /// Who waits for the first subscription. Until then nobody reads what is in the inbox.
    pub(crate) joining: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

impl Subscriber {
    /// Runs until it is stopped. Then its connection has ended.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let (mut pause, mut panicked) = (Pause::default(), None);
            while let Err(again) = caught(self.keep(&mut pause, panicked.take())).await {
                if let Some(joining) = self.joining.take() {
                    let _gone = joining.send(Err(unavailable(again)));
                    return;
                }
                panicked = Some(again);
            }
        })
        .await;
    }

    /// Makes connections and receives over them, until who wanted to join has failed to.
    async fn keep(&mut self, pause: &mut Pause, panicked: Option<String>) {
        if let Some(cause) = panicked {
            self.member.health.down(Half::Receiving, &cause);
            self.wait(pause).await;
        }
        loop {
            let failure = match self.subscribe().await {
                Ok((mut line, topics)) => {
                    self.member.health.up(Half::Receiving);
                    self.leave_what_is_left(&mut line, topics);
                    self.member.subscribed.send_modify(|number| *number += 1);
                    if let Some(joining) = self.joining.take() {
                        let _gone = joining.send(Ok(()));
                    }
                    let since = Instant::now();
                    let failure = self.serve(&mut line).await;
                    if since.elapsed() > LASTS {
                        pause.reset();
                    }
                    failure
                }
                Err(failure) => failure,
            };
            if let Some(joining) = self.joining.take() {
                let _gone = joining.send(Err(failure));
                return;
            }
            self.member
                .health
                .down(Half::Receiving, &with_sources(&failure));
            self.wait(pause).await;
        }
    }

    /// Waits before the next attempt.
    async fn wait(&mut self, pause: &mut Pause) {
        let mut over = std::pin::pin!(sleep(pause.next()));
        loop {
            tokio::select! {
                () = &mut over => return,
                // What is left isn't joined again, and what is to be joined fails.
                Some(refused) = self.changes.recv() => drop(refused),
            }
        }
    }
}
