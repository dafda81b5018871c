//! A background task that panics begins again: soon, unless it does so all the time.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Bytes;
use futures::{Stream, stream};
use realtime::broker::{
    Broker, BrokerError, BrokerEvent, BrokerEvents, BrokerLimits, Join, Published, Subscription,
    Topic, TopicName,
};
use tokio::time::{Instant, Sleep, sleep};

const SHORTEST: Duration = Duration::from_millis(50);
const LONGEST: Duration = Duration::from_secs(5);

/// Events that panic after a time, again and again.
struct Panics {
    after: Duration,
    waits: Option<Pin<Box<Sleep>>>,
    at: Option<Instant>,
    pauses: Arc<Mutex<Vec<Duration>>>,
}

impl Stream for Panics {
    type Item = BrokerEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<BrokerEvent>> {
        if let Some(at) = self.at.take() {
            self.pauses.lock().unwrap().push(at.elapsed());
        }
        let after = self.after;
        let waits = self.waits.get_or_insert_with(|| Box::pin(sleep(after)));
        ready!(waits.as_mut().poll(cx));
        (self.waits, self.at) = (None, Some(Instant::now()));
        panic!("on purpose: events that panic")
    }
}

#[derive(Debug)]
struct Faulty(Duration, Arc<Mutex<Vec<Duration>>>);

impl Broker for Faulty {
    async fn subscribe(&self, _: Join) -> Result<Subscription, BrokerError> {
        Ok(Subscription::new(stream::pending()))
    }

    async fn publish(&self, _: &Topic, _: Bytes) -> Result<Published, BrokerError> {
        Ok(Published::Routed)
    }

    fn events(&self) -> BrokerEvents {
        BrokerEvents::new(Panics {
            after: self.0,
            waits: None,
            at: None,
            pauses: Arc::clone(&self.1),
        })
    }

    async fn close(&self) {}

    async fn join(&self, _: &TopicName) -> Result<(), BrokerError> {
        Ok(())
    }

    async fn leave(&self, _: &TopicName) -> Result<(), BrokerError> {
        Ok(())
    }

    fn limits(&self) -> BrokerLimits {
        BrokerLimits::none()
    }
}

/// How long the pauses are before a task that lives so long begins again.
async fn pauses(lives: Duration) -> Vec<Duration> {
    const PAUSES: usize = 9;
    let pauses = Arc::default();
    let broker = Faulty(lives, Arc::clone(&pauses));
    let gateway = realtime::builder().broker(broker).build().unwrap();
    gateway.start().await.unwrap();
    let seen = || pauses.lock().unwrap().len();
    while seen() < PAUSES {
        sleep(LONGEST).await;
    }
    gateway.shutdown().await;
    let pauses = pauses.lock().unwrap();
    pauses[..PAUSES].to_vec()
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_all_the_time_waits_longer_and_longer() {
    let pauses = pauses(Duration::from_millis(10)).await;
    assert!(pauses[0] <= 2 * SHORTEST, "{pauses:?}");
    assert!(pauses.is_sorted(), "{pauses:?}");
    assert!(*pauses.last().unwrap() >= LONGEST, "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn one_that_panics_now_and_then_begins_again_at_once() {
    let pauses = pauses(Duration::from_secs(60)).await;
    assert!(
        pauses.iter().all(|pause| *pause <= 2 * SHORTEST),
        "{pauses:?}"
    );
}
