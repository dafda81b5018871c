//! What compression costs and saves, for JSON of three sizes.
//!
//! ```text
//! cargo run --release -p realtime-websocket --features deflate --example deflate
//! ```
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a measurement ends where it can't go on"
)]

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use realtime_websocket::{
    Kind, Limits, Role,
    deflate::{Agreed, Compressor, InflatingDecoder, Level, Policy, SpareInflater},
    frame,
};

/// How long each thing is repeated, and how often between two looks at the clock.
const FOR: Duration = Duration::from_millis(500);
const BATCH: u32 = 20;

fn main() {
    println!("| JSON | | bytes | to compress | to read |");
    println!("| --- | --- | --- | --- | --- |");
    for size in [128, 1024, 16 * 1024] {
        let json = json(size);
        let payload = json.as_bytes();
        let plain = frame::server_frame(Kind::Text, payload);
        let built = time(|| drop(black_box(frame::server_frame(Kind::Text, payload))));
        row(size, "plain", plain.len(), built, read(&plain, None));
        for level in [Level::Fast, Level::Balanced, Level::Small] {
            let mut compressor = Compressor::new(level).with_floor(0);
            let frame = compressor.server_frame(Kind::Text, payload);
            let built = time(|| drop(black_box(compressor.server_frame(Kind::Text, payload))));
            let read = read(&frame, Some(agreed(Policy::default())));
            row(size, &format!("{level:?}"), frame.len(), built, read);
        }
        takeover(size);
    }
}

/// A connection whose messages refer to those before them: each another, of one kind.
fn takeover(size: usize) {
    let policy = Policy::default()
        .with_send_takeover(true)
        .with_receive_takeover(true);
    let agreed = agreed(policy);
    let flow = agreed.send.expect("the window is the largest");
    let mut compressor = Compressor::with_flow(flow, Level::default()).with_floor(0);
    let messages: Vec<String> = (0..500).map(|n| json_from(n, size)).collect();
    let mut next = messages.iter().cycle();
    let mut frames = Vec::new();
    let built = time(|| {
        let message = next.next().expect("they go round");
        frames.push(compressor.server_frame(Kind::Text, message.as_bytes()));
    });
    let bytes = frames.iter().map(|frame| frame.len()).sum::<usize>() / frames.len();
    let mut decoder = InflatingDecoder::new(Role::Client, Limits::default(), Some(agreed));
    let mut best = Duration::MAX;
    for batch in frames.chunks_exact(BATCH as usize) {
        let start = Instant::now();
        for frame in batch {
            let _event = black_box(decoder.decode(&mut &frame[..]).expect("it is ours"));
        }
        best = best.min(start.elapsed() / BATCH);
    }
    row(size, "takeover", bytes, built, best);
}

fn row(size: usize, what: &str, bytes: usize, built: Duration, read: Duration) {
    let micros = |time: Duration| time.as_nanos() as f64 / 1_000.0;
    println!(
        "| {size} B | {what} | {bytes} | {:.1} µs | {:.1} µs |",
        micros(built),
        micros(read)
    );
}

fn read(frame: &[u8], agreed: Option<Agreed>) -> Duration {
    let mut decoder = InflatingDecoder::new(Role::Client, Limits::default(), agreed);
    let mut spare = SpareInflater::new();
    time(|| {
        let event = decoder.decode_with(&mut &frame[..], &mut spare);
        drop(black_box(event.expect("it is ours")));
    })
}

fn agreed(policy: Policy) -> Agreed {
    let answer = policy.answer([policy.offer().as_bytes()]);
    answer.expect("it is what was offered").agreed()
}

/// The time of the fastest of many batches: others may use the machine meanwhile.
fn time(mut work: impl FnMut()) -> Duration {
    let (start, mut best) = (Instant::now(), Duration::MAX);
    while start.elapsed() < FOR {
        let batch = Instant::now();
        for _ in 0..BATCH {
            work();
        }
        best = best.min(batch.elapsed() / BATCH);
    }
    best
}

fn json(size: usize) -> String {
    json_from(1, size)
}

/// A message as a chat or a dashboard sends it: the same fields, other values.
fn json_from(seed: u32, size: usize) -> String {
    let mut number = seed.wrapping_mul(2_654_435_761);
    let mut next = |below: u32| {
        number = number.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (number >> 8) % below
    };
    let mut json = format!(
        r#"{{"route":"orders.changed","id":"{}","data":["#,
        next(1 << 24)
    );
    while json.len() + 2 < size {
        json += &format!(
            r#"{{"order":{},"customer":"c-{}","state":"{}","total":{}.{:02},"currency":"EUR"}},"#,
            next(1 << 20),
            next(10_000),
            ["open", "paid", "packed", "sent", "returned"][next(5) as usize],
            next(500),
            next(100),
        );
    }
    json.truncate(size - 2);
    json + "]}"
}
