//! The figures of the report, and how each is written.

use super::results::{Results, Sample, Samples};
use crate::{load::Outcome, work::Work};

/// One figure, under its heading.
pub(super) struct Column {
    pub(super) title: &'static str,
    show: fn(f64) -> String,
    figure: Figure,
}

enum Figure {
    /// A floor's run has it, too.
    Any(fn(&Outcome) -> Option<f64>),
    /// A multiple of the floor's.
    Ratio(fn(&Sample) -> Option<f64>),
    /// Only those who are set against a floor have it.
    Sample(fn(&Sample) -> Option<f64>),
    /// The least and the most of such a multiple.
    Range(fn(&Sample) -> Option<f64>),
}

impl Column {
    pub(super) fn of(&self, samples: &Samples) -> String {
        let value = match self.figure {
            Figure::Any(figure) => samples.median(|sample| figure(&sample.outcome)),
            Figure::Ratio(figure) | Figure::Sample(figure) => samples.median(figure),
            Figure::Range(figure) => {
                let ends = samples.ends(figure).map(|ends| ends.map(self.show));
                return ends.map(|ends| ends.join(" to ")).unwrap_or_default();
            }
        };
        value.map(self.show).unwrap_or_default()
    }

    pub(super) fn of_floor(&self, work: Work, results: &Results) -> String {
        let value = match self.figure {
            Figure::Any(figure) => results.floor(work, figure),
            Figure::Ratio(_) => Some(1.0),
            Figure::Sample(_) | Figure::Range(_) => None,
        };
        value.map(self.show).unwrap_or_default()
    }
}

pub(super) fn columns(work: Work) -> Vec<Column> {
    match work {
        Work::FanOut(_)
        | Work::Room(_)
        | Work::Rooms(_)
        | Work::Moving(_)
        | Work::Held(_)
        | Work::Echo(_)
        | Work::Request(_) => {
            vec![RATIO, RANGE, CPU, RATE, P50, P99, MAX, CALLS, SHARE]
        }
        Work::Latency(_) => vec![P99_RATIO, P99_RANGE, P50, P99, MAX, RATIO, RATE, SHARE],
        Work::Stalled(_) => vec![STALLED_RATIO, P99_BEFORE, P99, GROWN, SHARE],
        Work::Connect(_) => vec![RATIO, RANGE, CPU, RATE, IDLE, USED, SHARE],
        Work::Storm(_) => vec![P99_RATIO, P99_RANGE, P50, P99, MAX, RATIO, CPU, SHARE],
    }
}

const RATIO: Column = Column {
    title: "CPU × floor",
    show: ratio,
    figure: Figure::Ratio(|sample| sample.cpu_ratio),
};
const RANGE: Column = Column {
    title: "from to",
    show: ratio,
    figure: Figure::Range(|sample| sample.cpu_ratio),
};
const P99_RANGE: Column = Column {
    title: "from to",
    show: ratio,
    figure: Figure::Range(|sample| sample.p99_ratio),
};
const P99_RATIO: Column = Column {
    title: "p99 × floor",
    show: ratio,
    figure: Figure::Ratio(|sample| sample.p99_ratio),
};
const CALLS: Column = Column {
    title: "calls each",
    show: ratio,
    figure: Figure::Sample(|sample| {
        let counted = sample.counted.as_ref()?;
        Some(counted.system_calls? as f64 / counted.count as f64)
    }),
};
const CPU: Column = any("CPU µs each", ratio, |outcome| {
    Some(outcome.cpu_each()? * 1e6)
});
const RATE: Column = any("per second", whole, |outcome| Some(outcome.per_second()));
const P50: Column = any("p50 µs", whole, |outcome| Some(outcome.latency?.p50));
const P99: Column = any("p99 µs", whole, |outcome| Some(outcome.latency?.p99));
const MAX: Column = any("max µs", whole, |outcome| Some(outcome.latency?.max));
const P99_BEFORE: Column = any("p99 µs before", whole, |outcome| {
    Some(outcome.stalled?.1.p99)
});
const STALLED_RATIO: Column = any("p99 × before", ratio, |outcome| {
    Some(outcome.latency?.p99 / outcome.stalled?.1.p99)
});
const GROWN: Column = any("server grew by KiB", whole, |outcome| {
    Some(outcome.stalled?.0 / 1024.0)
});
const IDLE: Column = any("bytes idle", whole, |outcome| Some(outcome.memory?[0]));
const USED: Column = any("bytes after 100 messages", whole, |outcome| {
    Some(outcome.memory?[1])
});
const SHARE: Column = any("generator busy", percent, |outcome| Some(outcome.own_share));

const fn any(
    title: &'static str,
    show: fn(f64) -> String,
    figure: fn(&Outcome) -> Option<f64>,
) -> Column {
    Column {
        title,
        show,
        figure: Figure::Any(figure),
    }
}

pub(super) fn ratio(value: f64) -> String {
    format!("{value:.2}")
}

fn whole(value: f64) -> String {
    format!("{value:.0}")
}

fn percent(value: f64) -> String {
    format!("{:.0} %", value * 100.0)
}
