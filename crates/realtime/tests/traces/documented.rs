//! The table of spans in docs/traces.md has what comes, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use realtime::{
    ClientError, Session,
    broker::LocalBroker,
    history::{AnyHistory, MemoryHistory},
};
use realtime_testkit::{client::Request, wait::until};
use serde_json::json;

use super::{
    Trace, ask, builder,
    collector::{self, those},
    continuing, named,
};
use crate::support::Server;

const DOCS: &str = include_str!("../../../../docs/traces.md");

type Table = BTreeMap<String, BTreeSet<String>>;

/// The first word of each span's name, and its fields.
fn listed() -> Table {
    let lines = DOCS.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let code = |cell: &str| -> Vec<String> {
            let parts = cell.split('`').skip(1).step_by(2);
            parts.map(ToOwned::to_owned).collect()
        };
        (
            code(cells[1])[0].clone(),
            code(cells[4]).into_iter().collect(),
        )
    });
    rows.collect()
}

async fn no_trolls(session: Session) -> Result<(), ClientError> {
    match session.identity_key().id() {
        "troll" => Err(ClientError::new("no", "no")),
        _ => Ok(()),
    }
}

#[tokio::test]
async fn every_span_and_every_field_of_the_table_comes_and_no_other() {
    collector::start();
    let broker = LocalBroker::new();
    let history = AnyHistory::new(MemoryHistory::new());
    let mut servers = Vec::new();
    for _ in 0..2 {
        let builder = builder(continuing())
            .broker(broker.clone())
            .history(history.clone())
            .on_connect(no_trolls);
        let gateway = builder.build().unwrap();
        gateway.start().await.unwrap();
        servers.push(Server::start(gateway).await);
    }
    let (a, b) = (&servers[0], &servers[1]);
    until("each knows the other", async || {
        servers
            .iter()
            .all(|server| server.gateway.nodes().len() == 2)
    })
    .await;
    let trace = Trace::new();
    let said = trace.said("01");
    let request = |name: &str| Request::new(format!("/ws?{name}")).header("traceparent", &said);
    let evil = request("x").header("Origin", "https://evil.example");
    evil.refused(a.addr).await;
    let mut troll = request("troll").connect(b.addr).await.unwrap();
    troll.closed().await;
    let mut ann = request("ann").connect(a.addr).await.unwrap();
    let _bob = named(b, "bob").await;
    for route in ["to.everybody", "do.join", "fail"] {
        ask(&mut ann, route, json!(null), &said).await;
    }
    ann.close(1000, "").await.unwrap();
    ann.closed().await;
    let nodes = [a, b].map(|server| server.gateway.node_id().as_str());
    let listed = listed();
    let came = || {
        let mut came = Table::new();
        for span in those(|seen| nodes.iter().any(|node| seen.is_of(node))) {
            let name = match span.field("rpc.method") {
                Some(_) => "message",
                None => span.name.as_str(),
            };
            let name = match name.split_once(' ') {
                Some((first @ ("publish" | "relay" | "control" | "controlled"), _)) => first,
                _ => name,
            };
            // What the layer adds, and says in its own docs.
            let own = |field: &str| {
                ["code.", "thread.", "target", "level", "busy_ns", "idle_ns"]
                    .iter()
                    .any(|start| field.starts_with(start))
            };
            let fields = span.fields.into_keys().filter(|field| !own(field));
            came.entry(name.to_owned()).or_default().extend(fields);
        }
        came
    };
    // What nothing here causes is caused by the tests of failures, and of HTTP/2.
    let rare = |table: Table| -> Table {
        let rows = table.into_iter();
        rows.map(|(name, mut fields)| {
            for rare in ["error.type", "url.scheme", "http.request.method_original"] {
                fields.remove(rare);
            }
            (name, fields)
        })
        .collect()
    };
    until("all of them come", async || came().len() == listed.len()).await;
    assert_eq!(rare(came()), rare(listed));
    for server in servers {
        server.stop().await;
    }
}
