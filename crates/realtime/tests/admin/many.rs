//! Ten thousand sessions: a page of them is no larger than one of a hundred.

use std::time::Instant;

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
    let begun = Instant::now();
    let query = SessionQuery::new().containing("visitor-9999");
    let found = gateway.inspect_sessions(&query).await;
    assert_eq!(found.sessions.len(), 1);
    // Figures for docs/admin.md, and no assertion: machines differ.
    println!(
        "{} bytes of JSON a node and {} a page; {first:?} for the first page, {:?} for a search",
        node.len(),
        json.len(),
        begun.elapsed()
    );
    let all = SessionQuery::new().limit(100_000);
    assert_eq!(gateway.inspect_sessions(&all).await.sessions.len(), 200);
}
