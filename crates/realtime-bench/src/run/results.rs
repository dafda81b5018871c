//! What was measured, and its medians.

use super::Built;
use crate::{load::Outcome, peers::Peer, work::Work};

/// One run, beside the floor's runs before and after it.
pub(super) struct Sample {
    pub(super) outcome: Outcome,
    /// The same work under strace.
    pub(super) counted: Option<Outcome>,
    /// CPU for each message, as a multiple of the floor's, if there were any.
    pub(super) cpu_ratio: Option<f64>,
    /// The 99th percentile, as a multiple of the floor's.
    pub(super) p99_ratio: Option<f64>,
}

impl Sample {
    pub(super) fn new(outcome: Outcome, counted: Option<Outcome>, floors: [&Outcome; 2]) -> Self {
        let ratio = |of: fn(&Outcome) -> Option<f64>| {
            let floor = (of(floors[0])? + of(floors[1])?) / 2.0;
            Some(of(&outcome)? / floor)
        };
        Self {
            cpu_ratio: ratio(Outcome::cpu_each),
            p99_ratio: ratio(|outcome| Some(outcome.latency?.p99)),
            outcome,
            counted,
        }
    }
}

/// What one server did at one work.
#[derive(Default)]
pub(super) struct Samples {
    pub(super) good: Vec<Sample>,
    /// Why a run failed, the last time.
    pub(super) failed: Option<String>,
}

impl Samples {
    /// The median of what each run says.
    pub(super) fn median(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<f64> {
        median(self.good.iter().filter_map(of).collect())
    }

    /// The least and the most of what each run says.
    pub(super) fn ends(&self, of: impl Fn(&Sample) -> Option<f64>) -> Option<[f64; 2]> {
        let values = || self.good.iter().filter_map(&of);
        Some([values().reduce(f64::min)?, values().reduce(f64::max)?])
    }

    /// Whether it was too slow for the rate that was asked for.
    pub(super) fn saturated(&self) -> bool {
        self.good.iter().any(|sample| sample.outcome.saturated)
    }
}

/// Everything that was measured.
#[derive(Default)]
pub(super) struct Results {
    built: Vec<Built>,
    pub(super) missing: Vec<(Peer, String)>,
    runs: Vec<(usize, Work, Samples)>,
    floors: Vec<(Work, Vec<Outcome>)>,
}

impl Results {
    pub(super) fn add_peer(&mut self, built: Built) {
        self.built.push(built);
    }

    pub(super) fn add_missing(&mut self, peer: Peer, what: String) {
        self.missing.push((peer, what));
    }

    /// Who can be measured.
    pub(super) fn built(&self) -> &[Built] {
        &self.built
    }

    pub(super) fn add(&mut self, index: usize, work: Work, sample: Result<Sample, String>) {
        let known = self
            .runs
            .iter()
            .position(|run| (run.0, run.1) == (index, work));
        let at = known.unwrap_or_else(|| {
            self.runs.push((index, work, Samples::default()));
            self.runs.len() - 1
        });
        let samples = &mut self.runs[at].2;
        match sample {
            Ok(sample) => samples.good.push(sample),
            Err(error) => samples.failed = Some(error),
        }
    }

    pub(super) fn add_floor(&mut self, work: Work, outcome: &Outcome) {
        match self.floors.iter_mut().find(|floor| floor.0 == work) {
            Some((_, outcomes)) => outcomes.push(outcome.clone()),
            None => self.floors.push((work, vec![outcome.clone()])),
        }
    }

    /// All servers' runs of a work, in the order in which they were asked for.
    pub(super) fn of(&self, work: Work) -> impl Iterator<Item = (&Peer, &Samples)> {
        let runs = self.runs.iter().filter(move |run| run.1 == work);
        runs.map(|(index, _, samples)| (&self.built[*index].peer, samples))
    }

    /// One server's runs of a work.
    pub(super) fn one(&self, peer: &Peer, work: Work) -> Option<&Samples> {
        self.of(work)
            .find(|(other, _)| *other == peer)
            .map(|(_, samples)| samples)
    }

    /// The CPU time of each message as a multiple of another server's in the same round: the least,
    /// the median and the most.
    pub(super) fn beside(&self, peer: &Peer, other: &Peer, work: Work) -> Option<[f64; 3]> {
        let each = |peer| {
            let runs = self.one(peer, work).filter(|runs| runs.failed.is_none())?;
            let each = runs.good.iter().map(|run| run.outcome.cpu_each());
            each.collect::<Option<Vec<f64>>>()
        };
        let (own, others) = (each(peer)?, each(other)?);
        let ratios = || own.iter().zip(&others).map(|(own, other)| own / other);
        let (least, most) = (ratios().reduce(f64::min)?, ratios().reduce(f64::max)?);
        Some([least, median(ratios().collect())?, most])
    }

    /// The median of what each of the floor's runs says.
    pub(super) fn floor(&self, work: Work, of: impl Fn(&Outcome) -> Option<f64>) -> Option<f64> {
        let floor = self.floors.iter().find(|floor| floor.0 == work)?;
        median(floor.1.iter().filter_map(of).collect())
    }
}

pub(super) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => None,
        even if even % 2 == 0 => Some((values[middle - 1] + values[middle]) / 2.0),
        _ => Some(values[middle]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle() {
        assert_eq!(median(vec![]), None);
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
    }

    #[test]
    fn a_run_is_set_against_the_mean_of_its_floors() {
        let outcome = |server_cpu| Outcome {
            count: 8,
            server_cpu,
            ..Outcome::default()
        };
        let sample = Sample::new(outcome(3.0), None, [&outcome(1.0), &outcome(2.0)]);
        assert_eq!((sample.cpu_ratio, sample.p99_ratio), (Some(2.0), None));
    }
}
