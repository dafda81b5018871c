//! The clients' process: so many at once for so long, while backends go down and up. Then
//! everything is looked at.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use realtime_testkit::wait::until;
use tokio::{sync::watch, task::JoinSet, time::Instant};

use crate::{
    account::Account,
    cluster::Cluster,
    outages::{self, Watched},
    peer::Peer,
    plan::{NODES, POLICIES, Plan},
    process::Server,
    slope::Slope,
    witness,
};

/// How often it is looked at what the server holds.
const OFTEN: Duration = Duration::from_millis(200);
/// What the client libraries of the backends make at their first outage and keep: descriptors, and
/// tasks.
const ONCE: (usize, usize) = (12, 6);

#[tokio::main]
pub async fn books_balance_and_nothing_grows() {
    let plan = Plan::from_env();
    let seed = fastrand::u64(..);
    println!("{plan:?}, seed {seed}");
    let account = Arc::new(Mutex::new(Account::default()));
    let mut cluster = Cluster::start().await;
    let (proxy, through) = cluster.behind_a_proxy().await;
    let broker = cluster.rabbitmq.url();
    let urls = [through.as_str(), &broker, &broker, &cluster.redis.url()].join(" ");
    let mut server = Server::start(&urls, Arc::clone(&account)).await;
    let next_id = Arc::new(AtomicU64::new(NODES as u64));
    let addrs = server.addrs.clone();
    let live = |slot: usize, until: Instant| {
        let (account, next_id) = (Arc::clone(&account), Arc::clone(&next_id));
        let (addr, policy) = (addrs[slot % 3], POLICIES[slot % 3]);
        async move {
            loop {
                let id = next_id.fetch_add(1, Relaxed);
                let mut rng = fastrand::Rng::with_seed(seed ^ id);
                tokio::time::sleep(plan.unit.mul_f64(rng.f64())).await;
                let peer = Peer::connect(id, addr, policy, plan.unit, rng).await;
                let (seen, end) = peer.live().await;
                account.lock().unwrap().seen(seen, end);
                if Instant::now() >= until {
                    return;
                }
            }
        }
    };

    // A first round, so that what is made once and kept is there already.
    let mut first = JoinSet::new();
    (0..30).for_each(|slot| drop(first.spawn(live(slot, Instant::now()))));
    joined(&mut first).await;
    let before = server
        .until("the first round has ended", |held| {
            held.sessions == 0 && held.unreported == 0 && held.descriptors <= 60 && held.is_well()
        })
        .await;
    let (enough, enough_yet) = watch::channel(false);
    let mut witnesses = JoinSet::new();
    for node in 0..NODES {
        let (addr, policy, rng) = (addrs[node], POLICIES[node], fastrand::Rng::new());
        let peer = Peer::connect(node as u64, addr, policy, plan.unit, rng).await;
        let (account, enough) = (Arc::clone(&account), enough_yet.clone());
        witnesses.spawn(witness::watch(peer, account, enough));
    }

    let start = Instant::now();
    let mut slots = JoinSet::new();
    for slot in 0..plan.sessions {
        slots.spawn(live(slot, start + plan.duration));
    }
    let (slope, struck) = watched(plan, &mut server, &mut slots, &account, async |held| {
        outages::strike(plan, &mut cluster, &proxy, held).await
    })
    .await;
    joined(&mut slots).await;
    until("all are judged", async || {
        account.lock().unwrap().pending() == 0
    })
    .await;
    enough.send_replace(true);
    joined(&mut witnesses).await;
    let after = server
        .until("everything is as it was at the start", |held| {
            held.sessions == 0
                && held.unreported == 0
                && held.descriptors <= before.descriptors + ONCE.0
                && held.tasks <= before.tasks + ONCE.1
        })
        .await;
    until("presence has forgotten them", async || {
        let left = cluster.redis.command(&["KEYS", "*:sessions"]).await;
        left.unwrap().is_empty()
    })
    .await;

    let mut account = account.lock().unwrap();
    account.finish(&after);
    println!("{account}");
    println!("{struck} outages");
    for (policy, counted) in POLICIES.iter().zip(&after.stats) {
        println!("{policy:?}: {counted:?}");
    }
    println!(
        "start: {} tasks, {} descriptors; end: {} tasks, {} descriptors",
        before.tasks, before.descriptors, after.tasks, after.descriptors
    );
    let mut faults = std::mem::take(&mut account.faults);
    slope.print();
    if plan.has_slope {
        faults.extend(slope.memory_has_grown());
    }
    assert!(account.sessions() >= plan.sessions as u64);
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Looks at what the server holds, until the time is over and backends went down and up.
async fn watched(
    plan: Plan,
    server: &mut Server,
    slots: &mut JoinSet<()>,
    account: &Mutex<Account>,
    outages: impl AsyncFnOnce(Watched) -> u64,
) -> (Slope, u64) {
    let start = Instant::now();
    let (held, watched) = watch::channel(server.held().await);
    let mut outages = pin!(outages(Watched(watched)));
    let mut struck = None;
    let mut slope = Slope::default();
    let mut ticks = tokio::time::interval(OFTEN);
    let mut told = 0;
    loop {
        if let Some(struck) = struck.filter(|_| start.elapsed() >= plan.duration) {
            return (slope, struck);
        }
        tokio::select! {
            _ = ticks.tick() => {}
            outages = &mut outages, if struck.is_none() => struck = Some(outages),
        }
        let now = server.held().await;
        slope.add(&now);
        while let Some(slot) = slots.try_join_next() {
            slot.unwrap();
        }
        let elapsed = start.elapsed().as_secs();
        if elapsed >= told {
            told += 10;
            println!(
                "{elapsed:>4} s: {} sessions, {} tasks, {} descriptors, {} KiB",
                now.sessions,
                now.tasks,
                now.descriptors,
                now.resident_bytes / 1024
            );
        }
        held.send_replace(now);
        assert_eq!(account.lock().unwrap().faults, Vec::<String>::new());
    }
}

/// Waits for all of them, and fails as the first that has failed.
async fn joined(tasks: &mut JoinSet<()>) {
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}
