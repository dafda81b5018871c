//! Ten thousand sessions: a page of them is no larger than one of a hundred.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use realtime::{Identity, inspect::SessionQuery};
use realtime_testkit::memory::connect;

const SESSIONS: usize = 10_000;

#[tokio::test]
async fn a_page_of_ten_thousand_sessions_is_small() {
    let gateway = realtime::builder().build().unwrap();
    let mut clients = Vec::new();
    for n in 0..SESSIONS {
        let identity = Identity::new(format!("visitor-{n}")).with_tenant("acme");
        clients.push(connect(&gateway, identity).await.unwrap());
    }
    let node = serde_json::to_string(&gateway.inspect()).unwrap();
    assert!(node.len() < 16 * 1024, "{} bytes", node.len());
    let begun = Instant::now();
    let page = gateway.inspect_sessions(&SessionQuery::new()).await;
    let first = begun.elapsed();
    let json = serde_json::to_string(&page).unwrap();
    assert_eq!(page.sessions.len(), 50);
    assert!(json.len() < 64 * 1024, "{} bytes", json.len());
    // Who shares the thread with a search of all gets on meanwhile.
    let turns = Arc::new(AtomicUsize::new(0));
    let taken = Arc::clone(&turns);
    let others = tokio::spawn(async move {
        loop {
            taken.fetch_add(1, Relaxed);
            tokio::task::yield_now().await;
        }
    });
    tokio::task::yield_now().await;
    let before = turns.load(Relaxed);
    let begun = Instant::now();
    let query = SessionQuery::new().containing("visitor-9999");
    let found = gateway.inspect_sessions(&query).await;
    let (took, turns) = (begun.elapsed(), turns.load(Relaxed) - before);
    others.abort();
    assert_eq!(found.sessions.len(), 1);
    assert!(turns >= SESSIONS / 256, "{turns} turns");
    // Figures for docs/admin.md, and no assertion: machines differ.
    println!(
        "{} bytes of JSON a node and {} a page; {first:?} for the first page, {took:?} for a search",
        node.len(),
        json.len(),
    );
    let all = SessionQuery::new().limit(100_000);
    assert_eq!(gateway.inspect_sessions(&all).await.sessions.len(), 200);
}
