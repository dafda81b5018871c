//! The whole tool, with tiny loads: generator, our server, the floor, the report.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{
    fs,
    io::{BufRead, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use realtime_testkit::client::Request;
use serde_json::json;

const PROGRAM: &str = env!("CARGO_BIN_EXE_realtime-bench");

/// A short round that has to succeed: what it prints, what it says beside, and its folder of
/// results, which is the test's to remove.
fn round(name: &str, arguments: &[&str]) -> (String, String, PathBuf) {
    let folder = format!("realtime-bench-{name}-{}", std::process::id());
    let out = std::env::temp_dir().join(folder);
    let run = Command::new(PROGRAM)
        .args(arguments)
        .args(["--rounds=1", "--seconds=0.1", "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{stderr}");
    (stdout, stderr, out)
}

#[test]
fn everything_is_measured_and_reported() {
    let works = "fan-out:20x128,fan-out:20x1024w16,echo:5x128w4,request:5x128w4,latency:20x128,\
                 stalled:20x1024,connect:50,storm:50";
    let peers = "--peers=realtime,realtime-limited";
    let (stdout, stderr, out) = round("all", &["run", peers, "--only", works]);
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    let picture = fs::read_to_string(out.join("report.svg")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    assert_eq!(stdout.trim_end(), report.trim_end());

    let summary = report
        .lines()
        .find(|line| line.starts_with("| **realtime**"));
    let cells: Vec<_> = summary.unwrap().split('|').skip(2).collect();
    let figures = cells.iter().filter(|cell| {
        let figure = cell.trim().trim_matches('*').parse::<f64>();
        figure.is_ok_and(|figure| figure > 0.0)
    });
    // Only a machine that is too busy for the rate may leave a figure out.
    assert!(figures.count() >= works.split(',').count() - 1, "{report}");
    assert!(!report.contains("failed"), "{report}{stderr}");
    let beside = report.matches("realtime-limited takes ").count();
    assert!(beside >= works.split(',').count() - 1, "{report}");
    assert_eq!(report.matches("\n## ").count(), works.split(',').count());
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    assert!(picture.matches("class=\"best\"").count() >= 6, "{picture}");
}

#[cfg(all(feature = "peers", feature = "tls"))]
#[test]
fn tls_is_measured_beside_our_plain_server() {
    let works = "fan-out:20x128,fan-out:20x20000,echo:5x128w16,connect:50,storm:50";
    let peers = "--peers=realtime,realtime-tls,axum-tls";
    let (report, stderr, out) = round("tls", &["run", peers, "--only", works]);
    fs::remove_dir_all(&out).unwrap();
    assert!(!report.contains("failed"), "{report}{stderr}");
    let count = works.split(',').count();
    assert_eq!(report.matches("realtime-tls takes ").count(), count);
    // Once in the summary, and once for each work.
    for peer in ["realtime-tls", "axum-tls"] {
        let lines = report.lines().filter(|line| {
            let name = line.split('|').nth(1);
            name.is_some_and(|name| name.trim().trim_matches('*') == peer)
        });
        assert_eq!(lines.count(), count + 1, "{report}");
    }
}

#[test]
fn rooms_are_set_beside_broadcasts_and_the_floor() {
    let works = "rooms:40x5x128,rooms:40x5x128w8,moving:20x10x128,held:300";
    let (report, _, out) = round("rooms", &["rooms", "--wait=0", "--only", works]);
    fs::remove_dir_all(&out).unwrap();
    assert_eq!(report.matches("\n## ").count() + 1, 4, "{report}");
    let lines = |start: &str| -> Vec<Vec<String>> {
        let lines = report.lines().filter(|line| line.starts_with(start));
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
        lines.map(cells).collect()
    };
    for start in ["| **the rooms**", "| with presence", "| floor, the rooms"] {
        let rows = lines(start);
        assert_eq!(rows.len(), 3, "{report}");
        for row in rows {
            let [each, per_second] = [3, 13].map(|cell: usize| row[cell].parse::<f64>().unwrap());
            assert!(each > 0.0 && per_second > 0.0, "{report}");
            let moves = row[14].parse::<f64>().unwrap();
            assert_eq!(moves > 100.0, row[2].starts_with("`moving"), "{report}");
        }
    }
    let held = [lines("| kept"), lines("| not kept")].concat();
    assert_eq!(held.len(), 2, "{report}");
    // So few rooms may take no page of memory more; a join takes time.
    assert!(
        held.iter().all(|row| row[4].parse::<f64>().unwrap() > 0.0),
        "{report}"
    );
}

#[cfg(feature = "admin")]
#[test]
fn a_node_that_somebody_looks_at_is_set_beside_one_that_nobody_does() {
    let works = "latency:20x128,rooms:20x5x128";
    let run = Command::new(PROGRAM)
        .args(["watched", "--rounds=1", "--seconds=3", "--only", works])
        .output()
        .unwrap();
    let (report, stderr) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{stderr}");
    let cells = |start: &str| -> Vec<Vec<String>> {
        let lines = report.lines().filter(|line| line.starts_with(start));
        let cells = |line: &str| line.split('|').map(|cell| cell.trim().to_owned()).collect();
        lines.map(cells).collect()
    };
    for start in ["| nobody ", "| a page |", "| a page that searches |"] {
        let rows = cells(start);
        assert_eq!(rows.len(), 2, "{report}");
        for row in rows {
            let cpu = row[2].trim_end_matches(" % of a core").parse::<f64>();
            assert!(cpu.unwrap() > 0.0, "{report}");
        }
    }
    for route in ["node", "sessions", "rooms"] {
        for who in ["a page |", "a page that searches |"] {
            let rows = cells(&format!("| `{route}` for {who}"));
            assert_eq!(rows.len(), 2, "{report}");
            let bytes = rows.iter().map(|row| row[2].parse::<usize>().unwrap());
            assert!(bytes.min() > Some(20), "{report}");
        }
    }
}

/// Killed when the test ends.
struct Server(Child, String);

impl Server {
    fn start(options: &[&str]) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let output = child.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on http://").unwrap();
        Self(child, address.to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn our_server_echoes_broadcasts_and_sends() {
    let server = Server::start(&[
        "--token",
        "s3cret",
        "--heartbeat",
        "off",
        "--broker",
        "local:",
    ]);
    let address = server.1.parse().unwrap();
    let client = async |identity: &str| {
        let path = format!("/ws?token=s3cret&tenant=acme&identity={identity}");
        let mut client = Request::new(path).connect(address).await.unwrap();
        // The upgrade is answered before the session gets broadcasts.
        let echo = client.request("echo", json!("hi")).await.unwrap();
        assert_eq!(echo["data"], "hi");
        client
    };
    let (mut ada, mut bob) = (client("ada").await, client("bob").await);

    ada.send("echo", json!([1])).await.unwrap();
    let echoed = json!({"route": "echo", "data": [1]});
    assert_eq!(ada.recv_json().await.unwrap(), echoed);

    ada.send("broadcast", json!("all")).await.unwrap();
    let broadcast = json!({"route": "broadcast", "data": "all"});
    assert_eq!(ada.recv_json().await.unwrap(), broadcast);
    assert_eq!(bob.recv_json().await.unwrap(), broadcast);

    let to = |identity: &str| json!({"tenant": "acme", "identity": identity, "data": 7});
    ada.send("send", to("bob")).await.unwrap();
    let sent = json!({"route": "send", "data": 7});
    assert_eq!(bob.recv_json().await.unwrap(), sent);
    let nobody = ada.request("send", to("eve")).await.unwrap();
    assert_eq!(nobody["data"]["code"], "not_online", "{nobody}");

    let refused = Request::new("/ws?token=wrong").refused(address).await;
    assert_eq!(refused.status, 401);
}

#[cfg(feature = "full")]
#[test]
fn a_room_survives_flapping_links_and_an_avalanche() {
    for (work, nodes) in [
        (
            &["flapping", "--clients=20", "--seconds=4", "--rate=50"][..],
            1,
        ),
        (
            &[
                "flapping",
                "--clients=20",
                "--seconds=4",
                "--rate=50",
                "--nodes=2",
            ],
            2,
        ),
        (&["avalanche", "--clients=100"], 1),
    ] {
        let run = Command::new(PROGRAM).args(work).output().unwrap();
        let (stdout, stderr) = (text(&run.stdout), text(&run.stderr));
        assert!(run.status.success(), "{work:?}: {stdout}{stderr}");
        let report: serde_json::Value =
            serde_json::from_str(stdout.lines().last().unwrap()).unwrap();
        assert_eq!(report["nodes"], nodes, "{stdout}");
        let [clients, sent] = ["clients", "sent"].map(|name| report[name].as_u64().unwrap());
        assert_eq!(report["deliveries"], clients * sent, "{stdout}");
        assert!(report["recovered"].as_u64().unwrap() >= 20, "{stdout}");
        assert!(
            report["recovered_after"]["max"].as_f64().unwrap() > 0.0,
            "{stdout}"
        );
    }
}

#[test]
fn what_is_wrong_is_said() {
    let fails = |arguments: &[&str]| {
        let output = Command::new(PROGRAM).args(arguments).output().unwrap();
        assert!(!output.status.success());
        text(&output.stderr)
    };
    assert!(fails(&["run", "--peers", "nobody"]).contains("expected one of realtime"));
    assert!(fails(&["run", "--only", "fan-out:1"]).contains("expected fan-out:NxP"));
    assert!(fails(&["run", "--only", "held:1"]).contains("realtime-bench rooms"));
    assert!(fails(&["rooms", "--only", "echo:1x1"]).contains("expected rooms:RxMxPwW"));
    let local = ["--listen", "127.0.0.1:0"];
    let broker = fails(&[&["serve", "--broker", "carrier-pigeon:"], &local[..]].concat());
    assert!(broker.contains("carrier-pigeon"), "{broker}");
    let load = [
        "load",
        "--to",
        "127.0.0.1:1",
        "--pid",
        "1",
        "--work",
        "echo:1x1",
    ];
    assert!(fails(&load).contains("refused"));
}
