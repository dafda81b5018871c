//! Gateways, and recorders that come and go.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    thread,
    time::UNIX_EPOCH,
};

use realtime::{
    Gateway, Identity,
    metrics::{METRICS, MetricKind},
};
use realtime_testkit::{memory::connect, wait::until};

use super::{
    ByName, builder, named,
    scrape::{Metrics, Sample, recorded_of},
    start,
    support::Server,
};

/// The gauges that aren't 0.
fn left(samples: &[Sample]) -> Vec<&Sample> {
    let is_gauge = |name: &str| {
        let mut gauges = METRICS.iter().filter(|of| of.kind == MetricKind::Gauge);
        gauges.any(|of| of.name == name)
    };
    let left = samples.iter();
    left.filter(|sample| sample.value != 0. && is_gauge(&sample.name))
        .collect()
}

/// What is told may be old, where the runtime hangs that tells it.
#[tokio::test]
async fn it_is_told_when_it_was_told() {
    let (server, metrics) = start(builder()).await;
    let before = UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    metrics
        .at_least("realtime_metrics_told_timestamp_seconds", &[], before)
        .await;
    let name = "realtime_metrics_told_timestamp_seconds";
    let first = metrics.value(name, &[]);
    assert!(first <= UNIX_EPOCH.elapsed().unwrap().as_secs_f64());
    metrics.at_least(name, &[], first + 0.01).await;
    server.stop().await;
    metrics
        .is("realtime_metrics_told_timestamp_seconds", &[], 0.)
        .await;
}

/// Run by itself, there is no recorder in this process until the gateway is built.
#[tokio::test]
async fn a_recorder_that_comes_after_the_gateway_and_before_its_sessions_hears_everything() {
    let gateway = crate::support::builder()
        .name("early")
        .authenticator(ByName)
        .build()
        .unwrap();
    gateway.record_metrics();
    let server = Server::start(gateway).await;
    super::scrape::install();
    let metrics = Metrics::of(&server.gateway);
    let mut ann = named(&server, "ann").await;
    ann.request("ping", serde_json::Value::Null).await.unwrap();
    metrics.is("realtime_sessions_opened_total", &[], 1.).await;
    metrics
        .is(
            "realtime_handler_duration_seconds",
            &[("route", "ping")],
            1.,
        )
        .await;
    server.stop().await;
}

#[tokio::test]
async fn it_is_told_by_itself_and_of_one_that_has_ended_no_gauge_is_left() {
    let (server, metrics) = start(builder()).await;
    let ann = named(&server, "ann").await;
    let sessions = || {
        let recorded = metrics.recorded();
        let sample = recorded
            .iter()
            .find(|sample| sample.name == "realtime_sessions");
        sample.map(|sample| sample.value)
    };
    until("it is told", async || sessions() == Some(1.)).await;
    drop(ann);
    server.stop().await;
    let recorded = metrics.recorded();
    assert!(left(&recorded).is_empty(), "{:?}", left(&recorded));
    let all = metrics.all();
    assert!(left(&all).is_empty(), "{:?}", left(&all));
    assert!(metrics.value("realtime_sessions_ended_total", &[]) >= 1.);
}

#[tokio::test]
async fn of_one_that_is_dropped_no_gauge_is_left() {
    let gateway = builder().build().unwrap();
    let name = gateway.name().to_owned();
    let ann = connect(&gateway, Identity::new("ann")).await.unwrap();
    gateway.record_metrics();
    let before = recorded_of(&name);
    let has = |what: &str| left(&before).iter().any(|sample| sample.name == what);
    assert!(has("realtime_sessions") && has("realtime_backend_state"));
    drop((gateway, ann));
    until("its end is told", async || {
        left(&recorded_of(&name)).is_empty()
    })
    .await;
    let ended = recorded_of(&name);
    let opened = ended
        .iter()
        .find(|sample| sample.name == "realtime_sessions_opened_total");
    assert!(opened.is_some_and(|sample| sample.value == 1.));
}

#[tokio::test]
async fn what_several_tell_at_once_is_told_once() {
    let (server, metrics) = start(builder()).await;
    let mut ann = named(&server, "ann").await;
    let done = Arc::new(AtomicBool::new(false));
    let tellers = [(); 3].map(|()| {
        let (gateway, done) = (server.gateway.clone(), Arc::clone(&done));
        thread::spawn(move || {
            while !done.load(Relaxed) {
                gateway.record_metrics();
            }
        })
    });
    for n in 0..100 {
        ann.request("echo", n.into()).await.unwrap();
    }
    done.store(true, Relaxed);
    for teller in tellers {
        teller.join().unwrap();
    }
    let told = metrics.value("realtime_messages_received_total", &[("result", "handled")]);
    assert_eq!(told, 100.);
    server.stop().await;
}

#[tokio::test]
async fn two_of_one_name_are_added_up_and_two_of_two_names_told_apart() {
    let named_alike = async || {
        let gateway: Gateway = builder().name("alike").build().unwrap();
        Server::start(gateway).await
    };
    let (one, two) = (named_alike().await, named_alike().await);
    let (other, metrics) = start(builder()).await;
    let _clients = [
        named(&one, "ann").await,
        named(&two, "ann").await,
        named(&other, "ann").await,
    ];
    let (of_one, of_two) = (Metrics::of(&one.gateway), Metrics::of(&two.gateway));
    let both = async || {
        let _told = of_two.all();
        of_one.value("realtime_sessions_opened_total", &[]) >= 2.
    };
    until("both are counted", both).await;
    metrics.is("realtime_sessions_opened_total", &[], 1.).await;
    for server in [one, two, other] {
        server.stop().await;
    }
}
