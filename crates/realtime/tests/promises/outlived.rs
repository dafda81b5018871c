//! What outlives its session keeps nobody from connecting, and still there is not more and more of
//! it.

use std::{sync::Arc, time::Duration};

use realtime::{Gateway, Router};
use realtime_testkit::{client::Request, wait::until};
use serde_json::Value;
use tokio::sync::Semaphore;

use crate::support::{Ends, Server};

const MOST: usize = 2;

/// Its handler `slow` runs until a permit is there.
fn gateway(ends: &Ends, done: &Arc<Semaphore>) -> Gateway {
    let done = Arc::clone(done);
    let router = Router::new().route("slow", move || {
        let done = Arc::clone(&done);
        async move { done.acquire().await.unwrap().forget() }
    });
    let builder = crate::support::builder().router(router);
    let builder = builder.max_connections(Some(MOST));
    ends.hear(builder).build().unwrap()
}

/// As many clients as may connect ask for something slow and leave.
async fn all_ask_and_leave(server: &Server) {
    let stats = || server.gateway.stats();
    let received = stats().received;
    let mut clients = Vec::new();
    for _ in 0..MOST {
        let mut client = server.connect().await;
        client.send("slow", Value::Null).await.unwrap();
        clients.push(client);
    }
    until("their handlers run", async || {
        stats().received == received + MOST as u64
    })
    .await;
    drop(clients);
    server.until_open(0).await;
}

#[tokio::test]
async fn whose_clients_have_left_take_no_place_up_to_as_many_as_may_connect() {
    let (ends, done) = (Ends::default(), Arc::new(Semaphore::new(0)));
    let server = Server::start(gateway(&ends, &done)).await;
    let stats = || server.gateway.stats();
    all_ask_and_leave(&server).await;
    until("they outlive their sessions", async || {
        stats().outlived == MOST as u64
    })
    .await;
    {
        let _all = [server.connect().await, server.connect().await];
        server.until_open(MOST as u64).await;
        let refused = Request::new("/ws").refused(server.addr).await;
        assert_eq!(refused.status, 503);
    }
    until("their places are free", async || {
        Request::new("/ws").connect(server.addr).await.is_ok()
    })
    .await;
    until("all have left", async || ends.len() == MOST + 1).await;
    server.until_open(0).await;
    // From here on, each keeps its session's place.
    all_ask_and_leave(&server).await;
    assert_eq!(stats().outlived, MOST as u64);
    let refused = Request::new("/ws").refused(server.addr).await;
    assert_eq!(refused.status, 503);
    // Each that ends makes room for another.
    let before = ends.len();
    done.add_permits(2 * MOST);
    until("on_disconnect runs for each", async || {
        ends.len() == before + 2 * MOST
    })
    .await;
    until("nothing is left of them", async || stats().outlived == 0).await;
    let _all = [server.connect().await, server.connect().await];
    server.until_open(MOST as u64).await;
    let report = server.gateway.shutdown_within(Duration::from_secs(5)).await;
    assert_eq!((report.aborted, report.tasks_left), (0, 0));
    server.stop().await;
}
