//! The end of a session is one step: what was counted before it arrives before the close frame,
//! and nothing comes after.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use realtime::{Gateway, Json, Session};
use realtime_testkit::{
    client::Client,
    wait::{until, within},
};
use realtime_websocket::Event;
use serde_json::Value;
use tokio::task::JoinHandle;

use crate::support::Server;

const BROADCASTERS: u64 = 3;

fn roomy() -> Gateway {
    let builder = crate::support::builder()
        .queue_messages(1 << 20)
        .queue_bytes(256 << 20);
    builder.heartbeat(None).build().unwrap()
}

/// What a client got before its close frame, and the code of that.
struct Transcript {
    messages: Vec<u64>,
    code: u16,
}

/// Not a broadcast's number.
const LAST: u64 = u64::MAX;

/// Reads to the end of the connection.
async fn transcript(mut client: Client) -> Transcript {
    let mut messages = Vec::new();
    let code = loop {
        match client.recv().await.expect("a message or a close frame") {
            Event::Text(text) => {
                let message: Value = serde_json::from_str(&text).unwrap();
                messages.push(message["data"].as_u64().unwrap());
            }
            Event::Close(close) => break close.unwrap().code,
            other => panic!("unexpected {other:?}"),
        }
    };
    let after = client.recv().await;
    assert!(after.is_err(), "{after:?} came after the close frame");
    Transcript { messages, code }
}

/// Broadcasts until it is to stop, and says how many sessions each number was counted for.
fn broadcaster(
    gateway: &Gateway,
    first: u64,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<HashMap<u64, usize>> {
    let (gateway, stop) = (gateway.clone(), Arc::clone(stop));
    tokio::spawn(async move {
        let (mut counted, mut n) = (HashMap::new(), first);
        while !stop.load(SeqCst) {
            match gateway.broadcast("n", Json(&n)).await {
                Ok(delivery) => counted.insert(n, delivery.local),
                Err(error) => {
                    // It shuts down.
                    counted.insert(n, error.delivered().local);
                    break;
                }
            };
            n += BROADCASTERS;
            // A breath, so that ends fall between broadcasts as well as into them.
            tokio::task::yield_now().await;
        }
        counted
    })
}

/// Clients that come and are ended by `end` while others broadcast, in many rounds.
///
/// Returns how many last messages arrived.
async fn rounds(rounds: usize, clients: usize, end: impl AsyncFn(&Gateway, Vec<Session>)) -> usize {
    let mut lasts = 0;
    for round in 0..rounds {
        let server = Server::start(roomy()).await;
        let gateway = server.gateway.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let broadcasters: Vec<_> = (0..BROADCASTERS)
            .map(|first| broadcaster(&gateway, first, &stop))
            .collect();
        let mut readers = Vec::new();
        // They connect in the middle of it, too.
        for _ in 0..clients {
            readers.push(tokio::spawn(transcript(server.connect().await)));
        }
        let all = async || gateway.local_sessions().len() == clients;
        until("all have connected", all).await;
        end(&gateway, gateway.local_sessions()).await;
        let (mut received, mut last) = (HashMap::<u64, usize>::new(), 0);
        for reader in readers {
            let mut transcript = within("the end of a client", reader).await.unwrap();
            let all = transcript.messages.len();
            transcript.messages.retain(|n| *n != LAST);
            last += all - transcript.messages.len();
            assert!(matches!(transcript.code, 1001 | 4000));
            for first in 0..BROADCASTERS {
                let of_one = transcript
                    .messages
                    .iter()
                    .filter(|n| **n % BROADCASTERS == first);
                let steps: Vec<_> = of_one.collect();
                let in_order = steps.windows(2).all(|w| *w[1] == *w[0] + BROADCASTERS);
                assert!(
                    in_order,
                    "round {round}: each once, in order, without a gap"
                );
            }
            for n in transcript.messages {
                *received.entry(n).or_default() += 1;
            }
        }
        stop.store(true, SeqCst);
        for broadcaster in broadcasters {
            let counted = within("a broadcaster", broadcaster).await.unwrap();
            for (n, counted) in counted {
                let received = received.get(&n).copied().unwrap_or_default();
                assert_eq!(received, counted, "round {round}: broadcast {n}");
            }
        }
        gateway.shutdown().await;
        lasts += last;
    }
    lasts
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn by_close_from_several_tasks() {
    rounds(16, 24, async |_, sessions| {
        let (even, odd): (Vec<_>, Vec<_>) = sessions
            .into_iter()
            .enumerate()
            .partition(|(n, _)| n % 2 == 0);
        let closers = [even, odd].map(|sessions| {
            tokio::spawn(async move {
                for (_, session) in sessions {
                    session.close(realtime::CloseCode::new(4000).unwrap(), "");
                    tokio::task::yield_now().await;
                }
            })
        });
        for closer in closers {
            closer.await.unwrap();
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn by_a_shutdown() {
    rounds(8, 24, async |gateway, _| {
        within("the shutdown", gateway.shutdown()).await;
    })
    .await;
}

/// A session may be closed as soon as it can be found.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn by_close_as_soon_as_they_have_connected() {
    for _ in 0..30 {
        let server = Server::start(roomy()).await;
        let gateway = server.gateway.clone();
        let stop = Arc::new(AtomicBool::new(false));
        let broadcasters: Vec<_> = (0..BROADCASTERS)
            .map(|first| broadcaster(&gateway, first, &stop))
            .collect();
        let (closing, stop_closing) = (gateway.clone(), Arc::clone(&stop));
        let closer = std::thread::spawn(move || {
            while !stop_closing.load(SeqCst) {
                for session in closing.local_sessions() {
                    session.close(realtime::CloseCode::new(4000).unwrap(), "");
                }
                std::thread::yield_now();
            }
        });
        let mut received: HashMap<u64, usize> = HashMap::new();
        let readers: Vec<_> = futures::future::join_all((0..24).map(|_| server.connect())).await;
        for client in readers {
            let read = within("the end of a client", transcript(client)).await;
            for n in read.messages {
                *received.entry(n).or_default() += 1;
            }
        }
        stop.store(true, SeqCst);
        closer.join().unwrap();
        for broadcaster in broadcasters {
            let counted = within("a broadcaster", broadcaster).await.unwrap();
            for (n, counted) in counted {
                let received = received.get(&n).copied().unwrap_or_default();
                assert_eq!(received, counted, "broadcast {n}");
            }
        }
        gateway.shutdown_within(Duration::from_secs(5)).await;
    }
}

/// What one task sends and then closes, to many sessions, while others broadcast.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn after_a_last_message() {
    let arrived = rounds(4, 24, async |_, sessions| {
        for session in sessions {
            let taken = session.send("last", Json(&LAST));
            session.close(realtime::CloseCode::new(4000).unwrap(), "");
            assert!(taken.is_ok());
            let late = session.send("late", Json(&0));
            assert!(late.is_err(), "nothing is taken after the end");
        }
    });
    assert_eq!(arrived.await, 4 * 24);
}
