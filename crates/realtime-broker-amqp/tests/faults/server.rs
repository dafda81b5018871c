//! The server: killed, started again, stopped.

use realtime_testkit::servers::RabbitMq;

use crate::member::{Member, fails_at_once, held, no_more_than, rounds, talk};

#[tokio::test]
async fn killed_and_restarted() {
    let mut server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for _ in 0..rounds(3).min(3) {
        talk(&mut a, &mut b).await;
        server.kill().unwrap();
        futures::join!(a.until_down(), b.until_down());
        fails_at_once(&a).await;
        server.restart().await.unwrap();
        futures::join!(a.until_up(), b.until_up());
    }
    talk(&mut a, &mut b).await;
    no_more_than(before).await;
}

#[tokio::test]
async fn restarted_empty() {
    let mut server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    server.kill().unwrap();
    futures::join!(a.until_down(), b.until_down());
    server.restart_empty().await.unwrap();
    futures::join!(a.until_up(), b.until_up());
    talk(&mut a, &mut b).await;
    no_more_than(before).await;
}

#[tokio::test]
async fn stopped_and_continued() {
    let mut server = RabbitMq::start().await.unwrap();
    let mut a = Member::join(&server.url()).await;
    let mut b = Member::join(&server.url()).await;
    talk(&mut a, &mut b).await;
    let before = held();
    for _ in 0..rounds(1).min(5) {
        server.stop().unwrap();
        futures::join!(a.until_down(), b.until_down());
        fails_at_once(&a).await;
        server.resume().unwrap();
        futures::join!(a.until_up(), b.until_up());
        talk(&mut a, &mut b).await;
    }
    no_more_than(before).await;
}
