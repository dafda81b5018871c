//! A shutdown that a handler or a hook waits for can't wait for itself: it comes to its end all
//! the same, and so do the broker and presence.

use std::{
    pin::pin,
    sync::{Arc, Mutex, OnceLock, mpsc},
    task::{Context, Poll, Wake},
    thread::{self, Thread},
    time::Duration,
};

use axum::body::Bytes;
use futures::future::BoxFuture;
use realtime::{
    Builder, Gateway, Router,
    broker::{
        Broker, BrokerError, BrokerEvents, BrokerLimits, Join, LocalBroker, Published,
        Subscription, Topic, TopicName,
    },
    middleware::{Inbound, Next, from_fn},
    report::ShutdownReport,
};
use realtime_testkit::wait::{until, within};
use serde_json::Value;

use crate::{
    moody::{Call, Mood, Moods, MoodyBroker, MoodyPresence},
    support::{Ends, Server},
};

const SHORT: Duration = Duration::from_millis(300);
/// No deadline at all.
const MAX: Duration = Duration::MAX;

/// A gateway, and what its broker and its presence are asked.
fn recorded(with: impl FnOnce(Builder) -> Builder) -> (Gateway, [Moods; 2]) {
    let (broker, presence) = (MoodyBroker::default(), MoodyPresence::default());
    let moods = [broker.1.clone(), presence.1.clone()];
    let builder = with(crate::support::builder().broker(broker).presence(presence));
    (
        builder.shutdown_timeout(Some(SHORT)).build().unwrap(),
        moods,
    )
}

async fn both_are_closed(gateway: &Gateway, moods: &[Moods; 2]) {
    until("the broker and presence are closed", async || {
        moods.iter().all(|moods| moods.calls(Call::Close) > 0)
    })
    .await;
    let again = within("another shutdown", gateway.shutdown()).await;
    assert_eq!((again.tasks_left, gateway.stats().open), (0, 0));
}

#[tokio::test]
async fn in_a_handler() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        gateway.shutdown().await;
    });
    let (gateway, moods) = recorded(|builder| builder.router(router));
    gateway.start().await.unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    let mut other = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    assert_eq!(other.closed().await.unwrap().0, 1001);
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn in_a_handler_within_a_time_of_its_own() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        gateway.shutdown_within(Duration::ZERO).await;
    });
    let (gateway, moods) = recorded(|builder| builder.router(router));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn in_a_connect_hook() {
    let (gateway, moods) = recorded(|builder| {
        builder.on_connect(async |gateway: Gateway| {
            gateway.shutdown().await;
        })
    });
    let server = Server::start(gateway.clone()).await;
    let _client = server.connect().await;
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn in_a_disconnect_hook() {
    let (gateway, moods) = recorded(|builder| {
        builder.on_disconnect(async |gateway: Gateway| {
            gateway.shutdown().await;
        })
    });
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    server.until_open(1).await;
    client.close(1000, "").await.unwrap();
    both_are_closed(&gateway, &moods).await;
}

/// The same without a deadline, at which it would end in any case, and without a time for hooks.
fn endless(with: impl FnOnce(Builder) -> Builder) -> (Gateway, [Moods; 2]) {
    let (broker, presence) = (MoodyBroker::default(), MoodyPresence::default());
    let moods = [broker.1.clone(), presence.1.clone()];
    let builder = with(crate::support::builder().broker(broker).presence(presence));
    let builder = builder.shutdown_timeout(None).hook_timeout(None);
    (builder.build().unwrap(), moods)
}

/// What those who awaited the shutdown got.
type Reports = Arc<Mutex<Vec<ShutdownReport>>>;

fn stop(
    reports: &Reports,
) -> impl Fn(Gateway) -> BoxFuture<'static, ()> + Clone + Send + Sync + use<> {
    let reports = Arc::clone(reports);
    move |gateway| {
        let reports = Arc::clone(&reports);
        Box::pin(async move {
            let report = gateway.shutdown().await;
            reports.lock().unwrap().push(report);
        })
    }
}

#[tokio::test]
async fn without_a_deadline_in_handlers() {
    let reports = Reports::default();
    let ends = Ends::default();
    let router = Router::new().route("stop", stop(&reports));
    let (gateway, moods) = endless(|builder| ends.hear(builder.router(router)));
    gateway.start().await.unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut clients = [server.connect().await, server.connect().await];
    let mut other = server.connect().await;
    server.until_open(3).await;
    for client in &mut clients {
        client.send("stop", Value::Null).await.unwrap();
    }
    assert_eq!(other.closed().await.unwrap().0, 1001);
    both_are_closed(&gateway, &moods).await;
    let reports = reports.lock().unwrap();
    assert_eq!(reports.len(), 2);
    for report in reports.iter() {
        assert_eq!((report.sessions, report.aborted), (3, 0));
        assert!(report.tasks_left > 0, "its own at least");
    }
    assert_eq!(ends.len(), 3);
}

#[tokio::test]
async fn without_a_deadline_in_a_connect_hook() {
    let reports = Reports::default();
    let (gateway, moods) = endless(|builder| builder.on_connect(stop(&reports)));
    let server = Server::start(gateway.clone()).await;
    let _client = server.connect().await;
    both_are_closed(&gateway, &moods).await;
    assert_eq!(reports.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_deadline_in_disconnect_hooks() {
    let reports = Reports::default();
    let (gateway, moods) = endless(|builder| builder.on_disconnect(stop(&reports)));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    let _other = server.connect().await;
    server.until_open(2).await;
    client.close(1000, "").await.unwrap();
    both_are_closed(&gateway, &moods).await;
    assert_eq!(reports.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_deadline_in_an_error_hook() {
    let reports = Reports::default();
    let router = Router::new().route("fail", async || Err::<(), _>("on purpose"));
    let (gateway, moods) = endless(|builder| builder.router(router).on_error(stop(&reports)));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("fail", Value::Null).await.unwrap();
    both_are_closed(&gateway, &moods).await;
    assert_eq!(reports.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_deadline_in_a_layer() {
    let reports = Reports::default();
    let this: Arc<OnceLock<Gateway>> = Arc::default();
    let (asks, host) = (stop(&reports), Arc::clone(&this));
    let layer = from_fn(move |inbound: Inbound, next: Next| {
        let stopped = asks(host.get().unwrap().clone());
        async move {
            stopped.await;
            next.run(inbound).await
        }
    });
    let (broker, presence) = (MoodyBroker::default(), MoodyPresence::default());
    let moods = [broker.1.clone(), presence.1.clone()];
    let builder = crate::support::builder().broker(broker).presence(presence);
    let builder = builder.shutdown_timeout(None).layer(layer);
    let gateway = builder.build().unwrap();
    this.set(gateway.clone()).unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("any", Value::Null).await.unwrap();
    both_are_closed(&gateway, &moods).await;
    assert_eq!(reports.lock().unwrap().len(), 1);
}

/// A broker that ends the gateway where it is to publish.
struct StopsAll(LocalBroker, Arc<OnceLock<Gateway>>, Reports);

impl Broker for StopsAll {
    async fn subscribe(&self, join: Join) -> Result<Subscription, BrokerError> {
        self.0.subscribe(join).await
    }

    async fn publish(&self, topic: &Topic, data: Bytes) -> Result<Published, BrokerError> {
        stop(&self.2)(self.1.get().unwrap().clone()).await;
        self.0.publish(topic, data).await
    }

    fn events(&self) -> BrokerEvents {
        self.0.events()
    }

    async fn close(&self) {
        self.0.close().await;
    }

    async fn join(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.join(topic).await
    }

    async fn leave(&self, topic: &TopicName) -> Result<(), BrokerError> {
        self.0.leave(topic).await
    }

    fn limits(&self) -> BrokerLimits {
        self.0.limits()
    }
}

#[tokio::test]
async fn without_a_deadline_in_a_call_of_the_broker() {
    let (reports, this) = (Reports::default(), Arc::default());
    let broker = StopsAll(
        LocalBroker::default(),
        Arc::clone(&this),
        Arc::clone(&reports),
    );
    let router = Router::new().route("say", async |gateway: Gateway| {
        let _not_published = gateway.broadcast("said", ()).await;
    });
    let builder = crate::support::builder().router(router).broker(broker);
    let gateway = builder.shutdown_timeout(None).build().unwrap();
    this.set(gateway.clone()).unwrap();
    gateway.start().await.unwrap();
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("say", Value::Null).await.unwrap();
    let asked = async || !reports.lock().unwrap().is_empty();
    until("the broker has its answer", asked).await;
    let report = within("the shutdown", gateway.shutdown()).await;
    assert_eq!(
        (report.sessions, report.aborted, report.tasks_left),
        (1, 0, 0)
    );
}

/// It may give up waiting, and ask again.
#[tokio::test]
async fn without_a_deadline_in_a_handler_that_asks_several_times() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        let given_up = tokio::time::timeout(Duration::ZERO, gateway.shutdown()).await;
        assert!(given_up.is_err());
        let (one, other) = tokio::join!(gateway.shutdown(), gateway.shutdown_within(MAX));
        assert_eq!(one, other);
        assert_eq!(gateway.shutdown().await, one);
    });
    let ends = Ends::default();
    let (gateway, moods) = endless(|builder| ends.hear(builder.router(router)));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    let _other = server.connect().await;
    server.until_open(2).await;
    client.send("stop", Value::Null).await.unwrap();
    both_are_closed(&gateway, &moods).await;
    assert_eq!((ends.len(), gateway.stats().panics), (2, 0));
}

/// A call that is dropped while it waits leaves to the next what it has not done.
#[tokio::test]
async fn in_a_future_that_is_dropped() {
    let router = Router::new().route("stuck", async || std::future::pending::<()>().await);
    let (gateway, moods) = recorded(|builder| builder.router(router));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("stuck", Value::Null).await.unwrap();
    until("the handler runs", async || gateway.stats().received == 1).await;
    let given_up = tokio::time::timeout(SHORT / 10, gateway.shutdown()).await;
    assert!(given_up.is_err());
    within("the next", gateway.shutdown()).await;
    both_are_closed(&gateway, &moods).await;
}

/// What was begun elsewhere ends for all who wait for it.
#[tokio::test]
async fn in_several_tasks_and_a_handler() {
    let router = Router::new().route("stop", async |gateway: Gateway| {
        gateway.shutdown().await;
    });
    let (gateway, moods) = recorded(|builder| builder.router(router));
    let server = Server::start(gateway.clone()).await;
    let mut client = server.connect().await;
    client.send("stop", Value::Null).await.unwrap();
    until("it begins", async || {
        gateway
            .local_sessions()
            .iter()
            .all(realtime::Session::is_closed)
    })
    .await;
    let gateway = Arc::new(gateway);
    let waiting: Vec<_> = (0..3)
        .map(|_| {
            let gateway = Arc::clone(&gateway);
            tokio::spawn(async move { gateway.shutdown().await })
        })
        .collect();
    for shutdown in waiting {
        within("a shutdown", shutdown).await.unwrap();
    }
    both_are_closed(&gateway, &moods).await;
}

#[tokio::test]
async fn one_that_is_begun_after_its_end_does_nothing() {
    let (gateway, moods) = recorded(|builder| builder);
    gateway.start().await.unwrap();
    let report = gateway.shutdown().await;
    gateway.begin_shutdown();
    // Were it begun again, this would be behind it.
    let next = tokio::spawn(async {});
    next.await.unwrap();
    assert_eq!(gateway.shutdown().await, report);
    let closed = moods.map(|moods| moods.calls(Call::Close));
    assert_eq!(closed, [1, 1]);
}

struct Unpark(Thread);

impl Wake for Unpark {
    fn wake(self: Arc<Self>) {
        self.0.unpark();
    }
}

/// Runs a future without a runtime.
fn run<T>(future: impl Future<Output = T>) -> T {
    let waker = Arc::new(Unpark(thread::current())).into();
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(done) => return done,
            Poll::Pending => thread::park(),
        }
    }
}

/// It can't be gone on with.
#[test]
fn one_whose_runtime_is_gone_returns() {
    let (gateway, moods) = recorded(|builder| builder);
    moods[0].set(Call::Close, Mood::Hangs);
    let mut builder = tokio::runtime::Builder::new_current_thread();
    let runtime = builder.enable_all().build().unwrap();
    runtime.block_on(async {
        gateway.start().await.unwrap();
        gateway.begin_shutdown();
        let closes = async || moods[0].calls(Call::Close) > 0;
        until("the broker is being closed", closes).await;
    });
    drop(runtime);
    let (returned, returns) = mpsc::channel();
    thread::spawn(move || returned.send(run(gateway.shutdown())));
    let report = returns.recv_timeout(Duration::from_secs(20));
    report.expect("it returns");
}
