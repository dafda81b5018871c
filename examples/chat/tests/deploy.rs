//! The files in `deploy` say what the chat does: its variables, its port, its paths, and how long it
//! may take to end. `.ci/deploy/check` holds them to the schemas of those who read them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use realtime::Config;

/// What plain requests may take after the sessions' end, and what hangs: see docs/operations.md.
const PLAIN_REQUESTS: Duration = Duration::from_secs(5);
const WHAT_HANGS: Duration = Duration::from_secs(10);

fn read(file: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The words behind what a file has in front of them, each to the end of its line.
fn behind<'a>(text: &'a str, what: &str) -> Vec<&'a str> {
    let lines = text.lines().filter_map(|line| line.split_once(what));
    lines.map(|(_, rest)| rest.trim()).collect()
}

fn files() -> Vec<(String, String)> {
    let mut files = Vec::new();
    for folder in ["deploy", "deploy/kubernetes"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(folder);
        for file in fs::read_dir(path).unwrap() {
            let path = file.unwrap().path();
            if path.is_file() {
                let text = fs::read_to_string(&path).unwrap();
                files.push((path.display().to_string(), text));
            }
        }
    }
    files
}

/// The variables of the chat that a text names.
fn variables(text: &str) -> BTreeSet<&str> {
    let is_part = |c: char| c.is_ascii_uppercase() || c == '_';
    let words = text.split(|c: char| !is_part(c));
    let known = |word: &&str| {
        let is_url = ["BROKER", "PRESENCE", "HISTORY"].contains(&word.trim_end_matches("_URL"));
        word.starts_with("CHAT_") || is_url && word.ends_with("_URL")
    };
    words.filter(known).collect()
}

#[test]
fn every_variable_is_one_that_the_chat_reads_and_the_readme_explains() {
    let source = read("src/settings.rs");
    let (read_ones, _tests) = source.split_once("#[cfg(test)]").unwrap();
    let known = variables(read_ones);
    assert_eq!(known, variables(&read("README.md")));
    for (file, text) in files() {
        // Not a variable of the chat, but what Kubernetes would make of its service.
        let text = text.replace("CHAT_PORT", "");
        let unknown: Vec<_> = variables(&text)
            .difference(&known)
            .copied()
            .map(str::to_owned)
            .collect();
        assert!(unknown.is_empty(), "{file}: {unknown:?}");
    }
}

#[test]
fn nobody_kills_a_node_before_it_may_have_ended() {
    let config = Config::default();
    let ends = config.drain_notice.unwrap_or_default()
        + config.drain_over.unwrap()
        + config.shutdown_timeout.unwrap()
        + PLAIN_REQUESTS
        + WHAT_HANGS;
    let compose = read("deploy/compose.yaml");
    assert!(!compose.contains("CHAT_DRAIN_NOTICE"));
    let expected = format!("{}s", ends.as_secs());
    assert_eq!(behind(&compose, "stop_grace_period: "), [expected]);

    let pods = read("deploy/kubernetes/deployment.yaml");
    assert!(!pods.contains("CHAT_DRAIN_NOTICE"));
    let sleep = behind(&pods, "sleep: { seconds: ")[0].trim_end_matches(" }");
    let ends = ends + Duration::from_secs(sleep.parse().unwrap());
    let expected = ends.as_secs().to_string();
    assert_eq!(behind(&pods, "terminationGracePeriodSeconds: "), [expected]);
}

#[test]
fn everybody_means_the_same_port_and_the_same_paths() {
    let image = read("deploy/Containerfile");
    let port = behind(&image, "EXPOSE ")[0];
    assert_eq!(behind(&image, "CHAT_LISTEN="), [format!("0.0.0.0:{port}")]);
    let pods = read("deploy/kubernetes/deployment.yaml");
    assert!(pods.contains(&format!("{{ name: http, containerPort: {port} }}")));
    assert!(pods.contains(&format!("CHAT_LISTEN, value: \"0.0.0.0:{port}\"")));
    let proxy = read("deploy/nginx.conf");
    let compose = read("deploy/compose.yaml");
    let nodes = behind(&compose, "ipv4_address: ").into_iter();
    let nodes: Vec<_> = nodes
        .map(|address| format!("{address}:{port} max_fails=0;"))
        .collect();
    assert_eq!(nodes.len(), 2);
    assert_eq!(behind(&proxy, "    server "), nodes);
    // The paths of the probes are those that the chat serves, which its other tests ask.
    let main = read("src/main.rs");
    for (probe, path) in [("livenessProbe", "/livez"), ("readinessProbe", "/readyz")] {
        let (_, probe) = pods.split_once(probe).unwrap();
        assert!(
            probe
                .trim_start_matches(":\n")
                .trim_start()
                .starts_with(&format!("httpGet: {{ path: {path},"))
        );
        assert!(main.contains(&format!("route_service(\"{path}\"")));
    }
}

#[test]
fn the_image_is_built_by_the_oldest_compiler_and_asked_by_its_program() {
    let image = read("deploy/Containerfile");
    let workspace = read("../../Cargo.toml");
    let oldest = behind(&workspace, "rust-version = ")[0].trim_matches('"');
    assert_eq!(
        behind(&image, "docker.io/library/rust:"),
        [format!("{oldest}-bookworm")]
    );
    let program = behind(&image, "ENTRYPOINT [\"")[0].trim_end_matches("\"]");
    assert_eq!(
        behind(&read("deploy/compose.yaml"), "test: [CMD, ")[0],
        format!("{program}, --alive]")
    );
    assert_eq!(
        behind(&image, "CMD [\""),
        [format!("{program}\", \"--alive\"]")]
    );
}

#[test]
fn the_proxy_is_trusted_in_the_network_in_which_the_nodes_are() {
    let compose = read("deploy/compose.yaml");
    let network = behind(&compose, "subnet: ");
    assert_eq!(behind(&compose, "CHAT_TRUSTED_PROXIES: "), network);
    let prefix = network[0].trim_end_matches("0/24");
    let nodes = behind(&compose, "ipv4_address: ");
    assert_eq!(nodes.len(), 2);
    for node in nodes {
        assert!(node.starts_with(prefix), "{node} in {network:?}");
    }
}

#[test]
fn the_file_with_the_secrets_is_in_no_commit_and_in_no_image() {
    for ignored in ["../../.gitignore", "../../.dockerignore"] {
        let text = read(ignored);
        assert!(text.lines().any(|line| line == "**/.env*"), "{ignored}");
    }
}
