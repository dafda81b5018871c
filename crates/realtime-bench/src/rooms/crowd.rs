//! All members of the room, each a task of its own, and who waits for them.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::{sync::watch, task::JoinSet, time::sleep};

use super::member::{Member, Shared};

/// How many join for the first time before the others follow.
const AT_ONCE: usize = 200;
/// How long all may take to join.
const TO_JOIN: Duration = Duration::from_secs(120);
/// How often it is looked whether what is waited for has come.
const LOOK: Duration = Duration::from_millis(10);

/// All members of the room. They end when it is dropped.
#[derive(Debug)]
pub(super) struct Crowd {
    shared: Arc<Shared>,
    gate: watch::Sender<Option<Instant>>,
    stop: watch::Sender<bool>,
    members: JoinSet<Member>,
}

impl Crowd {
    /// So many members join there, and come back whenever their connection ends: `at_once`, or a
    /// little later. Returns when all have been in the room.
    pub(super) async fn join(to: SocketAddr, count: usize, at_once: bool) -> io::Result<Self> {
        let mut crowd = Self {
            shared: Arc::new(Shared {
                to,
                at_once,
                joined: AtomicU64::new(0),
                inside: AtomicU64::new(0),
                returned: AtomicU64::new(0),
                latest: (0..count).map(|_| AtomicU64::new(0)).collect(),
            }),
            gate: watch::Sender::new(Some(Instant::now())),
            stop: watch::Sender::new(false),
            members: JoinSet::new(),
        };
        let until = Instant::now() + TO_JOIN;
        for number in 0..count {
            let shared = Arc::clone(&crowd.shared);
            let member = Member::new(number, shared, crowd.gate.subscribe());
            crowd.members.spawn(member.run(crowd.stop.subscribe()));
            if number.is_multiple_of(AT_ONCE) || number + 1 == count {
                let expected = (number + 1) as u64;
                let joined = || crowd.shared.joined.load(Relaxed);
                if !wait(until, || joined() >= expected).await {
                    let error =
                        format!("expected {expected} clients in the room; got {}", joined());
                    return Err(io::Error::other(error));
                }
            }
        }
        Ok(crowd)
    }

    /// Nobody connects any more.
    pub(super) fn close_gate(&self) {
        self.gate.send_replace(None);
    }

    /// All connect that are not connected.
    pub(super) fn open_gate(&self) {
        self.gate.send_replace(Some(Instant::now()));
    }

    /// Waits until nobody is in the room. Returns whether it came to that.
    pub(super) async fn is_out(&self, within: Duration) -> bool {
        let inside = || self.shared.inside.load(Relaxed);
        wait(Instant::now() + within, || inside() == 0).await
    }

    /// Waits until so many have come back. Returns whether they have.
    pub(super) async fn has_returned(&self, within: Duration) -> bool {
        let expected = self.shared.latest.len() as u64;
        let returned = || self.shared.returned.load(Relaxed);
        wait(Instant::now() + within, || returned() >= expected).await
    }

    /// Waits until all have this number or a later one. Returns whether they have.
    pub(super) async fn has(&self, number: u64, within: Duration) -> bool {
        let has = |latest: &AtomicU64| latest.load(Relaxed) >= number;
        wait(Instant::now() + within, || {
            self.shared.latest.iter().all(has)
        })
        .await
    }

    /// Stops all, and returns them with what they have written down.
    pub(super) async fn stop(mut self) -> io::Result<Vec<Member>> {
        self.stop.send_replace(true);
        let mut members = Vec::with_capacity(self.members.len());
        while let Some(member) = self.members.join_next().await {
            members.push(member.map_err(io::Error::other)?);
        }
        Ok(members)
    }
}

async fn wait(until: Instant, holds: impl Fn() -> bool) -> bool {
    while !holds() {
        if Instant::now() > until {
            return false;
        }
        sleep(LOOK).await;
    }
    true
}
