//! The files beside this example, and what it says, as Prometheus itself sees them.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    collections::BTreeSet,
    fs,
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use realtime::metrics::METRICS;
use realtime_testkit::{
    client::Client,
    servers::{Process, free_port},
    wait::{DEADLINE, until, within},
};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// A file of this example.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn read(name: &str) -> String {
    fs::read_to_string(file(name)).unwrap()
}

/// What Prometheus's own tool says, in which `just setup` installs it.
fn promtool(arguments: &[&str], input: &str) -> Output {
    let mut tool = Command::new("promtool")
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, of Debian's package `prometheus`: run `just setup`");
    tool.stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    tool.wait_with_output().unwrap()
}

fn succeeds(output: &Output) {
    let said = [&output.stdout, &output.stderr].map(|said| String::from_utf8_lossy(said));
    assert!(output.status.success(), "{}", said.concat());
}

/// The example, with a client that has said something, and where its metrics are.
async fn started(name: &str) -> (Process, SocketAddr, Client) {
    let metrics = SocketAddr::from(([127, 0, 0, 1], free_port().unwrap()));
    let mut command = Command::new(env!("CARGO_BIN_EXE_metrics-example"));
    let arguments = ["--listen", "127.0.0.1:0", "--metrics", &metrics.to_string()];
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("metrics-{name}.log"));
    let mut server = Process::spawn(command.args(arguments), log).unwrap();
    let mut client = Client::connect(server.listening().await.unwrap())
        .await
        .unwrap();
    client.send("chat", json!("hi")).await.unwrap();
    assert_eq!(client.recv_json().await.unwrap()["data"], "hi");
    (server, metrics, client)
}

async fn scraped(metrics: SocketAddr) -> String {
    let mut connection = TcpStream::connect(metrics).await.unwrap();
    let request = format!("GET /metrics HTTP/1.1\r\nHost: {metrics}\r\nConnection: close\r\n\r\n");
    connection.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    within("the answer", connection.read_to_string(&mut answer))
        .await
        .unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    body.to_owned()
}

/// The metrics that a text names, as series: with the endings of histograms.
fn named(text: &str) -> BTreeSet<&str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("realtime_")).collect()
}

/// Whether there is a series of this name.
fn exists(series: &str) -> bool {
    use realtime::metrics::MetricKind::Histogram;
    let ends = ["_bucket", "_count", "_sum"];
    METRICS.iter().any(|metric| match metric.kind {
        Histogram => ends
            .iter()
            .any(|end| series.strip_suffix(end) == Some(metric.name)),
        _ => series == metric.name,
    })
}

/// All queries of the dashboard.
fn queries() -> Vec<String> {
    let dashboard: Value = serde_json::from_str(&read("dashboard.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap().iter();
    let targets = panels.flat_map(|panel| panel["targets"].as_array().cloned().unwrap_or_default());
    let queries: Vec<_> = targets
        .map(|target| target["expr"].as_str().unwrap().to_owned())
        .collect();
    assert!(queries.len() > 20);
    queries
}

#[test]
fn the_alerts_are_valid_and_fire_where_they_should() {
    succeeds(&promtool(&["check", "rules", "alerts.yml"], ""));
    succeeds(&promtool(&["check", "config", "prometheus.yml"], ""));
    succeeds(&promtool(&["test", "rules", "alerts_test.yml"], ""));
    let (rules, tests) = (read("alerts.yml"), read("alerts_test.yml"));
    for rule in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        assert!(
            tests.contains(&format!("- alertname: {rule}\n")),
            "{rule} is tested"
        );
    }
}

#[test]
fn alerts_and_dashboard_name_only_what_there_is() {
    let alerts = read("alerts.yml");
    let dashboard = queries().join("\n");
    for text in [&alerts, &dashboard] {
        let unknown: Vec<_> = named(text)
            .into_iter()
            .filter(|name| !exists(name))
            .collect();
        assert!(unknown.is_empty(), "{unknown:?}");
    }
    // What is measured is shown, but for what belongs to a closer look.
    let base = |series: &str| {
        let ends = ["_bucket", "_count", "_sum"];
        let found = ends.iter().find_map(|end| series.strip_suffix(end));
        found.unwrap_or(series).to_owned()
    };
    let shown: BTreeSet<_> = named(&dashboard).into_iter().map(base).collect();
    assert!(
        shown.len() > METRICS.len() / 2,
        "{} of {}",
        shown.len(),
        METRICS.len()
    );
}

#[tokio::test]
async fn what_is_scraped_follows_the_conventions() {
    let (_server, metrics, _client) = started("scrape").await;
    let text = scraped(metrics).await;
    succeeds(&promtool(&["check", "metrics"], &text));
    assert!(
        text.contains("\nrealtime_sessions{gateway=\"chat\"} 1\n"),
        "{text}"
    );
    let handled =
        "realtime_handler_duration_seconds_count{gateway=\"chat\",route=\"chat\",outcome=\"ok\"} 1";
    assert!(text.contains(handled), "{text}");
    for metric in METRICS {
        let (name, help) = (metric.name, metric.help);
        if text.contains(&format!("# TYPE {name} ")) {
            assert!(text.contains(&format!("# HELP {name} {help}\n")), "{name}");
        }
    }
}

#[tokio::test]
async fn prometheus_scrapes_it_and_answers_all_queries_of_the_dashboard() {
    let (_server, metrics, _client) = started("dashboard").await;
    let folder = tempfile::tempdir().unwrap();
    let config = read("prometheus.yml")
        .replace("127.0.0.1:9100", &metrics.to_string())
        .replace("10s", "1s")
        .replace("alerts.yml", file("alerts.yml").to_str().unwrap());
    fs::write(folder.path().join("prometheus.yml"), config).unwrap();
    let address = format!("127.0.0.1:{}", free_port().unwrap());
    let mut command = Command::new("prometheus");
    command.current_dir(folder.path()).args([
        "--config.file=prometheus.yml",
        "--storage.tsdb.path=data",
        &format!("--web.listen-address={address}"),
    ]);
    let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join("prometheus.log");
    let mut prometheus = Process::spawn(&mut command, log).unwrap();
    let server = format!("http://{address}");
    let ready = async |_: &Path| TcpStream::connect(&address).await.is_ok();
    prometheus.ready(DEADLINE, ready).await.unwrap();
    let ask = |query: &str| promtool(&["query", "instant", "-o", "json", &server, query], "");
    let is_there = async || {
        let answer = ask("realtime_sessions");
        answer.status.success() && String::from_utf8_lossy(&answer.stdout).contains("\"1\"")
    };
    until("the example is scraped", is_there).await;
    for query in queries() {
        let query = query
            .replace("$__rate_interval", "1m")
            .replace("$__range", "1h")
            .replace("=~\"$instance\"", "=~\".*\"")
            .replace("=~\"$gateway\"", "=~\"chat\"");
        assert!(!query.contains('$'), "{query}");
        succeeds(&ask(&query));
    }
}
