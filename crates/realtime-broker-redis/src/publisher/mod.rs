//! Publishes, in order, and waits for what Redis answers.
//!
//! One task stamps and sends, so that numbers arrive in their order. What was under way when the
//! connection ended is never sent again: it may have been published.

mod answers;
mod serve;

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use realtime_core::{
    Pause,
    broker::{BrokerError, Published, Topic, stream::Outgoing},
};
use realtime_redis::caught;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{ANSWER, Connection},
    error::{unavailable, unknown},
    health::Half,
    locate::Locator,
    member::{Member, Question, with_sources},
};

/// How long a connection has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);

/// A publication, and who waits for its outcome.
pub(crate) struct Request {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
    pub(crate) outcome: oneshot::Sender<Result<Published, BrokerError>>,
    /// Its share of what may be under way, in bytes.
    pub(crate) room: OwnedSemaphorePermit,
}

pub(crate) struct Publisher {
    pub(crate) member: Arc<Member>,
    pub(crate) locator: Locator,
    pub(crate) outgoing: Outgoing,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) questions: mpsc::Receiver<Question>,
    /// Who waits for Redis to accept what this node says first. Before that it may say nothing.
    pub(crate) joining: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

/// What runs as long as the subscription does.
struct Link {
    /// The first connection, until it is used.
    first: Option<Connection>,
    pause: Pause,
    /// Why the task was started again.
    panicked: Option<String>,
}

impl Publisher {
    /// The first connection.
    pub(crate) async fn connect(&mut self) -> Result<Connection, BrokerError> {
        let name = self.member.name("publish");
        self.locator.connect(&name, ANSWER).await
    }

    /// Runs until it is stopped, and says goodbye.
    pub(crate) async fn run(mut self, first: Connection, stop: CancellationToken) {
        let mut link = Link {
            first: Some(first),
            pause: Pause::default(),
            panicked: None,
        };
        while let Err(panicked) = caught(self.keep(&mut link, &stop)).await {
            link.panicked = Some(panicked);
        }
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            self.refuse(request);
        }
    }

    /// Makes connections and uses them, until it is stopped.
    async fn keep(&mut self, link: &mut Link, stop: &CancellationToken) {
        if let Some(cause) = link.panicked.take() {
            self.member.health.down(Half::Publishing, &cause);
        }
        loop {
            let current = match link.first.take() {
                Some(current) => current,
                None => match stop
                    .run_until_cancelled(self.connect_again(&mut link.pause))
                    .await
                {
                    Some(current) => current,
                    None => return,
                },
            };
            let since = Instant::now();
            let Some(cause) = self.serve(current, stop).await else {
                return;
            };
            if since.elapsed() > LASTS {
                link.pause.reset();
            }
            self.member.health.down(Half::Publishing, &cause);
        }
    }

    /// Whatever it takes. Nobody who has just handed a message over waits in vain.
    async fn connect_again(&mut self, pause: &mut Pause) -> Connection {
        loop {
            self.refuse_for(pause.next()).await;
            let name = self.member.name("publish");
            let connecting = self.locator.connect(&name, ANSWER);
            let mut connecting = std::pin::pin!(connecting);
            let connected = loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    Some(request) = self.requests.recv() => refuse(&self.member, request),
                    Some(nobody_knows) = self.questions.recv() => drop(nobody_knows),
                }
            };
            match connected {
                Ok(connection) => return connection,
                Err(error) => {
                    let cause = with_sources(&error);
                    self.member.health.down(Half::Publishing, &cause);
                }
            }
        }
    }

    async fn refuse_for(&mut self, time: Duration) {
        let mut done = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut done => return,
                Some(request) = self.requests.recv() => refuse(&self.member, request),
                Some(nobody_knows) = self.questions.recv() => drop(nobody_knows),
            }
        }
    }

    fn refuse(&self, request: Request) {
        refuse(&self.member, request);
    }
}

fn refuse(member: &Member, request: Request) {
    let refusal = member.health.refusal(Half::Publishing);
    let refusal = refusal.unwrap_or_else(|| unavailable("the link to Redis is down"));
    let _nobody_waits = request.outcome.send(Err(refusal));
}

/// That a publication got no answer.
pub(crate) fn unanswered() -> BrokerError {
    unknown("the link to Redis broke before it had answered")
}
