//! Work is counted in members and bytes: a broadcast costs what those who are here cost, in turns
//! that end soon enough for others.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Instant,
};

use realtime::{Gateway, Json, Payload};
use realtime_testkit::wait::{DEADLINE, until};

use crate::{
    broken::Trap,
    host::{AnyClient, ByName, Host, Kind},
};

/// A task that is always ready for a turn, and looks at something in each.
struct Neighbour {
    turns: Arc<AtomicUsize>,
    moved_out: Arc<AtomicBool>,
}

impl Neighbour {
    fn move_in(mut looks: impl FnMut() + Send + 'static) -> Self {
        let (turns, moved_out) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let (counts, leaves) = (Arc::clone(&turns), Arc::clone(&moved_out));
        tokio::spawn(async move {
            while !leaves.load(SeqCst) {
                looks();
                counts.fetch_add(1, SeqCst);
                tokio::task::yield_now().await;
            }
        });
        Self { turns, moved_out }
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        self.moved_out.store(true, SeqCst);
    }
}

fn quiet() -> Gateway {
    let builder = realtime::builder()
        .authenticator(ByName)
        .max_connections(None);
    let builder = builder.heartbeat(None).write_timeout(None);
    builder.queue_bytes(256 << 20).build().unwrap()
}

/// A client that reads nothing, and the trap in its stream.
type One = (AnyClient, Arc<Trap>);

async fn connect(host: &Host, sessions: usize) -> Vec<One> {
    let mut clients = Vec::with_capacity(sessions);
    for _ in 0..sessions {
        clients.push(host.connect("one").await);
    }
    clients
}

/// How many turns a neighbour gets from a broadcast until its last copy is written.
async fn turns(host: &Host, clients: &[One]) -> usize {
    let written = || clients.iter().map(|(_, trap)| trap.written());
    let mut fewest = usize::MAX;
    for n in 0..5 {
        let before: Vec<_> = written().collect();
        let neighbour = Neighbour::move_in(|| {});
        let delivery = host.gateway.broadcast("n", Json(&n)).await.unwrap();
        assert_eq!(delivery.local, clients.len());
        let begun = Instant::now();
        while !written().zip(&before).all(|(now, before)| now > *before) {
            assert!(begun.elapsed() < DEADLINE, "not all copies are written");
            tokio::task::yield_now().await;
        }
        fewest = fewest.min(neighbour.turns.load(SeqCst));
    }
    fewest
}

#[tokio::test]
async fn a_peak_that_is_over_costs_nothing() {
    const PEAK: usize = 4_000;
    const LEFT: usize = 10;
    let host = Host::start(Kind::Hyper, quiet()).await;
    let clients = connect(&host, LEFT).await;
    host.until_open(LEFT as u64).await;
    let before = turns(&host, &clients).await;
    drop(clients);
    let mut clients = connect(&host, PEAK).await;
    host.until_open(PEAK as u64).await;
    // Those who came last.
    clients.drain(..PEAK - LEFT);
    host.until_open(LEFT as u64).await;
    let after = turns(&host, &clients).await;
    assert!(
        after <= before + 5,
        "{after} turns after the peak, {before} before"
    );
}

/// A peak that comes and goes again and again leaves no more behind than one.
#[tokio::test]
async fn neither_do_many_peaks() {
    const PEAK: usize = 3_000;
    let host = Host::start(Kind::Hyper, quiet()).await;
    let mut stay = connect(&host, 5).await;
    host.until_open(5).await;
    let before = turns(&host, &stay).await;
    for round in 1..=2 {
        let mut peak = connect(&host, PEAK).await;
        stay.extend(peak.drain(PEAK - 1..));
        drop(peak);
        host.until_open(5 + round).await;
    }
    let after = turns(&host, &stay).await;
    assert!(
        after <= before + 5,
        "{after} turns after the peaks, {before} before"
    );
}

/// What is written between two turns of a neighbour.
async fn most_at_once(sessions: usize, bytes: usize) -> usize {
    let host = Host::start(Kind::Hyper, quiet()).await;
    let clients = connect(&host, sessions).await;
    host.until_open(sessions as u64).await;
    let traps: Vec<_> = clients.iter().map(|(_, trap)| Arc::clone(trap)).collect();
    for trap in &traps {
        trap.discard();
    }
    let written = move || traps.iter().map(|trap| trap.written()).sum::<usize>();
    let (most, mut before) = (Arc::new(AtomicUsize::new(0)), written());
    let (looks, whole) = (Arc::clone(&most), before + sessions * bytes);
    let total = Arc::new(AtomicUsize::new(0));
    let sum = Arc::clone(&total);
    let _neighbour = Neighbour::move_in(move || {
        let now = written();
        looks.fetch_max(now - before, SeqCst);
        before = now;
        sum.store(now, SeqCst);
    });
    tokio::task::yield_now().await;
    let large = Payload::from(format!("\"{}\"", "x".repeat(bytes)));
    host.gateway.broadcast("n", &large).await.unwrap();
    until("all copies are written", async || {
        total.load(SeqCst) >= whole
    })
    .await;
    most.load(SeqCst)
}

#[tokio::test]
async fn others_have_a_turn_while_large_frames_go_to_many() {
    // Both dispatchers of two cores may have two turns between two of the neighbour's.
    const MOST: usize = 32 << 20;
    for (sessions, bytes) in [(100, 1 << 20), (250, 300_000)] {
        let most = most_at_once(sessions, bytes).await;
        assert!(
            most <= MOST,
            "{most} bytes in one turn, of {sessions} times {bytes}"
        );
    }
}
