//! The books: what the server says that it sent to a session against what its client has seen.

use std::{collections::HashMap, fmt};

use realtime::Backpressure;

use crate::{
    far::{Arrived, Missing},
    plan::{NODES, POLICIES},
    seen::{End, Seen},
    wire::{Ended, Held},
};

/// Sessions that have ended on one side, and the sums of those that have on both.
#[derive(Debug, Default)]
pub struct Account {
    seen: HashMap<u64, (Seen, End)>,
    ended: HashMap<u64, Ended>,
    /// Those that miss what the witness of their node hasn't been asked for yet.
    pending: Vec<(Seen, End, Ended)>,
    arrived: Arrived,
    sums: [Sums; NODES],
    /// What does not balance.
    pub faults: Vec<String>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Sums {
    sessions: u64,
    /// Messages that were sent to sessions: taken, or dropped under a policy.
    sent: u64,
    delivered: u64,
    /// Dropped, or lost between nodes, and the client told so in band.
    told: u64,
    dropped_at_least: u64,
    /// Discarded, and the client told so by the close code 1013.
    told_by_close: u64,
    lost_between: u64,
    /// Under way to a session that ended without a close, or that its client closed.
    in_flight: u64,
    replies: u64,
    /// What all slow consumers together may have lost at the most.
    slow_at_most: u64,
    refused: u64,
    closed: u64,
    left: u64,
    lost: u64,
}

impl Account {
    pub fn seen(&mut self, seen: Seen, end: End) {
        match self.ended.remove(&seen.id) {
            Some(ended) => self.balance(seen, end, ended),
            None => drop(self.seen.insert(seen.id, (seen, end))),
        }
    }

    pub fn ended(&mut self, ended: Ended) {
        if ended.id < NODES as u64 {
            // A witness: those are looked at in the end.
            return;
        }
        match self.seen.remove(&ended.id) {
            Some((seen, end)) => self.balance(seen, end, ended),
            None => drop(self.ended.insert(ended.id, ended)),
        }
    }

    /// A broadcast whose sender knows that it may not arrive at other nodes.
    pub fn failed(&mut self, node: usize, number: u64) {
        self.arrived.failed(node, number);
    }

    /// What has arrived at a node so far.
    pub fn witnessed(&mut self, seen: &Seen) {
        self.arrived.witnessed(seen);
        for (seen, end, ended) in std::mem::take(&mut self.pending) {
            self.balance(seen, end, ended);
        }
    }

    fn balance(&mut self, seen: Seen, end: End, ended: Ended) {
        let Some(far) = self.arrived.missing(&seen, &ended) else {
            return self.pending.push((seen, end, ended));
        };
        match balanced(&seen, end, &ended, far) {
            Ok(sums) => self.sums[seen.node()].add(sums),
            Err(fault) => self
                .faults
                .push(format!("{fault}\n  {seen:?}\n  {end:?}\n  {ended:?}")),
        }
    }

    /// Everything has ended: compares with what the gateways have counted.
    pub fn finish(&mut self, held: &Held) {
        let mut check = |holds: bool, fault: String| {
            if !holds {
                self.faults.push(fault);
            }
        };
        let ended = self.ended.len();
        check(ended == 0, format!("{ended} sessions that nobody saw"));
        for (node, counted) in held.stats.iter().enumerate() {
            let reported = self.arrived.check(node, counted.missed_from_nodes);
            check(reported.is_ok(), format!("{reported:?}"));
        }
        for (seen, end) in self.seen.values() {
            // Its client left before the connect hook could run.
            let nothing = seen.own.received == 0 && !matches!(end, End::Closed(_));
            check(nothing, format!("never connected: {end:?} {seen:?}"));
        }
        for (policy, (sums, counted)) in self.sums.iter().zip(&held.stats).enumerate() {
            let told = sums.dropped_at_least + sums.told_by_close;
            let dropped = match POLICIES[policy] {
                Backpressure::Close => {
                    told <= counted.dropped && counted.dropped <= sums.slow_at_most
                }
                _ => told <= counted.dropped && sums.refused <= counted.dropped,
            };
            let opened = counted.opened == counted.closed && counted.aborted == 0;
            check(
                dropped && opened && counted.queued_bytes == 0,
                format!("{:?}: {counted:?} against {sums:?}", POLICIES[policy]),
            );
        }
    }

    /// How many wait for the witness of their node.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    pub fn sessions(&self) -> u64 {
        self.sums.iter().map(|sums| sums.sessions).sum()
    }
}

/// Everything that was sent to a session, and what became of it.
fn balanced(seen: &Seen, end: End, ended: &Ended, far: Missing) -> Result<Sums, String> {
    let own_missing = ended
        .offered
        .checked_sub(seen.own.received)
        .ok_or("more has arrived than was sent")?;
    let broadcasts = seen.broadcasts.received_from(ended.first_broadcast);
    let (least, most) = ended.broadcasts;
    let most = most.saturating_sub(ended.first_broadcast);
    if seen.holes + far.dropped + far.lost > seen.told {
        return Err(format!("it was not told of all that is missing: {far:?}"));
    }
    let told_of_lost = far.lost + far.failed + far.lost_around;
    if seen.policy == Backpressure::Close
        && (seen.holes + far.dropped > 0 || seen.told > told_of_lost)
    {
        return Err(format!("messages were dropped: {far:?}"));
    }
    let mut sums = Sums {
        sessions: 1,
        delivered: seen.own.received + broadcasts + far.received,
        told: seen.told,
        dropped_at_least: seen.told.saturating_sub(told_of_lost),
        lost_between: far.lost + far.failed,
        replies: seen.replies,
        refused: ended.refused,
        ..Sums::default()
    };
    if ended.slow {
        sums.slow_at_most = own_missing + most.saturating_sub(broadcasts) + far.around;
    }
    match end {
        End::Closed(1013) => {
            if !ended.slow || seen.policy != Backpressure::Close {
                return Err("closed as slow without being it".to_owned());
            }
            sums.closed = 1;
            // Which of the last broadcasts found it open is not known: those are left out.
            sums.told_by_close = own_missing;
        }
        End::Closed(code) => {
            if ended.code != Some(code) {
                return Err(format!("closed with {code}, as the client says"));
            }
            sums.closed = 1;
            let broadcasts_missing = seen
                .told
                .checked_sub(own_missing + far.dropped + far.lost)
                .ok_or("some were neither delivered nor told as dropped")?;
            // Some of them may be another node's.
            let end = ended.first_broadcast + broadcasts + broadcasts_missing;
            let others = far.failed + far.lost_around + far.around;
            let start = end - broadcasts_missing.min(others);
            let least = least.max(seen.broadcasts.end());
            if end < least || start > ended.broadcasts.1.max(least) {
                return Err(format!(
                    "broadcasts up to {start}..={end} are accounted for; expected {least} to {}",
                    ended.broadcasts.1
                ));
            }
        }
        End::Left | End::Lost => {
            sums.left = u64::from(end == End::Left);
            sums.lost = u64::from(end == End::Lost);
            let sent = own_missing + most.saturating_sub(broadcasts);
            sums.in_flight = sent.saturating_sub(seen.told);
        }
    }
    sums.sent = sums.delivered + sums.told + sums.told_by_close + sums.in_flight;
    Ok(sums)
}

impl Sums {
    fn add(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.sent += other.sent;
        self.delivered += other.delivered;
        self.told += other.told;
        self.told_by_close += other.told_by_close;
        self.dropped_at_least += other.dropped_at_least;
        self.lost_between += other.lost_between;
        self.in_flight += other.in_flight;
        self.replies += other.replies;
        self.slow_at_most += other.slow_at_most;
        self.refused += other.refused;
        self.closed += other.closed;
        self.left += other.left;
        self.lost += other.lost;
    }
}

impl fmt::Display for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "{:<11} {:>8} {:>10} {:>10} {:>8} {:>8} {:>9} {:>9} {:>9}   {:>6} {:>6} {:>6}",
            "",
            "sessions",
            "sent",
            "delivered",
            "told",
            "by 1013",
            "lost",
            "in flight",
            "replies",
            "closed",
            "left",
            "lost"
        )?;
        for (policy, sums) in POLICIES.iter().zip(&self.sums) {
            writeln!(
                f,
                "{:<11} {:>8} {:>10} {:>10} {:>8} {:>8} {:>9} {:>9} {:>9}   {:>6} {:>6} {:>6}",
                format!("{policy:?}"),
                sums.sessions,
                sums.sent,
                sums.delivered,
                sums.told,
                sums.told_by_close,
                sums.lost_between,
                sums.in_flight,
                sums.replies,
                sums.closed,
                sums.left,
                sums.lost
            )?;
        }
        Ok(())
    }
}
