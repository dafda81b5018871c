//! Out of descriptors, at the start and just as the first link breaks. The one test of its process:
//! it lowers the limit, and listens for panics of all threads.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    fs::File,
    panic,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use futures::StreamExt;
use realtime_broker_amqp::AmqpBroker;
use realtime_core::{
    Incarnation, NodeId,
    broker::{Broker, BrokerErrorKind, BrokerEvent, BrokerEvents, Join, NodeInfo, Topic},
};
use realtime_testkit::{
    servers::RabbitMq,
    wait::{until, within},
};
use rustix::process::{Resource, getrlimit, setrlimit};
use tokio::time::timeout;

/// Holds all descriptors that are left, once the limit is low.
struct Held(#[allow(dead_code, reason = "it is held")] Vec<File>);

fn hold_all() -> Held {
    let mut held = Vec::new();
    while let Ok(file) = File::open("/dev/null") {
        held.push(file);
    }
    Held(held)
}

async fn until_event(events: &mut BrokerEvents, what: &str, is_it: impl Fn(&BrokerEvent) -> bool) {
    let heard = async { while !is_it(&events.next().await.unwrap()) {} };
    let heard = timeout(Duration::from_secs(20), heard).await;
    assert!(heard.is_ok(), "waited in vain for {what}");
}

fn is_down(event: &BrokerEvent) -> bool {
    matches!(event, BrokerEvent::Down { .. })
}

/// For want of descriptors.
fn is_short(event: &BrokerEvent) -> bool {
    let text = "Too many open files";
    matches!(event, BrokerEvent::Down { cause, .. } if cause.contains(text))
}

#[tokio::test]
async fn descriptors_run_out_just_as_the_first_link_breaks() {
    let mut server = RabbitMq::start().await.unwrap();
    let panics = Arc::new(Mutex::new(Vec::new()));
    let (heard, usual) = (Arc::clone(&panics), panic::take_hook());
    panic::set_hook(Box::new(move |panic| {
        heard.lock().unwrap().push(panic.to_string());
        usual(panic);
    }));
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = Some(256);
    setrlimit(Resource::Nofile, limit).unwrap();

    let broker = AmqpBroker::from_url(server.url()).unwrap();
    let mut events = broker.events();
    let node = NodeInfo::new(NodeId::random(), Incarnation::random());
    let held = hold_all();
    let joined = within("an answer", broker.subscribe(Join::new(node.clone()))).await;
    let kind = joined.map(drop).map_err(|error| error.kind());
    assert_eq!(kind, Err(BrokerErrorKind::Unavailable));
    drop(held);
    let joined = within("joining", broker.subscribe(Join::new(node))).await;
    let _inbox = joined.unwrap();

    for _ in 0..2 {
        until("the link takes messages", async || {
            let hello = Bytes::from_static(b"hello");
            broker.publish(&Topic::All, hello).await.is_ok()
        })
        .await;
        let held = hold_all();
        server.kill().unwrap();
        until_event(&mut events, "the link to be down", is_down).await;
        // Those that the link had are free now.
        let more = async {
            let mut more = Vec::new();
            loop {
                more.push(hold_all());
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        tokio::select! {
            () = more => {}
            () = until_event(&mut events, "an attempt without descriptors", is_short) => {}
        }
        drop(held);
        server.restart().await.unwrap();
        let is_up = |event: &BrokerEvent| *event == BrokerEvent::Up;
        until_event(&mut events, "the link to be up", is_up).await;
    }
    let panics = panics.lock().unwrap();
    assert!(panics.is_empty(), "{panics:?}");
}
