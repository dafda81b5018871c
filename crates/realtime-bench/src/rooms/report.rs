//! What became of all members: one line of a table, and the same as JSON.

use std::time::Duration;

use realtime::BoxError;
use serde::Serialize;

use super::{
    book::{Verdict, check},
    member::{Counts, Member},
};

/// How many members that something is wrong with are named.
const NAMED: usize = 20;

/// What became of all members.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    clients: usize,
    nodes: usize,
    sent: u64,
    /// What all got together.
    deliveries: u64,
    /// How long it took to have recovered.
    recovered_after: Spread,
    #[serde(flatten)]
    counts: Counts,
    #[serde(flatten)]
    verdict: Verdict,
    /// An error that somebody was answered by.
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    /// How many members something is wrong with, and the first of them.
    wrong: usize,
    wrong_clients: Vec<Wrong>,
}

/// In milliseconds.
#[derive(Debug, Clone, Copy, Default, Serialize)]
struct Spread {
    p50: f64,
    p99: f64,
    max: f64,
}

#[derive(Debug, Serialize)]
struct Wrong {
    client: usize,
    #[serde(flatten)]
    verdict: Verdict,
    #[serde(flatten)]
    counts: Counts,
    #[serde(skip_serializing_if = "Option::is_none")]
    oddity: Option<String>,
}

impl Report {
    /// Checks the book of each, where the numbers 1 to `sent` were sent.
    pub(super) fn of(members: &[Member], nodes: usize, sent: u64) -> Self {
        let mut report = Self {
            clients: members.len(),
            nodes,
            sent,
            deliveries: members.iter().map(|member| member.book.len() as u64).sum(),
            recovered_after: Spread::of(members.iter().flat_map(|member| &member.away)),
            counts: Counts::default(),
            verdict: Verdict::default(),
            refusal: members.iter().find_map(|member| member.refusal.clone()),
            wrong: 0,
            wrong_clients: Vec::new(),
        };
        for member in members {
            let (verdict, counts) = (check(&member.book, sent), member.counts);
            report.verdict.add(verdict);
            report.counts.add(counts);
            if verdict.is_right() && counts.are_right() {
                continue;
            }
            report.wrong += 1;
            if report.wrong <= NAMED {
                report.wrong_clients.push(Wrong {
                    client: member.number(),
                    verdict,
                    counts,
                    oddity: member.oddity.clone(),
                });
            }
        }
        report
    }

    /// Prints the table and the JSON.
    ///
    /// # Errors
    /// When something is wrong with a member, or `late` says what did not come in time.
    pub(super) fn tell(&self, late: Option<&str>) -> Result<(), BoxError> {
        println!(
            "| clients | nodes | sent | deliveries | recoveries | recovered after p50 | p99 | max | recoveries failed | refused | holes | missing | doubled | out of order |"
        );
        println!("|{}", " ---: |".repeat(14));
        let (counts, verdict, after) = (&self.counts, &self.verdict, &self.recovered_after);
        println!(
            "| {} | {} | {} | {} | {} | {:.0} ms | {:.0} ms | {:.0} ms | {} | {} | {} | {} | {} | {} |",
            self.clients,
            self.nodes,
            self.sent,
            self.deliveries,
            counts.recovered,
            after.p50,
            after.p99,
            after.max,
            counts.lost,
            counts.refused,
            counts.holes,
            verdict.missing,
            verdict.doubled,
            verdict.out_of_order,
        );
        println!();
        println!("{}", serde_json::to_string(self)?);
        if self.wrong > 0 {
            let (wrong, clients) = (self.wrong, self.clients);
            let error = format!(
                "expected every client to get every message once and in order, and to recover each \
                 time; {wrong} of {clients} did not"
            );
            return Err(error.into());
        }
        late.map_or(Ok(()), |late| Err(late.into()))
    }
}

impl Verdict {
    fn add(&mut self, other: Self) {
        self.missing += other.missing;
        self.doubled += other.doubled;
        self.out_of_order += other.out_of_order;
        self.unknown += other.unknown;
    }
}

impl Counts {
    fn add(&mut self, other: Self) {
        self.recovered += other.recovered;
        self.lost += other.lost;
        self.refused += other.refused;
        self.holes += other.holes;
        self.strange += other.strange;
    }

    /// Whether all went as it should. Somebody who was refused, or saw a hole, comes again: that is
    /// counted, and not wrong where they have everything in the end.
    fn are_right(&self) -> bool {
        self.lost == 0 && self.strange == 0
    }
}

impl Spread {
    fn of<'a>(times: impl Iterator<Item = &'a Duration>) -> Self {
        let mut times: Vec<_> = times.map(|time| time.as_secs_f64() * 1e3).collect();
        times.sort_by(f64::total_cmp);
        let Some(last) = times.len().checked_sub(1) else {
            return Self::default();
        };
        let at = |part: f64| times[(last as f64 * part).round() as usize];
        Self {
            p50: at(0.5),
            p99: at(0.99),
            max: at(1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_what_there_is() {
        let times: Vec<_> = (0..=100).map(Duration::from_millis).collect();
        let spread = Spread::of(times.iter());
        assert_eq!((spread.p50, spread.p99, spread.max), (50.0, 99.0, 100.0));
        assert_eq!(Spread::of([].iter()).max, 0.0);
    }
}
