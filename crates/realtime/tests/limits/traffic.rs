//! How much clients may send: what is refused, how it is answered, and what becomes of a flood.

use std::time::{Duration, Instant};

use bytes::Bytes;
use realtime::{
    IdentityKey, Json,
    config::{Limits, Rate},
};
use realtime_testkit::{
    client::Client,
    wait::{DEADLINE, until},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt, net::TcpStream, time::timeout};

use super::{named, server};

const SLOW: Rate = Rate::per_second(1);

/// How long the client is told to wait, where it is.
fn refused(answer: &Value) -> Option<Duration> {
    if answer["route"] != "error" {
        return None;
    }
    let data = &answer["data"];
    assert_eq!(data["code"], "too_many_requests");
    assert_eq!(data["temporary"], true);
    let wait = data["retry_after"].as_f64().expect("how long to wait");
    Some(Duration::from_secs_f64(wait))
}

async fn echo(client: &mut Client, data: impl Into<Value>) -> Option<Duration> {
    let answer = client.request("echo", data.into()).await.unwrap();
    refused(&answer)
}

/// How many of so many requests are accepted.
async fn accepted(client: &mut Client, tries: usize) -> usize {
    let mut accepted = 0;
    for _ in 0..tries {
        accepted += usize::from(echo(client, 1).await.is_none());
    }
    accepted
}

#[tokio::test]
async fn who_waits_as_long_as_it_is_told_is_served_again() {
    let server = server(|limits| {
        limits.messages_per_session = Some(Rate::per_second(20).with_burst(3));
    })
    .await;
    let mut client = named(&server, "ann").await;
    let mut refusals = 0;
    for n in 0..20 {
        if let Some(wait) = echo(&mut client, n).await {
            refusals += 1;
            assert!(wait <= Duration::from_millis(50), "{wait:?}");
            tokio::time::sleep(wait).await;
            assert_eq!(echo(&mut client, n).await, None);
        }
    }
    assert!(refusals > 0);
    assert_eq!(server.gateway.stats().rate_limited, refusals);
    server.stop().await;
}

#[tokio::test]
async fn what_nobody_can_handle_counts_as_well() {
    let server = server(|limits| {
        limits.messages_per_session = Some(SLOW.with_burst(4));
    })
    .await;
    for junk in [r#"{"route":"nowhere"}"#, "nonsense", "{}"] {
        let mut client = named(&server, "ann").await;
        for _ in 0..4 {
            client.send_text(junk).await.unwrap();
        }
        let begun = Instant::now();
        let answer = echo(&mut client, 1).await;
        assert!(answer.is_some() || begun.elapsed() > Duration::from_millis(900));
        // Without an id it is answered, too.
        client.send_text(r#"{"route":"echo"}"#).await.unwrap();
        let answer = client.recv_json().await.unwrap();
        assert!(refused(&answer).is_some() && answer["id"].is_null());
    }
    server.stop().await;
}

#[tokio::test]
async fn those_who_share_a_limit_share_it_and_no_others() {
    type Set = fn(&mut Limits);
    let rows: [(Set, [usize; 4]); 3] = [
        (
            |limits| limits.messages_per_session = Some(SLOW.with_burst(20)),
            [20, 20, 20, 20],
        ),
        (
            |limits| limits.messages_per_identity = Some(SLOW.with_burst(20)),
            [20, 0, 20, 20],
        ),
        (
            |limits| limits.messages_per_tenant = Some(SLOW.with_burst(20)),
            [20, 0, 0, 20],
        ),
    ];
    for (set, expected) in rows {
        let server = server(set).await;
        let begun = Instant::now();
        let mut found = Vec::new();
        let mut clients = Vec::new();
        for name in ["t/ann", "t/ann", "t/bob", "u/ann"] {
            let mut client = named(&server, name).await;
            found.push(accepted(&mut client, 25).await);
            clients.push(client);
        }
        // What has come back meanwhile.
        let more = begun.elapsed().as_secs() as usize + 1;
        for (found, expected) in found.iter().zip(expected) {
            assert!(
                (expected..=expected + more).contains(found),
                "{found} {expected}"
            );
        }
        // The session's own, those of three identities, or of two tenants.
        let kept = match expected {
            [_, 20, ..] => 0,
            [_, _, 20, _] => 3,
            _ => 2,
        };
        assert_eq!(server.gateway.stats().limits_kept, kept);
        // Nobody gets more by leaving and coming again.
        drop(clients);
        server.until_open(0).await;
        let mut again = named(&server, "t/ann").await;
        let found = accepted(&mut again, 25).await;
        let more = begun.elapsed().as_secs() as usize + 1;
        let expected = if expected[1] == 20 { 20 } else { 0 };
        assert!((expected..=expected + more).contains(&found), "{found}");
        server.stop().await;
    }
}

#[tokio::test]
async fn a_message_that_is_larger_than_the_burst_costs_all_of_it() {
    let server = server(|limits| {
        limits.bytes_per_session = Some(Rate::per_second(5_000).with_burst(10_000));
    })
    .await;
    let mut client = named(&server, "ann").await;
    let large = "x".repeat(50_000);
    assert_eq!(echo(&mut client, large.clone()).await, None);
    let wait = echo(&mut client, large.clone())
        .await
        .expect("nothing is left");
    assert!(wait <= Duration::from_secs(2), "{wait:?}");
    tokio::time::sleep(wait).await;
    assert_eq!(echo(&mut client, large).await, None);
    server.stop().await;
}

/// A flood of what is long costs no more than one of what is short: it isn't decoded, but where it may be
/// an answer.
#[tokio::test]
async fn of_a_flood_of_what_is_long_a_few_are_refused_by_their_ids() {
    let server = server(|limits| {
        limits.messages_per_session = Some(SLOW.with_burst(1));
    })
    .await;
    let mut client = named(&server, "ann").await;
    assert_eq!(echo(&mut client, 1).await, None);
    for (length, most) in [(10_000, 50), (20_000, 20)] {
        let begun = Instant::now();
        let long = json!({"id": "7", "route": "echo", "data": "x".repeat(length)}).to_string();
        let flood = Client::<TcpStream>::text_frame(&long).repeat(50);
        let mut named = 0;
        let mut answers = async |client: &mut Client| {
            for _ in 0..50 {
                let answer = client.recv_json().await.unwrap();
                named += usize::from(refused(&answer).is_none() || answer["id"] == "7");
            }
        };
        client.send_raw(&flood).await.unwrap();
        answers(&mut client).await;
        assert!(named >= most.min(10), "{named}");
        if begun.elapsed() < Duration::from_millis(900) {
            assert!(named <= most, "{named}");
        }
    }
    let session = server
        .gateway
        .local_sessions_of(&IdentityKey::new("ann"))
        .remove(0);
    let asked = session.request("confirm", Json(1), DEADLINE);
    let answers = async {
        let asked = client.recv_json().await.unwrap();
        let reply = json!({"reply": asked["request"], "data": "x".repeat(20_000)});
        client.send_text(&reply.to_string()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(asked, answers);
    assert_eq!(answer.unwrap().decode::<String>().unwrap().len(), 20_000);
    server.stop().await;
}

#[tokio::test]
async fn one_who_keeps_to_its_rate_is_never_refused() {
    let server = server(|limits| {
        limits.messages_per_session = Some(Rate::per_second(100).with_burst(1));
        limits.messages_per_tenant = Some(Rate::per_second(100).with_burst(1));
    })
    .await;
    let mut client = named(&server, "ann").await;
    for n in 0..100 {
        assert_eq!(echo(&mut client, n).await, None);
        // A timer may be early by a part of a millisecond, as the other side sees it.
        tokio::time::sleep(Duration::from_millis(11)).await;
    }
    assert_eq!(server.gateway.stats().rate_limited, 0);
    server.stop().await;
}

/// As it comes where the process was stopped for a while: all of it waits in the socket, and is read
/// at once.
#[tokio::test]
async fn what_comes_at_once_is_refused_and_ends_nobody() {
    let server = server(|limits| {
        limits.messages_per_session = Some(SLOW.with_burst(5));
    })
    .await;
    let mut client = named(&server, "ann").await;
    let frame = Client::<TcpStream>::text_frame(r#"{"id":1,"route":"echo"}"#);
    client.send_raw(&frame.repeat(300)).await.unwrap();
    let mut refusals = 0;
    for _ in 0..300 {
        let answer = client.recv_json().await.unwrap();
        assert_eq!(answer["id"], 1);
        refusals += u64::from(refused(&answer).is_some());
    }
    assert!(refusals > 250, "{refusals}");
    assert_eq!(server.gateway.stats().rate_limited, refusals);
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(echo(&mut client, 1).await, None);
    server.stop().await;
}

#[tokio::test]
async fn one_who_goes_on_is_closed_with_3013() {
    let server = server(|limits| {
        limits.messages_per_session = Some(SLOW.with_burst(5));
        limits.flood_patience = Some(Duration::from_millis(500));
    })
    .await;
    let mut client = named(&server, "ann").await;
    let begun = Instant::now();
    let frame = Client::<TcpStream>::text_frame(r#"{"id":1,"route":"echo"}"#);
    // The answers wait, and the close frame behind them.
    while client.send_raw(&frame).await.is_ok() && server.gateway.stats().violations == 0 {
        assert!(begun.elapsed() < DEADLINE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(client.closed().await.unwrap().0, 3013);
    assert!(begun.elapsed() > Duration::from_millis(400));
    assert_eq!(server.gateway.stats().violations, 1);
    server.stop().await;
}

#[tokio::test]
async fn a_flood_ends_none_of_those_who_share_a_limit_with_it() {
    let server = server(|limits| {
        limits.messages_per_session = Some(Rate::per_second(50).with_burst(20));
        limits.messages_per_tenant = Some(SLOW.with_burst(10));
        limits.flood_patience = Some(Duration::from_millis(300));
    })
    .await;
    let mut neighbour = named(&server, "t/bob").await;
    let mut flooder = named(&server, "t/ann").await;
    let frame = Client::<TcpStream>::text_frame(r#"{"id":1,"route":"echo"}"#);
    let begun = Instant::now();
    let mut refusals = 0;
    while flooder.send_raw(&frame.repeat(10)).await.is_ok()
        && server.gateway.stats().violations == 0
    {
        assert!(begun.elapsed() < DEADLINE);
        refusals += usize::from(echo(&mut neighbour, 1).await.is_some());
        tokio::time::sleep(Duration::from_millis(40)).await;
    }
    assert_eq!(flooder.closed().await.unwrap().0, 3013);
    assert!(refusals >= 4, "what is shared is used up");
    for _ in 0..20 {
        tokio::time::sleep(Duration::from_millis(40)).await;
        echo(&mut neighbour, 1).await;
    }
    assert_eq!(server.gateway.stats().violations, 1);
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_whose_answers_nobody_reads_takes_little_memory_and_holds_up_nobody() {
    let server = server(|limits| {
        limits.messages_per_session = Some(SLOW.with_burst(10));
    })
    .await;
    let mut other = named(&server, "bob").await;
    let mut flooder = named(&server, "ann").await;
    let frame = Client::<TcpStream>::text_frame(r#"{"id":1,"route":"echo"}"#);
    let flood: Bytes = frame.repeat(1_000).into();
    let mut sent = 0;
    // Until nothing more is read from it.
    while let Ok(Ok(())) =
        timeout(Duration::from_millis(300), flooder.stream.write_all(&flood)).await
    {
        sent += 1_000;
        let stats = server.gateway.stats();
        assert!(stats.queued_bytes < 256 * 1024, "{}", stats.queued_bytes);
        assert!(stats.assembling_bytes < 256 * 1024);
        assert!(sent < 10_000_000, "it is read without end");
    }
    let answered = server.gateway.stats().rate_limited;
    assert!(answered > 0 && answered < sent);
    assert_eq!(echo(&mut other, 1).await, None);
    // Once it reads, it goes on; whatever becomes of it then.
    drop(flooder);
    server.until_open(1).await;
    server.stop().await;
}

#[tokio::test]
async fn what_the_server_has_asked_for_is_taken_all_the_same() {
    let server = server(|limits| {
        limits.messages_per_session = Some(SLOW.with_burst(1));
    })
    .await;
    let mut client = named(&server, "ann").await;
    assert_eq!(echo(&mut client, 1).await, None);
    let key = IdentityKey::new("ann");
    let session = server.gateway.local_sessions_of(&key).remove(0);
    for n in 0..5 {
        let asked = session.request("confirm", Json(n), DEADLINE);
        let answers = async {
            let asked = client.recv_json().await.unwrap();
            let reply = json!({"reply": asked["request"], "data": n});
            client.send_text(&reply.to_string()).await.unwrap();
        };
        let (answer, ()) = tokio::join!(asked, answers);
        assert_eq!(answer.unwrap().decode::<u32>().unwrap(), n);
    }
    // An answer that nobody waits for is one too many, also while another one is awaited.
    for refused in 1..=2 {
        client.send_text(r#"{"reply":"77"}"#).await.unwrap();
        until("it is refused", async || {
            server.gateway.stats().rate_limited == refused
        })
        .await;
        let session = session.clone();
        tokio::spawn(async move { session.request("confirm", Json(7), DEADLINE).await });
        until("it is asked", async || {
            let said = client.recv_json().await.unwrap();
            said["route"] == "confirm"
        })
        .await;
    }
    server.stop().await;
}
