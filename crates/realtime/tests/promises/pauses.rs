//! A server that stood still judges nobody before it has read what came meanwhile.

use std::{sync::mpsc, thread, time::Duration};

use realtime::Router;
use realtime_testkit::{client::Client, wait::within};
use serde_json::json;
use tokio::{runtime, sync::oneshot, task::JoinSet};

use crate::support::Server;

/// How many clients live through it.
const CLIENTS: usize = 100;
/// How long a client may take to answer a ping. The test's own thread may be late, too.
const PONG: Duration = Duration::from_millis(500);
/// For how long all of the server stands still, as a process does that is stopped, or a machine
/// that is moved: far longer than anybody has for an answer.
const PAUSE: Duration = Duration::from_secs(1);

#[tokio::test]
async fn of_the_whole_server_end_no_client() {
    let (send, receive) = mpsc::channel();
    let (stop, stopped) = oneshot::channel::<()>();
    // All of it is one thread, so a handler that holds it stops everything.
    let server = thread::spawn(move || {
        let runtime = runtime::Builder::new_current_thread().enable_all().build();
        runtime.unwrap().block_on(async {
            let hold = async || thread::sleep(PAUSE);
            let builder = realtime::builder()
                .router(Router::new().route("hold", hold))
                .heartbeat(Some(PONG / 5))
                .pong_timeout(Some(PONG));
            let server = Server::start(builder.build().unwrap()).await;
            send.send((server.addr, server.gateway.clone())).unwrap();
            let _dropped = stopped.await;
            server.stop().await;
        });
    });
    let (addr, gateway) = receive.recv().unwrap();
    let mut clients = JoinSet::new();
    for _ in 0..CLIENTS {
        let mut client = Client::connect(addr).await.unwrap();
        // It answers each ping as it comes.
        clients.spawn(async move { client.closed().await });
    }
    let mut client = Client::connect(addr).await.unwrap();
    for _ in 0..3 {
        client.request("hold", json!(null)).await.unwrap();
    }
    let stats = gateway.stats();
    assert_eq!((stats.open, stats.pong_timeouts), (CLIENTS as u64 + 1, 0));
    drop(stop);
    while let Some(closed) = within("the ends", clients.join_next()).await {
        assert_eq!(closed.unwrap().unwrap().0, 1001);
    }
    server.join().unwrap();
}
