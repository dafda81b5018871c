//! When a drain is over, and who may wait for it.

use std::time::Duration;

use realtime::{DisconnectInfo, Gateway, Router};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use serde_json::json;

use crate::{Server, with_clients};

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_on_without_its_future_and_is_one_for_all_who_wait() {
    let gateway = crate::support::builder().build().unwrap();
    let (server, mut clients) = with_clients(gateway, 2).await;
    {
        let drain = server.gateway.drain(Duration::from_millis(400));
        tokio::select! {
            biased;
            _ = drain => unreachable!("it has just begun"),
            () = std::future::ready(()) => {}
        }
    }
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    // It is the first one that counts.
    let hour = Duration::from_secs(3_600);
    let again = async { tokio::join!(server.gateway.drain(hour), server.gateway.shutdown()) };
    let (one, other) = within("both", again).await;
    assert_eq!(one, other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_sessions_has_nothing_to_wait_for() {
    let gateway = crate::support::builder().build().unwrap();
    let hour = Duration::from_secs(3_600);
    within("its end", gateway.drain(hour)).await;
    assert!(gateway.broadcast("m", ()).await.is_err());
    let server = Server::start(crate::support::builder().build().unwrap()).await;
    drop(Client::connect(server.addr).await.unwrap());
    until("it has gone", async || server.gateway.stats().closed == 1).await;
    within("its end", server.gateway.drain(hour)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_may_wait_for_it() {
    let router = Router::new().route("end", async |gateway: Gateway| {
        let report = gateway.drain(Duration::from_millis(100)).await;
        assert_eq!(report.aborted, 0);
    });
    let gateway = crate::support::builder().router(router).build().unwrap();
    let (server, mut clients) = with_clients(gateway, 2).await;
    clients[0].send("end", json!(null)).await.unwrap();
    for client in &mut clients {
        assert_eq!(client.closed().await.unwrap().0, 1001);
    }
    let report = within("its end", server.gateway.shutdown()).await;
    assert_eq!(report.aborted, 0);
    assert_eq!(server.gateway.stats().panics, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn its_deadline_counts_from_the_last_close() {
    let deadline = Duration::from_millis(300);
    let gateway = crate::support::builder()
        .shutdown_timeout(Some(deadline))
        .on_disconnect(|_: DisconnectInfo| std::future::pending::<()>())
        .hook_timeout(None)
        .build()
        .unwrap();
    let (server, _clients) = with_clients(gateway, 2).await;
    let begun = std::time::Instant::now();
    let drain = server.gateway.drain(Duration::from_millis(600));
    let report = within("its end", drain).await;
    // The second was closed after 300 ms.
    assert!(begun.elapsed() >= Duration::from_millis(600));
    assert_eq!(report.aborted, 2);
}
