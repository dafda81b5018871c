//! Sessions that are handed over to other nodes.

use std::{num::NonZeroU32, time::Duration, time::Instant};

use realtime_testkit::{
    client::Client,
    wait::{until, within},
};

use crate::with_clients;

const fn a_second(count: u32) -> NonZeroU32 {
    NonZeroU32::new(count).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn so_many_are_closed_and_the_node_goes_on() {
    let gateway = crate::support::builder().build().unwrap();
    let (server, mut clients) = with_clients(gateway, 12).await;
    let begun = Instant::now();
    assert_eq!(server.gateway.rebalance(5, a_second(10)).await, 5);
    // The first at once.
    assert!(begun.elapsed() >= Duration::from_millis(400));
    until("they are gone", async || server.gateway.stats().open == 7).await;
    let _new = Client::connect(server.addr).await.unwrap();
    until("it is open", async || server.gateway.stats().open == 8).await;
    assert!(server.gateway.health().is_ready());
    server.gateway.shutdown().await;
    let mut codes = Vec::new();
    for client in &mut clients {
        codes.push(client.closed().await.unwrap().0);
    }
    codes.sort();
    assert_eq!(codes, [&[1001; 7][..], &[3011; 5][..]].concat());
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_than_there_are() {
    let gateway = crate::support::builder().build().unwrap();
    let (server, _clients) = with_clients(gateway, 3).await;
    let all = server.gateway.rebalance(usize::MAX, NonZeroU32::MAX);
    assert_eq!(within("the end", all).await, 3);
    assert_eq!(server.gateway.rebalance(1, a_second(1)).await, 0);
}

/// The first of them that is closed, and with which code; it is no longer among them.
async fn next(clients: &mut Vec<Client>) -> u16 {
    let ((code, _), nth) = {
        let closed = clients.iter_mut().map(|client| Box::pin(client.closed()));
        let (end, nth, _) = futures::future::select_all(closed).await;
        (end.unwrap(), nth)
    };
    clients.remove(nth);
    code
}

#[tokio::test(flavor = "multi_thread")]
async fn it_ends_with_its_future_and_with_a_drain() {
    const COUNT: usize = 40;
    let gateway = crate::support::builder().build().unwrap();
    let (server, mut clients) = with_clients(gateway, COUNT).await;
    let slowly = server.gateway.rebalance(COUNT, a_second(1));
    let first = tokio::select! {
        closed = slowly => panic!("expected it to take 39 s; it has closed {closed}"),
        code = next(&mut clients) => code,
    };
    assert_eq!(first, 3011);
    let gateway = server.gateway.clone();
    let rest = tokio::spawn(async move { gateway.rebalance(COUNT, a_second(1)).await });
    assert_eq!(next(&mut clients).await, 3011);
    let drain = server.gateway.drain(Duration::ZERO);
    let all = async {
        let mut drained = 0;
        while !clients.is_empty() {
            drained += usize::from(next(&mut clients).await == 1001);
        }
        drained
    };
    let (_, drained) = tokio::join!(drain, all);
    // On a busy machine it may have closed a few more.
    let handed_over = within("its end", rest).await.unwrap();
    assert!((1..COUNT / 2).contains(&handed_over), "{handed_over}");
    assert!((COUNT / 2..COUNT).contains(&drained), "{drained}");
}
