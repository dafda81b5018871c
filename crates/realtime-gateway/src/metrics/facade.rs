//! The crate `metrics`, by our table.

use std::sync::Arc;

use metrics::{
    Counter, Gauge, Histogram, Key, Label, Level, Metadata, SharedString, with_recorder,
};

use super::table::{METRICS, Metric, MetricKind, MetricUnit};

/// The label that tells the gateways of a process apart.
pub(super) const GATEWAY: &str = "gateway";

static METADATA: Metadata<'static> = Metadata::new("realtime", Level::INFO, Some(module_path!()));

/// The metrics of one gateway, at whatever recorder the process has now.
#[derive(Debug, Clone)]
pub(super) struct Facade {
    gateway: Arc<str>,
}

/// A label, whose values are few.
pub(super) type Value = (&'static str, &'static str);

impl Facade {
    pub(super) fn new(gateway: &str) -> Self {
        Self {
            gateway: gateway.into(),
        }
    }

    fn key(&self, of: &Metric, labels: impl IntoIterator<Item = Label>) -> Key {
        let gateway = SharedString::from_shared(Arc::clone(&self.gateway));
        let mut all = vec![Label::new(GATEWAY, gateway)];
        all.extend(labels);
        debug_assert!(
            all.iter()
                .skip(1)
                .map(Label::key)
                .eq(of.labels.iter().copied()),
            "{} has the labels that its table says",
            of.name
        );
        Key::from_parts(of.name, all)
    }

    pub(super) fn counter(&self, of: &Metric, labels: &[Value]) -> Counter {
        debug_assert_eq!(of.kind, MetricKind::Counter);
        let key = self.key(
            of,
            labels
                .iter()
                .map(|(name, value)| Label::from_static_parts(name, value)),
        );
        with_recorder(|recorder| recorder.register_counter(&key, &METADATA))
    }

    pub(super) fn gauge(&self, of: &Metric, labels: &[Value]) -> Gauge {
        debug_assert_eq!(of.kind, MetricKind::Gauge);
        let key = self.key(
            of,
            labels
                .iter()
                .map(|(name, value)| Label::from_static_parts(name, value)),
        );
        with_recorder(|recorder| recorder.register_gauge(&key, &METADATA))
    }

    pub(super) fn histogram(
        &self,
        of: &Metric,
        labels: impl IntoIterator<Item = Label>,
    ) -> Histogram {
        debug_assert_eq!(of.kind, MetricKind::Histogram);
        let key = self.key(of, labels);
        with_recorder(|recorder| recorder.register_histogram(&key, &METADATA))
    }
}

/// A label of a histogram.
pub(super) fn label(name: &'static str, value: impl Into<SharedString>) -> Label {
    Label::new(name, value)
}

/// Says what each metric means and in which unit it is.
pub(super) fn describe() {
    with_recorder(|recorder| {
        for of in METRICS {
            let (name, unit, help) = (of.name.into(), Some(unit(of.unit)), of.help.into());
            match of.kind {
                MetricKind::Counter => recorder.describe_counter(name, unit, help),
                MetricKind::Gauge => recorder.describe_gauge(name, unit, help),
                MetricKind::Histogram => recorder.describe_histogram(name, unit, help),
            }
        }
    });
}

const fn unit(unit: MetricUnit) -> metrics::Unit {
    match unit {
        MetricUnit::Bytes => metrics::Unit::Bytes,
        MetricUnit::Count => metrics::Unit::Count,
        MetricUnit::Seconds => metrics::Unit::Seconds,
    }
}
