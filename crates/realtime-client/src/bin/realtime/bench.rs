//! `realtime bench`: many connections, each of which asks again as soon as it is answered.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use futures::{StreamExt, stream};
use hdrhistogram::Histogram;
use realtime_client::{Client, Message, Payload};
use serde_json::json;
use tokio::task::JoinSet;

use crate::{args::BenchArgs, failure::Failure, output, request::payload, signals};

/// So many connections are opened at the same time.
const OPENING: usize = 32;
/// Latencies are told up to this, in microseconds.
const LONGEST: u64 = 60_000_000;

/// What was seen. One for all connections, since a histogram takes more memory than a connection.
struct Seen {
    latencies: Histogram<u64>,
    failed: u64,
    /// The last failure, for people.
    failure: Option<String>,
}

pub(crate) async fn run(args: BenchArgs) -> Result<(), Failure> {
    let data = payload(args.data.clone())?;
    let mut ended = std::pin::pin!(signals::ended()?);
    let begun = Instant::now();
    let clients = tokio::select! {
        biased;
        () = &mut ended => return Err("ended before all were connected".to_owned().into()),
        clients = open(&args) => clients?,
    };
    let connected = begun.elapsed();
    let seen = Arc::new(Mutex::new(Seen::new()?));
    let time = Duration::from_secs_f64(args.seconds);
    let begun = Instant::now();
    let mut asking = JoinSet::new();
    for client in &clients {
        let (client, data, route) = (client.clone(), data.clone(), args.route.clone());
        asking.spawn(ask(client, route, data, begun + time, Arc::clone(&seen)));
    }
    let mut tick = tokio::time::interval(Duration::from_secs(1));
    tick.tick().await;
    loop {
        tokio::select! {
            biased;
            // What was seen until now is told.
            () = &mut ended => {
                asking.shutdown().await;
                break;
            }
            asked = asking.join_next() => match asked {
                None => break,
                Some(asked) => asked.map_err(|e| e.to_string())??,
            },
            _ = tick.tick() => {
                let (passed, count) = (begun.elapsed().as_secs(), lock(&seen).latencies.len());
                eprintln!("realtime: {passed} s of {} s, {count} answers", args.seconds);
            }
        }
    }
    let took = begun.elapsed().as_secs_f64();
    let failure = told(&lock(&seen), clients.len(), connected, took)?;
    // A server that is gone holds up each of them for a while.
    let closing = stream::iter(&clients).for_each_concurrent(OPENING, Client::close);
    closing.await;
    failure.map_or(Ok(()), |failure| Err(failure.into()))
}

/// Prints the result. Returns what is wrong with it, if anything is.
fn told(
    all: &Seen,
    connections: usize,
    connected: Duration,
    took: f64,
) -> Result<Option<String>, Failure> {
    let (count, ms) = (all.latencies.len(), |micros: u64| micros as f64 / 1000.0);
    let result = json!({
        "connections": connections,
        "connect_seconds": rounded(connected.as_secs_f64()),
        "seconds": rounded(took),
        "answers": count,
        "failed": all.failed,
        "messages_per_second": (count as f64 / took).round(),
        "latency_ms": {
            "p50": ms(all.latencies.value_at_quantile(0.5)),
            "p99": ms(all.latencies.value_at_quantile(0.99)),
            "max": ms(all.latencies.max()),
        },
    });
    output::write(format!("{result}\n").as_bytes())?;
    let failure = all.failure.as_ref();
    Ok(failure.map(|failure| format!("{} requests failed; the last: {failure}", all.failed)))
}

fn rounded(seconds: f64) -> f64 {
    (seconds * 1000.0).round() / 1000.0
}

async fn open(args: &BenchArgs) -> Result<Vec<Client>, Failure> {
    let total = args.connections;
    let connecting = (0..total).map(|_| args.server.connect());
    let mut opened = stream::iter(connecting).buffer_unordered(OPENING);
    let mut clients = Vec::new();
    while let Some(client) = opened.next().await {
        clients.push(client?);
        if clients.len().is_multiple_of(1000) {
            eprintln!("realtime: {} of {total} connections", clients.len());
        }
    }
    Ok(clients)
}

async fn ask(
    client: Client,
    route: String,
    data: Payload,
    until: Instant,
    seen: Arc<Mutex<Seen>>,
) -> Result<(), Failure> {
    let question = Message::new(route, data).map_err(|e| e.to_string())?;
    let timeout = client_timeout(until);
    loop {
        let begun = Instant::now();
        if begun >= until {
            return Ok(());
        }
        match client.request_message(question.clone(), timeout).await {
            Ok(_) => {
                let micros = begun.elapsed().as_micros().try_into().unwrap_or(LONGEST);
                lock(&seen).latencies.saturating_record(micros.max(1));
            }
            Err(error) => {
                let mut seen = lock(&seen);
                seen.failed += 1;
                seen.failure = Some(Failure::from(error).to_string());
                // To go on at once would only count failures.
                return Ok(());
            }
        }
    }
}

/// As long as all of it, and some time for the last answer.
fn client_timeout(until: Instant) -> Duration {
    until.saturating_duration_since(Instant::now()) + Duration::from_secs(10)
}

impl Seen {
    fn new() -> Result<Self, Failure> {
        let latencies = Histogram::new_with_bounds(1, LONGEST, 3).map_err(|e| e.to_string())?;
        Ok(Self {
            latencies,
            failed: 0,
            failure: None,
        })
    }
}

fn lock(seen: &Mutex<Seen>) -> MutexGuard<'_, Seen> {
    seen.lock().unwrap_or_else(PoisonError::into_inner)
}
