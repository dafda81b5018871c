//! The table of spans in docs/traces.md has what comes, and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use realtime::{
    ClientError, Session,
    broker::LocalBroker,
    history::{AnyHistory, MemoryHistory},
    presence::{AnyPresence, MemoryPresence},
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

/// The names of all spans, and their fields.
fn listed() -> Table {
    let lines = DOCS.lines().filter(|line| line.starts_with("| `"));
    let rows = lines.flat_map(|line| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let code = |cell: &str| -> Vec<String> {
            let parts = cell.split('`').skip(1).step_by(2);
            parts.map(ToOwned::to_owned).collect()
        };
        let fields: BTreeSet<_> = code(cells[4]).into_iter().collect();
        let names = code(cells[1]).into_iter();
        names.map(move |name| (name, fields.clone()))
    });
    // What this version doesn't know is said by hand, in a test of failures.
    let known = rows.filter(|(name, _)| name != "controlled other");
    known.collect()
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
    let presence = AnyPresence::new(MemoryPresence::new());
    let mut servers = Vec::new();
    for _ in 0..2 {
        let builder = builder(continuing())
            .broker(broker.clone())
            .history(history.clone())
            .presence(presence.clone())
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
    let mut bob = named(b, "bob").await;
    let id = bob.request("id", json!(null)).await.unwrap()["data"].clone();
    bob.request("enter", json!("a")).await.unwrap();
    for (route, data) in [
        ("to.everybody", json!(null)),
        ("to.identity", json!("bob")),
        ("to.room", json!("a")),
        ("to.session", id.clone()),
        ("to.tenant", json!(null)),
        ("do.join", json!(null)),
        ("do.leave", json!(null)),
        ("do.update", json!(null)),
        ("do.revoke", json!(null)),
        ("fail", json!(null)),
    ] {
        ask(&mut ann, route, data, &said).await;
    }
    let answers = async {
        loop {
            let message = bob.recv_json().await.unwrap();
            if message["route"] == "asked" {
                let answer = json!({ "reply": message["request"], "data": 1 });
                bob.send_text(&answer.to_string()).await.unwrap();
                break;
            }
        }
    };
    futures::join!(ask(&mut ann, "do.request", json!(null), &said), answers);
    ask(&mut ann, "do.disconnect", id, &said).await;
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
    until("all of them come", async || {
        let came = came();
        listed.keys().all(|name| came.contains_key(name))
    })
    .await;
    assert_eq!(rare(came()), rare(listed));
    for server in servers {
        server.stop().await;
    }
}
