//! Bridges and subscribers that panic: what they were to trace isn't, and nothing else is lost.

use std::sync::atomic::{AtomicUsize, Ordering};

use realtime::{
    broker::LocalBroker,
    history::{AnyHistory, MemoryHistory},
    node::NodeId,
    traces::{TraceBridge, TraceParent, Traces},
};
use realtime_testkit::{
    client::{Client, Request},
    wait::until,
};
use serde_json::json;
use tracing::{
    Span, Subscriber,
    field::{Field, Visit},
    span::{Attributes, Id, Record},
};
use tracing_subscriber::{Layer, layer::Context, registry::LookupSpan};

use super::{
    Server, Trace, ask, builder,
    collector::{self, the},
    continuing, following, named,
};

/// Panics whatever it is asked.
struct Panics;

static ASKED: AtomicUsize = AtomicUsize::new(0);

fn panics<T>() -> T {
    ASKED.fetch_add(1, Ordering::Relaxed);
    panic!("a bug in the bridge")
}

impl TraceBridge for Panics {
    fn current(&self) -> Option<TraceParent> {
        panics()
    }

    fn context_of(&self, _: &Span) -> Option<TraceParent> {
        panics()
    }

    fn set_parent(&self, _: &Span, _: TraceParent) -> bool {
        panics()
    }

    fn add_link(&self, _: &Span, _: TraceParent) {
        panics()
    }
}

impl Drop for Panics {
    fn drop(&mut self) {
        panics()
    }
}

/// A layer that panics at all that happens to spans of nodes whose name says so.
pub(crate) struct Breaks;

/// Of such a node.
struct Broken;

static BROKEN: AtomicUsize = AtomicUsize::new(0);

#[derive(Default)]
struct Node(String);

impl Visit for Node {
    fn record_debug(&mut self, _: &Field, _: &dyn std::fmt::Debug) {}

    fn record_str(&mut self, field: &Field, value: &str) {
        if field.name() == "realtime.node.id" {
            value.clone_into(&mut self.0);
        }
    }
}

fn breaks<S: Subscriber + for<'s> LookupSpan<'s>>(id: &Id, cx: &Context<'_, S>) {
    let span = cx.span(id);
    // The lock on what a span has is released before.
    if span.is_some_and(|span| span.extensions().get::<Broken>().is_some()) {
        BROKEN.fetch_add(1, Ordering::Relaxed);
        panic!("a bug in the subscriber");
    }
}

impl<S: Subscriber + for<'s> LookupSpan<'s>> Layer<S> for Breaks {
    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, cx: Context<'_, S>) {
        let mut node = Node::default();
        attributes.record(&mut node);
        if node.0.starts_with("broken") {
            let span = cx.span(id).unwrap();
            span.extensions_mut().insert(Broken);
        }
        if node.0 == "broken-anew" {
            breaks(id, &cx);
        }
    }

    fn on_record(&self, id: &Id, _: &Record<'_>, cx: Context<'_, S>) {
        breaks(id, &cx);
    }

    fn on_enter(&self, id: &Id, cx: Context<'_, S>) {
        breaks(id, &cx);
    }

    fn on_exit(&self, id: &Id, cx: Context<'_, S>) {
        breaks(id, &cx);
    }

    fn on_close(&self, id: Id, cx: Context<'_, S>) {
        breaks(&id, &cx);
    }
}

/// From a node that is whole to one that is broken, and back.
async fn nothing_is_lost(id: &str, broken: Traces) {
    collector::start();
    let (broker, history) = (LocalBroker::new(), AnyHistory::new(MemoryHistory::new()));
    let node = |id: NodeId, traces: Traces| {
        let builder = builder(traces).node_id(id).broker(broker.clone());
        builder.history(history.clone()).build().unwrap()
    };
    let mut servers = Vec::new();
    let whole = format!("whole-beside-{id}").parse().unwrap();
    for gateway in [node(whole, continuing()), node(id.parse().unwrap(), broken)] {
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    until("each knows the other", async || {
        servers.iter().all(|s| s.gateway.nodes().len() == 2)
    })
    .await;
    let said = Trace::new().said("01");
    let mut sender = named(&servers[0], "sender").await;
    let asked = Request::new("/ws?ann").header("traceparent", &said);
    let mut client = asked.connect(servers[1].addr).await.unwrap();
    for room in ["a", "kept"] {
        client.request("enter", json!(room)).await.unwrap();
        sender.request("enter", json!(room)).await.unwrap();
    }
    // More than one, so that whatever takes them is known to have survived the one before.
    for _ in 0..2 {
        for (route, data) in [
            ("to.everybody", json!(null)),
            ("to.room", json!("a")),
            ("to.room", json!("kept")),
        ] {
            let trace = Trace::new();
            ask(&mut sender, route, data, &trace.said("01")).await;
            hears(&mut client).await;
        }
    }
    // On the broken node itself: a handler that sends, one that fails, and one that panics.
    ask(&mut client, "to.everybody", json!(null), &said).await;
    let last = Trace::new();
    let answer = ask(&mut client, "echo", json!(7), &last.said("01")).await;
    assert_eq!(answer["data"], 7);
    let answer = ask(&mut client, "fail", json!(7), &said).await;
    assert_eq!(answer["data"]["code"], "internal", "{answer}");
    client.close(1000, "").await.unwrap();
    client.closed().await;
    let broken = &servers[1].gateway;
    until("its session has ended", async || broken.stats().closed == 1).await;
    let trace = Trace::new();
    ask(&mut sender, "echo", json!(1), &trace.said("01")).await;
    the("the whole one is traced", |seen| seen.trace == trace.id).await;
    for server in servers {
        server.stop().await;
    }
}

async fn hears(client: &mut Client) {
    while client.recv_json().await.unwrap()["route"] != "said" {}
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bridge_that_panics_costs_its_spans_and_nothing_else() {
    nothing_is_lost("beside-itself", following(Traces::new(Panics))).await;
    assert!(ASKED.load(Ordering::Relaxed) > 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_panics_at_new_spans_costs_those_and_nothing_else() {
    nothing_is_lost("broken-anew", continuing()).await;
    assert!(BROKEN.load(Ordering::Relaxed) > 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_subscriber_that_panics_at_whatever_happens_to_spans_costs_nothing_else() {
    nothing_is_lost("broken-later", continuing()).await;
    assert!(BROKEN.load(Ordering::Relaxed) > 10);
}
