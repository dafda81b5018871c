//! The clients' process: so many at once for so long, and then everything is looked at.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{task::JoinSet, time::Instant};

use crate::{
    account::Account,
    peer::Peer,
    plan::{POLICIES, Plan},
    process::Server,
    slope::Slope,
};

#[tokio::main]
pub async fn books_balance_and_nothing_grows() {
    let plan = Plan::from_env();
    let seed = fastrand::u64(..);
    println!("{plan:?}, seed {seed}");
    let account = Arc::new(Mutex::new(Account::default()));
    let mut server = Server::start(Arc::clone(&account));
    let next_id = Arc::new(AtomicU64::new(0));
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
            held.sessions == 0 && held.unreported == 0 && held.descriptors <= 20
        })
        .await;

    let start = Instant::now();
    let mut slots = JoinSet::new();
    for slot in 0..plan.sessions {
        slots.spawn(live(slot, start + plan.duration));
    }
    let mut slope = Slope::default();
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    while start.elapsed() < plan.duration {
        ticks.tick().await;
        let held = server.held().await;
        slope.add(&held);
        while let Some(slot) = slots.try_join_next() {
            slot.unwrap();
        }
        let elapsed = start.elapsed().as_secs();
        if elapsed.is_multiple_of(10) {
            println!(
                "{elapsed:>4} s: {} sessions, {} tasks, {} descriptors, {} KiB",
                held.sessions,
                held.tasks,
                held.descriptors,
                held.resident_bytes / 1024
            );
        }
        assert_eq!(account.lock().unwrap().faults, Vec::<String>::new());
    }
    joined(&mut slots).await;
    let after = server
        .until("everything is as it was at the start", |held| {
            held.sessions == 0
                && held.unreported == 0
                && held.tasks <= before.tasks
                && held.descriptors <= before.descriptors
        })
        .await;

    let mut account = account.lock().unwrap();
    account.finish(&after);
    println!("{account}");
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

/// Waits for all of them, and fails as the first that has failed.
async fn joined(tasks: &mut JoinSet<()>) {
    while let Some(task) = tasks.join_next().await {
        task.unwrap();
    }
}
