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

/// A host may have several runtimes, and the one that drains may go first.
#[test]
fn one_whose_runtime_is_gone_is_finished_by_another() {
    finished_by_another(true);
}

#[test]
fn one_that_nobody_waits_for_is_finished_by_another_too() {
    finished_by_another(false);
}

fn finished_by_another(is_awaited: bool) {
    let runtime = || {
        let mut builder = tokio::runtime::Builder::new_multi_thread();
        builder.worker_threads(2).enable_all().build().unwrap()
    };
    let (one, other) = (runtime(), runtime());
    let over = Duration::from_secs(16);
    let (server, mut clients) = other.block_on(async {
        let gateway = crate::support::builder().build().unwrap();
        with_clients(gateway, 4).await
    });
    let begun = std::time::Instant::now();
    one.block_on(async { server.gateway.begin_drain(over) });
    let waiting = is_awaited.then(|| {
        let gateway = server.gateway.clone();
        other.spawn(async move { gateway.drain(over).await })
    });
    // It has closed two or three, and is waiting for the next one's turn.
    other.block_on(async {
        let is_closed = || server.gateway.stats().closed >= 2;
        until("half of them are closed", async || is_closed()).await;
    });
    let gone = begun.elapsed();
    assert!(server.gateway.stats().open > 0, "there is more to be done");
    drop(one);
    other.block_on(async {
        match waiting {
            Some(waiting) => {
                let report = within("its end", waiting).await.unwrap();
                assert_eq!(
                    (report.sessions, report.aborted, report.tasks_left),
                    (4, 0, 0)
                );
            }
            // Nobody asks for it anew.
            None => {
                until("all are closed", async || {
                    server.gateway.stats().closed == 4
                })
                .await
            }
        }
        for client in &mut clients {
            let (code, reason) = client.closed().await.unwrap();
            assert_eq!(code, 1001);
            assert!(super::slot(&reason).is_some(), "{reason}");
        }
        server.stop().await;
    });
    // As long as it was to take, and not anew from when its runtime was gone.
    assert!(begun.elapsed() < gone + over, "{:?}", begun.elapsed());
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
