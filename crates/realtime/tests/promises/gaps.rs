//! What other nodes sent and did not arrive is said to every session, and not to all of them in one
//! turn, for which everybody else would have to wait.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::Poll,
};

use axum::body::Bytes;
use bytes::BytesMut;
use futures::{future::join_all, stream::poll_fn};
use realtime::{
    Gateway, Message,
    broker::{
        Broker, BrokerError, BrokerEvent, BrokerEvents, LocalBroker, NodeInfo, Published,
        Subscription, Topic,
    },
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, Notice},
};
use realtime_testkit::wait::until;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::host::{ByName, Host, Kind};

/// Several turns of each shard.
const SESSIONS: usize = 1_000;
/// A turn has fewer sessions than this.
const TURN: usize = 256;

/// Counts the gaps that sessions are notified of.
#[derive(Debug, Clone, Default)]
struct Counting(Arc<AtomicUsize>);

impl Codec for Counting {
    fn name(&self) -> &str {
        JsonCodec.name()
    }

    fn encode(&self, message: &Message, out: &mut BytesMut) -> Result<FrameKind, CodecError> {
        JsonCodec.encode(message, out)
    }

    fn encode_notice(
        &self,
        notice: &Notice<'_>,
        out: &mut BytesMut,
    ) -> Result<Option<FrameKind>, CodecError> {
        if matches!(notice, Notice::Gap { .. }) {
            self.0.fetch_add(1, SeqCst);
        }
        JsonCodec.encode_notice(notice, out)
    }

    fn decode(&self, frame: Frame) -> Result<Message, CodecError> {
        JsonCodec.decode(frame)
    }
}

/// A broker that misses messages when the test says so.
struct Gappy {
    inner: LocalBroker,
    gaps: Mutex<Option<UnboundedReceiver<u64>>>,
    notified: Counting,
    /// How many sessions had been notified when the relay was done with the first gap.
    done: Arc<Mutex<Option<usize>>>,
}

impl Broker for Gappy {
    async fn subscribe(
        &self,
        node: NodeInfo,
        topics: &[Topic],
    ) -> Result<Subscription, BrokerError> {
        self.inner.subscribe(node, topics).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.inner.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        let mut gaps = self.gaps.lock().unwrap().take().unwrap();
        let (notified, done) = (self.notified.clone(), Arc::clone(&self.done));
        let mut reported = false;
        BrokerEvents::new(poll_fn(move |cx| {
            if reported {
                let notified = notified.0.load(SeqCst);
                done.lock().unwrap().get_or_insert(notified);
            }
            let Poll::Ready(Some(missed)) = gaps.poll_recv(cx) else {
                return Poll::Pending;
            };
            reported = true;
            let source = "other".parse().unwrap();
            Poll::Ready(Some(BrokerEvent::Gap { source, missed }))
        }))
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}

/// The first sessions have got the notice before the last ones are so much as looked at.
#[tokio::test]
async fn between_two_turns_of_a_gap_others_run() {
    let notified = Counting::default();
    let (misses, gaps): (UnboundedSender<u64>, _) = unbounded_channel();
    let done = Arc::default();
    let broker = Gappy {
        inner: LocalBroker::default(),
        gaps: Mutex::new(Some(gaps)),
        notified: notified.clone(),
        done: Arc::clone(&done),
    };
    let builder = Gateway::builder(notified.clone()).authenticator(ByName);
    let builder = builder.broker(broker).heartbeat(None);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    host.gateway.start().await.unwrap();
    let mut clients = join_all((0..SESSIONS).map(|_| host.connect("any"))).await;
    host.until_open(SESSIONS as u64).await;
    misses.send(7).unwrap();
    until("all are notified", async || {
        notified.0.load(SeqCst) == SESSIONS
    })
    .await;
    let at_once = SESSIONS - done.lock().unwrap().unwrap();
    assert!(at_once <= TURN, "{at_once} in one turn");
    for (client, _) in &mut clients {
        let message = client.recv_json().await.unwrap();
        assert_eq!(message["data"]["missed"], 7);
    }
    host.gateway.shutdown().await;
}
