//! Points over real sockets: for who reads at once, and for who is behind a slow link.
#![cfg(unix)]
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    fs,
    net::SocketAddr,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use realtime_testkit::{client::Client, servers::Process, wait::until};
use serde_json::{Value, json};
use tokio::time::timeout;

/// How far behind the newest point one may be that comes, in points. It is 60 or 70; with the kernel's
/// own buffers 250, and more with each second.
const BEHIND: u64 = 150;
/// The buffers on the way fill first.
const PATIENCE: Duration = Duration::from_secs(30);

/// The example, and its two addresses.
struct Dashboard {
    _process: Process,
    fast: SocketAddr,
    slow: SocketAddr,
}

impl Dashboard {
    /// Its slow link carries so many bytes a second.
    async fn start(slow: u32) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_dashboard"));
        command
            .args(["--listen", "127.0.0.1:0", "--slow-listen", "127.0.0.1:0"])
            .args(["--slow", &slow.to_string()]);
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("dashboard-{slow}.log"));
        let mut process = Process::spawn(&mut command, &log).unwrap();
        let fast = process.listening().await.unwrap();
        let mut found = None;
        until("the slow link listens", async || {
            let said = fs::read_to_string(&log).unwrap();
            let mut lines = said.lines();
            let address = lines.find_map(|line| line.strip_prefix("behind a slow link on http://"));
            found = address.and_then(|address| address.parse().ok());
            found.is_some()
        })
        .await;
        Self {
            _process: process,
            fast,
            slow: found.unwrap(),
        }
    }
}

async fn look(at: SocketAddr) -> Client {
    let mut client = Client::connect(at).await.unwrap();
    let room = json!({ "room": "fleet" });
    assert_eq!(client.request("join", room).await.unwrap()["route"], "join");
    client
}

/// The next point, and how many messages the server says to have dropped before it.
async fn next(client: &mut Client) -> (Value, u64) {
    let mut missed = 0;
    loop {
        let message = client.recv_json().await.unwrap();
        match message["route"].as_str() {
            Some("point") => return (message["data"].clone(), missed),
            Some("gap") => missed += message["data"]["missed"].as_u64().unwrap(),
            _ => {}
        }
    }
}

fn number(point: &Value) -> u64 {
    point["n"].as_u64().unwrap()
}

#[tokio::test]
async fn who_reads_at_once_has_every_point_and_the_half_minute_before() {
    let dashboard = Dashboard::start(100_000).await;
    let mut client = look(dashboard.fast).await;
    let (first, _) = next(&mut client).await;
    assert_eq!(first["loads"].as_array().unwrap().len(), 24);
    for n in number(&first) + 1..number(&first) + 45 {
        let (point, missed) = next(&mut client).await;
        assert_eq!((number(&point), missed), (n, 0));
    }
    let recent = client.request("recent", Value::Null).await.unwrap();
    let recent = recent["data"].as_array().unwrap();
    assert!(recent.len() >= 5, "{recent:?}");
    let times: Vec<_> = recent.iter().map(|moment| &moment["at"]).collect();
    for pair in times.windows(2) {
        let apart = pair[1].as_u64().unwrap() - pair[0].as_u64().unwrap();
        assert!(apart >= 200, "a coarse picture; got {times:?}");
    }
}

#[tokio::test]
async fn who_is_behind_a_slow_link_has_fewer_points_and_none_that_is_old() {
    let dashboard = Dashboard::start(3_000).await;
    let (mut fast, mut slow) = (look(dashboard.fast).await, look(dashboard.slow).await);
    let newest = AtomicU64::new(0);
    let reading = async {
        loop {
            let (point, missed) = next(&mut fast).await;
            assert_eq!(missed, 0, "nobody else is slowed down");
            newest.store(number(&point), Ordering::Relaxed);
        }
    };
    let lagging = async {
        let mut last = number(&next(&mut slow).await.0);
        let (mut told, mut points) = (0, 0);
        while told < 60 {
            let (point, missed) = next(&mut slow).await;
            let n = number(&point);
            assert_eq!(n - last - 1, missed, "each that is missing is told of");
            (last, told, points) = (n, told + missed, points + 1);
            let behind = newest.load(Ordering::Relaxed).saturating_sub(n);
            assert!(behind <= BEHIND, "{n} is {behind} behind the newest");
        }
        assert!(points > 10, "some come all the same; got {points}");
    };
    tokio::select! {
        () = reading => {}
        told = timeout(PATIENCE, lagging) => told.expect("sixty that are missed"),
    }
}

#[test]
fn a_rate_that_is_none_is_refused() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_dashboard"));
    let output = command.args(["--rate", "0"]).output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(
        !output.status.success() && said.contains("--rate"),
        "{said}"
    );
}
