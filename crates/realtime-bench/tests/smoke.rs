//! The whole tool, with tiny loads: generator, our server, the floor, the report.

use std::{
    fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
};

use realtime_testkit::Client;
use serde_json::{Value, json};

const PROGRAM: &str = env!("CARGO_BIN_EXE_realtime-bench");

#[test]
fn everything_is_measured_and_reported() {
    let out = std::env::temp_dir().join(format!("realtime-bench-{}", std::process::id()));
    let works = "fan-out:20x128,fan-out:20x1024w16,echo:5x128w4,request:5x128w4,latency:20x128,\
                 stalled:20x1024,connect:50";
    let run = Command::new(PROGRAM)
        .args(["run", "--rounds=1", "--seconds=0.1", "--peers=realtime"])
        .args(["--only", works, "--out"])
        .arg(&out)
        .output()
        .unwrap();
    let (stdout, stderr) = (text(&run.stdout), text(&run.stderr));
    assert!(run.status.success(), "{stderr}");
    let report = fs::read_to_string(out.join("report.md")).unwrap();
    let picture = fs::read_to_string(out.join("report.svg")).unwrap();
    fs::remove_dir_all(&out).unwrap();
    assert_eq!(stdout.trim_end(), report.trim_end());

    let summary = report.lines().find(|line| line.starts_with("| **realtime**"));
    let cells: Vec<_> = summary.unwrap().split('|').skip(2).collect();
    let figures = cells.iter().filter(|cell| {
        let figure = cell.trim().trim_matches('*').parse::<f64>();
        figure.is_ok_and(|figure| figure > 0.0)
    });
    // Only a machine that is too busy for the rate may leave a figure out.
    assert!(figures.count() >= works.split(',').count() - 1, "{report}");
    assert!(!report.contains("failed"), "{report}{stderr}");
    assert_eq!(report.matches("\n## ").count(), works.split(',').count());
    assert!(picture.starts_with("<svg") && picture.trim_end().ends_with("</svg>"));
    assert!(picture.matches("class=\"best\"").count() >= 6, "{picture}");
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
