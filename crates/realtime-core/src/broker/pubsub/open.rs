//! One connection while it is there, and the round trip that shows what the server has read.

use std::sync::Arc;

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use tokio::{
    task::{JoinHandle, consume_budget},
    time::timeout,
};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{
    PubSub, PubSubConnection,
    echoes::Echoes,
    requests::{failed, soon},
};
use crate::{
    BoxError,
    broker::{
        BrokerError, NodeInfo, Topic, TopicName,
        stream::{ANSWER_TIMEOUT, Look, Outgoing, look},
    },
};

/// A connection, and a topic of its own, on which numbers are sent to and fro.
#[derive(Debug)]
pub(super) struct Open<C> {
    pub(super) connection: C,
    topic: Topic,
    echoes: Arc<Echoes>,
    reader: JoinHandle<()>,
    /// It is of no use any more: nothing that comes back on it counts.
    given_up: CancellationToken,
}

impl<C: PubSubConnection> Open<C> {
    pub(super) async fn connect<S>(server: &S, node: &NodeInfo) -> Result<Self, BrokerError>
    where
        S: PubSub<Connection = C>,
    {
        let connection = soon(server.connect(node)).await?;
        let (topic, messages) = soon(async {
            let name: TopicName = format!("echo {}", Uuid::new_v4()).parse()?;
            let topic = Topic::Named(name);
            let messages = connection.subscribe(&topic).await?;
            Ok((topic, messages))
        })
        .await?;
        let echoes = Arc::new(Echoes::new());
        let came = Arc::clone(&echoes);
        let given_up = CancellationToken::new();
        let at_its_end = given_up.clone().drop_guard();
        let numbers = messages.for_each(move |number| {
            if let Ok(number) = number[..].try_into() {
                came.came(u64::from_be_bytes(number));
            }
            // One that is always ready keeps nobody from running.
            consume_budget()
        });
        let reader = tokio::spawn(async move {
            let _at_its_end = at_its_end;
            numbers.await;
        });
        Ok(Self {
            connection,
            topic,
            echoes,
            reader,
            given_up,
        })
    }

    pub(super) async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BrokerError> {
        soon(self.connection.publish(topic, data)).await
    }

    /// Waits until the server has read all that was sent: a number that was sent behind it comes
    /// back.
    pub(super) async fn settled(&self) -> Result<(), BrokerError> {
        let echoed = tokio::select! {
            biased;
            cause = self.lost() => return Err(failed(cause)),
            echoed = self.echo() => echoed,
        };
        // A client that has connected anew by itself sends the number again, but not what was on its
        // way before it.
        match self.lost().now_or_never() {
            Some(cause) => Err(failed(cause)),
            None => echoed,
        }
    }

    async fn echo(&self) -> Result<(), BrokerError> {
        let send = |number: u64| {
            let number = Bytes::copy_from_slice(&number.to_be_bytes());
            self.publish(&self.topic, number)
        };
        self.echoes.round_trip(send).await
    }

    /// Waits until it is lost, given up, or of no use any more, and says why.
    pub(super) async fn lost(&self) -> BoxError {
        tokio::select! {
            cause = self.connection.lost() => cause,
            () = self.given_up.cancelled() => "the connection is not read any more".into(),
        }
    }

    /// Whoever still waits for something on it has lost it.
    pub(super) fn give_up(&self) {
        self.given_up.cancel();
    }

    /// Whether another node is alive under this one's id.
    pub(super) async fn has_double(&self, outgoing: &Outgoing) -> Result<bool, BrokerError> {
        let for_all = soon(self.connection.subscribe(&Topic::All)).await?;
        self.settled().await?;
        let question = outgoing.question();
        self.publish(&question.topic, question.data).await?;
        let mut answers = for_all.map(|data| look(outgoing.node(), data)).boxed();
        let double = async {
            while let Some(answer) = answers.next().await {
                consume_budget().await;
                if answer == Look::DuplicateNode {
                    return true;
                }
            }
            false
        };
        Ok(timeout(ANSWER_TIMEOUT, double).await.unwrap_or(false))
    }
}

impl<C> Drop for Open<C> {
    fn drop(&mut self) {
        self.reader.abort();
    }
}
