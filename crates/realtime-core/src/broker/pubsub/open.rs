//! One connection while it is there, and the round trip that shows what the server has read.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use futures::StreamExt;
use tokio::{sync::watch, task::JoinHandle, time::timeout};
use uuid::Uuid;

use super::{PubSub, PubSubConnection, requests::soon};
use crate::broker::{
    BrokerError, NodeInfo, Topic, TopicName,
    stream::{ANSWER_TIMEOUT, Look, Outgoing, look},
};

/// A connection, and a topic of its own, on which numbers are sent to and fro.
#[derive(Debug)]
pub(super) struct Open<C> {
    pub(super) connection: C,
    topic: Topic,
    last: AtomicU64,
    back: Arc<watch::Sender<u64>>,
    reader: JoinHandle<()>,
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
        let back = Arc::new(watch::Sender::new(0));
        let came = Arc::clone(&back);
        let reader = tokio::spawn(messages.for_each(move |number| {
            if let Ok(number) = number[..].try_into() {
                let number = u64::from_be_bytes(number);
                // A later one may overtake it where several tasks send; its way was no shorter.
                came.send_modify(|back| *back = number.max(*back));
            }
            async {}
        }));
        Ok(Self {
            connection,
            topic,
            last: AtomicU64::new(0),
            back,
            reader,
        })
    }

    pub(super) async fn publish(&self, topic: &Topic, data: Bytes) -> Result<(), BrokerError> {
        soon(self.connection.publish(topic, data)).await
    }

    /// Waits until the server has read all that was sent: a number that was sent behind it comes
    /// back.
    pub(super) async fn settled(&self) -> Result<(), BrokerError> {
        let number = self.last.fetch_add(1, Relaxed) + 1;
        let sent = Bytes::copy_from_slice(&number.to_be_bytes());
        self.publish(&self.topic, sent).await?;
        let mut back = self.back.subscribe();
        soon(async {
            back.wait_for(|back| *back >= number).await?;
            Ok(())
        })
        .await
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
