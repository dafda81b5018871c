//! What Prometheus would read, of one gateway.

use std::{collections::BTreeMap, sync::OnceLock};

use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle};
use realtime::Gateway;
use realtime_testkit::wait::until;

static EXPORTER: OnceLock<PrometheusHandle> = OnceLock::new();

/// The recorder of this process, with our buckets.
pub(crate) fn install() -> &'static PrometheusHandle {
    EXPORTER.get_or_init(|| {
        let mut builder = PrometheusBuilder::new();
        for (name, bounds) in realtime::metrics::buckets() {
            let name = metrics_exporter_prometheus::Matcher::Full(name.to_owned());
            builder = builder.set_buckets_for_metric(name, bounds).unwrap();
        }
        builder.install_recorder().unwrap()
    })
}

/// One line of what is scraped.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sample {
    pub(crate) name: String,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) value: f64,
}

impl Sample {
    fn of(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let labels = labels.trim_end_matches('}').split(',');
        let labels = labels.filter_map(|label| label.split_once('='));
        let labels =
            labels.map(|(name, value)| (name.to_owned(), value.trim_matches('"').to_owned()));
        Self {
            name: name.to_owned(),
            labels: labels.collect(),
            value: value.parse().unwrap(),
        }
    }
}

/// The metrics of one gateway.
#[derive(Clone)]
pub(crate) struct Metrics(Gateway);

impl Metrics {
    pub(crate) fn of(gateway: &Gateway) -> Self {
        Self(gateway.clone())
    }

    /// All of them, as they are now.
    pub(crate) fn all(&self) -> Vec<Sample> {
        self.0.record_metrics();
        self.recorded()
    }

    /// All of them, as they were told last.
    pub(crate) fn recorded(&self) -> Vec<Sample> {
        recorded_of(self.0.name())
    }

    /// The value now of a counter or a gauge, or the count of a histogram, with these labels, and
    /// whatever others.
    pub(crate) fn value(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        let count = format!("{name}_count");
        let fits = |sample: &Sample| {
            let has = |(name, value): &(&str, &str)| {
                sample.labels.get(*name).is_some_and(|is| is == value)
            };
            (sample.name == name || sample.name == count) && labels.iter().all(has)
        };
        self.all()
            .iter()
            .filter(|sample| fits(sample))
            .map(|sample| sample.value)
            .sum()
    }

    /// Waits until it is this much.
    pub(crate) async fn is(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name} {labels:?} is {value}");
        until(&what, async || {
            (self.value(name, labels) - value).abs() < 1e-9
        })
        .await;
    }

    /// Waits until it has moved with each of these values of a label.
    pub(crate) async fn moves(&self, name: &str, label: &str, values: &[&str]) {
        for value in values {
            let labels = [(label, *value)];
            let what = format!("{name} {labels:?} has moved");
            until(&what, async || self.value(name, &labels) > 0.).await;
        }
    }

    /// Waits until it is this much at least.
    pub(crate) async fn at_least(&self, name: &str, labels: &[(&str, &str)], value: f64) {
        let what = format!("{name} {labels:?} is at least {value}");
        until(&what, async || self.value(name, labels) >= value).await;
    }
}

/// The metrics of the gateway of this name, as they were told last.
pub(crate) fn recorded_of(gateway: &str) -> Vec<Sample> {
    let text = install().render();
    let lines = text
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut samples: Vec<_> = lines.map(Sample::of).collect();
    samples.retain(|sample| {
        sample
            .labels
            .get("gateway")
            .is_some_and(|name| name == gateway)
    });
    samples
}
