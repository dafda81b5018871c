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
use realtime_core::broker::{Broker, Topic};
use realtime_testkit::servers::Redis;
use support::Member;

fn how_many() -> u64 {
    let profile = std::env::var("NEXTEST_PROFILE");
    match profile.as_deref() {
        Ok("long") => 1_000_000,
        _ => 100_000,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_is_received_or_counted() {
    let redis = Redis::start().await.unwrap();
    let one = Member::join(&redis.url()).await;
    let mut other = Member::join(&redis.url()).await;
    other.until_it_knows(&one).await;
    let (sent, mut books) = (how_many(), other.books());
    let (broker, to_other) = (one.broker, Topic::All);
    let flood = tokio::spawn(async move {
        let publish = |_| broker.publish(&to_other, Bytes::from_static(b"small"));
        let mut said = stream::iter(0..sent).map(publish).buffer_unordered(1_024);
        while let Some(said) = said.next().await {
            let _routed = said.unwrap();
        }
        drop(said);
        broker
    });
    books.balance(sent).await;
    drop(flood.await.unwrap());
    println!(
        "received {}, missed {}, outages {}",
        books.received, books.missed, books.outages
    );
}
