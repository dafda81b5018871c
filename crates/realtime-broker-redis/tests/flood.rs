//! More than anybody reads: each publication is received or counted. A million of them under
//! nextest's profile `long`, as in `just test-long`.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

#[allow(dead_code, reason = "shared by all tests of faults")]
mod support;

use bytes::Bytes;
use futures::{StreamExt, stream};
use realtime_broker_redis::RedisBroker;
use realtime_core::broker::{Broker, Published, Topic};
use realtime_testkit::{servers::Redis, wait::until};
use support::{Books, Member, connections};
use tokio::task::JoinHandle;

fn how_many() -> u64 {
    let profile = std::env::var("NEXTEST_PROFILE");
    match profile.as_deref() {
        Ok("long") => 1_000_000,
        _ => 100_000,
    }
}

/// Publishes so many for all, at full speed.
fn flood(broker: RedisBroker, sent: u64, data: &'static [u8]) -> JoinHandle<RedisBroker> {
    tokio::spawn(async move {
        let publish = |_| broker.publish(&Topic::All, Bytes::from_static(data));
        let mut said = stream::iter(0..sent).map(publish).buffer_unordered(1_024);
        while let Some(said) = said.next().await {
            assert_eq!(said.unwrap(), Published::Routed);
        }
        drop(said);
        broker
    })
}

async fn balance(mut books: Books, sent: u64) -> Books {
    books.balance(sent).await;
    println!(
        "received {}, missed {}, outages {}",
        books.received, books.missed, books.outages
    );
    books
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_received_or_counted() {
    let redis = Redis::start().await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    other.until_it_knows(&one).await;
    let (sent, books) = (how_many(), other.books());
    let flood = flood(one.broker, sent, b"small");
    balance(books, sent).await;
    drop(flood.await.unwrap());
}

/// Who keeps up loses nothing. Who doesn't is cut off by Redis, and with it all that waited for it
/// there.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_slow_reader_loses_of_a_flood_is_counted() {
    let options = Redis::options().line("client-output-buffer-limit pubsub 256kb 256kb 1");
    let redis = options.start().await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    other.until_it_knows(&one).await;
    let (sent, books) = (how_many(), other.books());
    // More than sockets have room for.
    let flood = flood(one.broker, sent, &[b'x'; 512]);
    until("it is cut off", async || {
        connections(&redis, ":subscribe").await < 2
    })
    .await;
    let books = balance(books, sent).await;
    drop(flood.await.unwrap());
    assert!(
        books.missed > 0 && books.received > 0 && books.outages > 0,
        "{} missed, {} received, {} outages",
        books.missed,
        books.received,
        books.outages
    );
}
