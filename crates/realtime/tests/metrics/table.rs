//! The table of all metrics: its names, the page about it, and that a test moves each.

use std::{collections::BTreeSet, fs, path::Path};

use realtime::metrics::{METRICS, MetricKind, MetricUnit, buckets};

use super::{builder, named, start, values::VALUES};

#[test]
fn names_follow_the_conventions() {
    let mut names = BTreeSet::new();
    for metric in METRICS {
        let name = metric.name;
        assert!(names.insert(name), "{name} stands there once");
        let fits = |c: char| c.is_ascii_lowercase() || c == '_';
        assert!(
            name.starts_with("realtime_") && name.chars().all(fits),
            "{name}"
        );
        let is_counter = metric.kind == MetricKind::Counter;
        assert_eq!(name.ends_with("_total"), is_counter, "{name}");
        let base = name.trim_end_matches("_total");
        assert_eq!(
            base.ends_with("_seconds"),
            metric.unit == MetricUnit::Seconds,
            "{name}"
        );
        assert_eq!(
            base.ends_with("_bytes"),
            metric.unit == MetricUnit::Bytes,
            "{name}"
        );
        assert!(metric.help.ends_with('.'), "{name}");
    }
    for (name, bounds) in buckets() {
        assert!(bounds.len() <= 16 && bounds.is_sorted(), "{name}");
    }
}

/// A published crate has no such folder.
pub(crate) fn page() -> Option<String> {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
    fs::read_to_string(Path::new(page)).ok()
}

#[test]
fn the_page_has_the_same_table() {
    let Some(page) = page() else { return };
    let lines = page.lines().filter(|line| line.starts_with("| `realtime_"));
    let said: Vec<Vec<&str>> = lines
        .map(|line| line.split('|').map(str::trim).skip(1).take(5).collect())
        .collect();
    let is: Vec<Vec<String>> = METRICS
        .iter()
        .map(|metric| {
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            vec![
                format!("`{}`", metric.name),
                format!("{:?}", metric.kind).to_lowercase(),
                match metric.unit {
                    MetricUnit::Count => String::new(),
                    unit => format!("{unit:?}").to_lowercase(),
                },
                labels.join(", "),
                metric.help.to_owned(),
            ]
        })
        .collect();
    assert_eq!(
        said, is,
        "docs/metrics.md says what the code does, in its order"
    );
}

/// All tests of this folder but those of tables, without a space.
pub(crate) fn sources() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/metrics");
    let mut tests = String::new();
    for file in fs::read_dir(folder).unwrap() {
        let file = file.unwrap();
        if file.file_name() != "table.rs" && file.file_name() != "values.rs" {
            tests += &fs::read_to_string(file.path()).unwrap();
        }
    }
    tests.split_whitespace().collect()
}

/// The arguments of a call, of which this is what stands behind its bracket.
fn arguments(behind: &str) -> Vec<&str> {
    let (mut depth, mut begun, mut arguments) = (0, 0, Vec::new());
    for (at, byte) in behind.bytes().enumerate() {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' if depth == 0 => {
                arguments.push(&behind[begun..at]);
                break;
            }
            b')' | b']' => depth -= 1,
            b',' if depth == 0 => {
                arguments.push(&behind[begun..at]);
                begun = at + 1;
            }
            _ => {}
        }
    }
    arguments.retain(|argument| !argument.is_empty());
    arguments
}

/// Which values of labels are moved is held by `values`.
#[test]
fn each_is_moved_by_a_test() {
    let tests = sources();
    let moves = |name: &str| {
        let calls = [".is(", ".at_least("].map(|call| format!("{call}\"{name}\","));
        let waited = |call: &String| {
            let mut calls = tests.split(call).skip(1);
            calls.any(|behind| !matches!(arguments(behind).last(), Some(&("0." | "0" | "0.0"))))
        };
        calls.iter().any(waited) || tests.contains(&format!(".moves(\"{name}\","))
    };
    let unmoved = METRICS.iter().filter(|metric| !moves(metric.name));
    let unmoved: Vec<_> = unmoved.map(|metric| metric.name).collect();
    assert!(unmoved.is_empty(), "{unmoved:?}");
}

#[tokio::test]
async fn whatever_is_scraped_stands_in_the_table_with_its_labels() {
    let (server, metrics) = start(builder()).await;
    let mut ann = named(&server, "ann").await;
    ann.request("echo", 1.into()).await.unwrap();
    let all = metrics.all();
    for sample in &all {
        let name = ["_bucket", "_sum", "_count"]
            .iter()
            .find_map(|end| sample.name.strip_suffix(end));
        let name = name.unwrap_or(&sample.name);
        let metric = METRICS.iter().find(|metric| metric.name == name);
        let labels = metric.unwrap_or_else(|| panic!("{name}")).labels;
        let labels: BTreeSet<_> = labels.iter().copied().chain(["gateway"]).collect();
        let has = sample.labels.keys().map(String::as_str);
        assert_eq!(
            has.filter(|label| *label != "le").collect::<BTreeSet<_>>(),
            labels,
            "{name}"
        );
        for (metrics, label, values) in VALUES {
            if *label != "route" && metrics.contains(&name) {
                let is = &*sample.labels[*label];
                assert!(values.contains(&is), "{name} {label} {is}");
            }
        }
    }
    // What hasn't happened yet is there as 0, so that the first time is seen as one.
    let told = METRICS
        .iter()
        .filter(|metric| metric.kind != MetricKind::Histogram);
    let missing = told.filter(|metric| !all.iter().any(|sample| sample.name == metric.name));
    let missing: Vec<_> = missing.map(|metric| metric.name).collect();
    assert!(missing.is_empty(), "{missing:?}");
    server.stop().await;
}
