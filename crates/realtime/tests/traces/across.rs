//! From a client's request on one node to what is written on others: one trace, parents right.

use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use realtime::{
    broker::LocalBroker,
    connect,
    history::{AnyHistory, MemoryHistory},
    node::NodeId,
    presence::{AnyPresence, MemoryPresence},
};
use realtime_testkit::{
    client::Client,
    servers::{RabbitMq, Redis},
    wait::until,
};
use serde_json::{Value, json};

use super::{
    Builder, Server, Trace, ask, builder,
    collector::{self, Seen, the, those},
    continuing, named,
};

async fn started(builders: Vec<Builder>) -> Vec<Server> {
    collector::start();
    let (mut servers, count) = (Vec::new(), builders.len());
    for builder in builders {
        let gateway = builder.build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    until("each knows the others", async || {
        servers.iter().all(|s| s.gateway.nodes().len() == count)
    })
    .await;
    servers
}

/// The spans of one trace, by who has caused which.
struct Cause<'t> {
    trace: &'t Trace,
}

impl Cause<'_> {
    /// A client's request on the first node has become a span, which has sent this to the others:
    /// returns those that it has caused there.
    async fn on_others(&self, servers: &[Server], route: &str, sent: &str, came: &str) {
        let Trace { id, span } = *self.trace;
        let handled = |seen: &Seen| seen.trace == id && seen.name == route;
        let handled = the("the request is traced", handled).await;
        assert_eq!((handled.parent, handled.kind), (span, SpanKind::Server));
        assert!(handled.is_of(servers[0].gateway.node_id().as_str()));

        let published = |seen: &Seen| seen.trace == id && seen.name == sent;
        let published = the("what it sends is traced", published).await;
        assert_eq!(published.parent, handled.id);
        assert_eq!(published.kind, SpanKind::Producer);

        for other in &servers[1..] {
            let node = other.gateway.node_id().as_str();
            let arrived = |seen: &Seen| seen.trace == id && seen.name == came && seen.is_of(node);
            let arrived = the("what arrives at another node is traced", arrived).await;
            assert_eq!(arrived.parent, published.id, "{sent}");
            assert_eq!(arrived.kind, SpanKind::Consumer);
            let source = arrived.field("realtime.source.node.id");
            assert_eq!(source, Some(servers[0].gateway.node_id().as_str()));
        }
    }
}

async fn hears(client: &mut Client) {
    while client.recv_json().await.unwrap()["route"] != "said" {}
}

async fn id(client: &mut Client) -> Value {
    client.request("id", json!(null)).await.unwrap()["data"].clone()
}

/// What nodes promise, over whatever broker.
async fn one_trace(servers: Vec<Server>) {
    let mut asker = named(&servers[0], "asker").await;
    let mut others = Vec::new();
    for server in &servers[1..] {
        others.push(named(server, "other").await);
    }
    for client in &mut others {
        for room in ["a", "kept"] {
            client.request("enter", json!(room)).await.unwrap();
        }
    }
    let sent = [
        ("to.everybody", json!(null), "everybody"),
        ("to.identity", json!("other"), "identity"),
        ("to.tenant", json!(null), "tenant"),
        ("to.room", json!("a"), "room"),
        ("to.room", json!("kept"), "room"),
    ];
    for (route, data, to) in sent {
        let trace = Trace::new();
        ask(&mut asker, route, data, &trace.said("01")).await;
        for client in &mut others {
            hears(client).await;
        }
        let (sent, came) = (format!("publish {to}"), format!("relay {to}"));
        Cause { trace: &trace }
            .on_others(&servers, route, &sent, &came)
            .await;
    }

    // All look for a session, and one has it.
    let trace = Trace::new();
    let session = id(&mut others[0]).await;
    ask(&mut asker, "to.session", session, &trace.said("01")).await;
    hears(&mut others[0]).await;
    Cause { trace: &trace }
        .on_others(&servers, "to.session", "publish session", "relay session")
        .await;

    // What is nobody's trace goes on nowhere.
    asker.request("to.everybody", json!(null)).await.unwrap();
    let unsampled = Trace::new();
    ask(
        &mut asker,
        "to.everybody",
        json!(null),
        &unsampled.said("00"),
    )
    .await;
    for client in &mut others {
        hears(client).await;
        hears(client).await;
    }
    controls(&servers, &mut asker, &mut others).await;
    let node = |seen: &Seen| {
        servers
            .iter()
            .any(|s| seen.is_of(s.gateway.node_id().as_str()))
    };
    let broadcasts = those(|seen| node(seen) && seen.name == "publish everybody");
    assert_eq!(broadcasts.len(), 1, "{broadcasts:#?}");
    assert!(those(|seen| seen.trace == unsampled.id).is_empty());
    for server in servers {
        server.stop().await;
    }
}

/// What sessions of other nodes are told to do, and their clients are asked.
async fn controls(servers: &[Server], asker: &mut Client, others: &mut [Client]) {
    for route in ["do.join", "do.leave", "do.update", "do.revoke"] {
        let trace = Trace::new();
        ask(asker, route, json!(null), &trace.said("01")).await;
        let operation = route.trim_start_matches("do.");
        let (sent, came) = (
            format!("control {operation}"),
            format!("controlled {operation}"),
        );
        Cause { trace: &trace }
            .on_others(servers, route, &sent, &came)
            .await;
    }

    let trace = Trace::new();
    let said = trace.said("01");
    let answering = async {
        for client in &mut *others {
            let question = loop {
                let message = client.recv_json().await.unwrap();
                if message["route"] == "asked" {
                    break message;
                }
            };
            let answer = json!({ "reply": question["request"], "data": 1 });
            client.send_text(&answer.to_string()).await.unwrap();
        }
    };
    let asking = ask(asker, "do.request", json!(null), &said);
    let (answer, ()) = futures::join!(asking, answering);
    assert_eq!(answer["data"], servers.len() - 1);
    Cause { trace: &trace }
        .on_others(
            servers,
            "do.request",
            "control request",
            "controlled request",
        )
        .await;

    let trace = Trace::new();
    let session = id(&mut others[0]).await;
    ask(asker, "do.disconnect", session, &trace.said("01")).await;
    assert_eq!(others[0].closed().await.unwrap().1, "go");
    Cause { trace: &trace }
        .on_others(
            servers,
            "do.disconnect",
            "control disconnect",
            "controlled disconnect",
        )
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_a_broker_in_this_process() {
    let (broker, presence) = (LocalBroker::new(), AnyPresence::new(MemoryPresence::new()));
    let history = AnyHistory::new(MemoryHistory::new());
    let node = |_| {
        let builder = builder(continuing()).broker(broker.clone());
        builder.presence(presence.clone()).history(history.clone())
    };
    one_trace(started((0..2).map(node).collect()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_three_nodes_and_redis() {
    let redis = Redis::start().await.unwrap();
    let url = redis.url();
    let node = |n| {
        let id: NodeId = format!("redis-{n}").parse().unwrap();
        builder(continuing())
            .node_id(id)
            .broker(connect::broker(&url).unwrap())
            .presence(connect::presence(&url).unwrap())
            .history(connect::history(&url).unwrap())
    };
    one_trace(started((0..3).map(node).collect()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_trace_over_rabbitmq() {
    let rabbit = RabbitMq::start().await.unwrap();
    let url = rabbit.url();
    let (presence, history) = (
        AnyPresence::new(MemoryPresence::new()),
        AnyHistory::new(MemoryHistory::new()),
    );
    let node = |n| {
        let id: NodeId = format!("rabbit-{n}").parse().unwrap();
        builder(continuing())
            .node_id(id)
            .broker(connect::broker(&url).unwrap())
            .presence(presence.clone())
            .history(history.clone())
    };
    one_trace(started((0..2).map(node).collect()).await).await;
}
