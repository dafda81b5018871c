//! What nodes broadcast to each other, and what became of it.

use std::{
    collections::BTreeSet,
    ops::{Range, RangeInclusive},
};

use crate::{plan::NODES, seen::Seen, wire::Ended};

/// How many broadcasts of another node may be on their way while a session is opened.
const ON_THE_WAY: u64 = 8;
/// How many more may have been lost before it is told: those of the longest outage.
const OUTAGE: u64 = 256;

/// What has arrived at each node, as its witness saw it.
#[derive(Debug, Default)]
pub struct Arrived {
    witnesses: [Seen; NODES],
    /// What the node that sent it knows that others may miss.
    failed: [BTreeSet<u64>; NODES],
}

/// The broadcasts of other nodes that a session may have missed.
#[derive(Debug, Clone, Copy, Default)]
pub struct Missing {
    pub received: u64,
    /// Lost on the way to its node, which has told it.
    pub lost: u64,
    /// The same, but their senders know: it may have been told.
    pub failed: u64,
    /// Lost before its first and behind its last, when it may have been told already, or still.
    pub lost_around: u64,
    /// Not lost, but left out between others.
    pub dropped: u64,
    /// So many more may have been for it before the first and behind the last that came.
    pub around: u64,
}

impl Arrived {
    pub fn failed(&mut self, node: usize, number: u64) {
        self.failed[node].insert(number);
    }

    pub fn witnessed(&mut self, seen: &Seen) {
        self.witnesses[seen.node()].clone_from(seen);
    }

    /// What a session has missed, once its node's witness has seen as much as it could.
    pub fn missing(&self, seen: &Seen, ended: &Ended) -> Option<Missing> {
        let mut all = Missing::default();
        let here = seen.node();
        for node in (0..NODES).filter(|node| *node != here) {
            let (far, arrived) = (&seen.far[node], &self.witnesses[here].far[node]);
            let [first, last] = ended.begun.map(|begun| begun[node]);
            let judged = seen.told == 0 && far.holes.is_empty();
            if arrived.numbers.end() < last && !judged {
                return None;
            }
            let lost = |range: &Range<u64>| {
                let lost = arrived.holes.iter().map(|lost| common(lost, range));
                let failed = self.failed[node].range(range.clone());
                let failed = failed.filter(|n| arrived.holes.iter().any(|lost| lost.contains(n)));
                let (lost, failed) = (lost.sum::<u64>(), failed.count() as u64);
                (lost - failed, failed)
            };
            let mut missing = 0;
            for hole in &far.holes {
                let (lost, failed) = lost(hole);
                all.lost += lost;
                all.failed += failed;
                all.dropped += hole.end - hole.start - lost - failed;
                missing += hole.end - hole.start;
            }
            all.received += far.numbers.received;
            let (lost_ever, failed_ever) = lost(&(first.saturating_sub(OUTAGE)..last + ON_THE_WAY));
            all.lost_around += lost_ever + failed_ever;
            all.around +=
                (last + ON_THE_WAY).saturating_sub(first + far.numbers.received + missing);
        }
        all.lost_around -= (all.lost + all.failed).min(all.lost_around);
        Some(all)
    }

    /// Checks what a node has reported as lost on the way to it.
    pub fn check(&self, node: usize, reported: u64) -> Result<(), String> {
        let witness = &self.witnesses[node];
        let lost = self.lost(witness);
        if !lost.contains(&reported) {
            return Err(format!(
                "node {node}: {reported} reported as lost of {lost:?}"
            ));
        }
        if (witness.told, witness.holes) != (reported, 0) {
            return Err(format!(
                "node {node}: {reported} reported as lost; {witness:?}"
            ));
        }
        Ok(())
    }

    /// How many messages were lost on the way: at least those of which their sender doesn't know.
    fn lost(&self, witness: &Seen) -> RangeInclusive<u64> {
        let (mut unknown, mut known) = (0, 0);
        for (far, failed) in witness.far.iter().zip(&self.failed) {
            let missing = far.holes.iter().flat_map(Range::clone);
            unknown += missing.filter(|number| !failed.contains(number)).count() as u64;
            known += failed.len() as u64;
        }
        unknown..=unknown + known
    }
}

fn common(a: &Range<u64>, b: &Range<u64>) -> u64 {
    a.end.min(b.end).saturating_sub(a.start.max(b.start))
}
