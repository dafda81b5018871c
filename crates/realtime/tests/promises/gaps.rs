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
        Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    codec::{Codec, CodecError, Frame, FrameKind, JsonCodec, Notice},
};
use realtime_testkit::wait::within;
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
}

impl Broker for Gappy {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.inner.subscribe(join).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        self.inner.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        let mut gaps = self.gaps.lock().unwrap().take().unwrap();
        BrokerEvents::new(poll_fn(move |cx| {
            let source = "other".parse().unwrap();
            let gap = |missed| Some(BrokerEvent::gap(source, None, missed));
            match gaps.poll_recv(cx) {
                Poll::Ready(Some(missed)) => Poll::Ready(gap(missed)),
                _ => Poll::Pending,
            }
        }))
    }

    async fn close(&self) {
        self.inner.close().await;
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.inner.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.inner.leave(topic).await
    }

    fn limits(&self) -> BrokerLimits {
        self.inner.limits()
    }
}

/// The first sessions have got the notice before the last ones are so much as looked at, and all of
/// them get one for many gaps.
#[tokio::test]
async fn gaps_are_told_together_and_between_two_turns_of_it_others_run() {
    let notified = Counting::default();
    let (misses, gaps): (UnboundedSender<u64>, _) = unbounded_channel();
    let broker = Gappy {
        inner: LocalBroker::default(),
        gaps: Mutex::new(Some(gaps)),
    };
    let builder = Gateway::builder(notified.clone()).authenticator(ByName);
    let builder = builder.broker(broker).heartbeat(None);
    let host = Host::start(Kind::Hyper, builder.build().unwrap()).await;
    host.gateway.start().await.unwrap();
    let mut clients = join_all((0..SESSIONS).map(|_| host.connect("any"))).await;
    host.until_open(SESSIONS as u64).await;
    // What others of this runtime see: how many were notified since they last had a turn.
    let seen = notified.clone();
    let others = tokio::spawn(async move {
        let (mut last, mut most) = (0, 0);
        while last < SESSIONS {
            tokio::task::yield_now().await;
            let now = seen.0.load(SeqCst);
            (last, most) = (now, most.max(now - last));
        }
        most
    });
    for missed in [3, 0, 4] {
        misses.send(missed).unwrap();
    }
    let at_once = within("all are notified", others).await.unwrap();
    assert!(at_once <= TURN, "{at_once} in one turn");
    for (client, _) in &mut clients {
        let message = client.recv_json().await.unwrap();
        assert_eq!(message["data"]["missed"], 7);
    }
    assert_eq!(notified.0.load(SeqCst), SESSIONS, "once");
    host.gateway.shutdown().await;
}
