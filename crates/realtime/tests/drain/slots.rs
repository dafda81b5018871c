//! What those are told who are all closed at once.

use std::time::Duration;

use crate::{slot, with_clients};

#[tokio::test(flavor = "multi_thread")]
async fn many_that_are_closed_at_once_come_back_one_after_the_other() {
    const COUNT: usize = 300;
    let gateway = crate::support::builder().build().unwrap();
    let (server, mut clients) = with_clients(gateway, COUNT).await;
    server.gateway.shutdown().await;
    let mut slots = Vec::new();
    for client in &mut clients {
        let (code, reason) = client.closed().await.unwrap();
        assert_eq!(code, 1001);
        // Who may come at once is told nothing of it.
        slots.push(slot(&reason).unwrap_or_default());
    }
    slots.sort();
    // A thousand a second.
    assert!(slots[COUNT / 2] >= Duration::from_millis(149));
    assert!(slots[COUNT - 1] <= Duration::from_millis(COUNT as u64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_single_one_is_told_in_plain_words() {
    let gateway = crate::support::builder().build().unwrap();
    let (server, mut clients) = with_clients(gateway, 1).await;
    server.gateway.shutdown().await;
    let (code, reason) = clients[0].closed().await.unwrap();
    assert_eq!((code, &*reason), (1001, "the server is shutting down"));
}
