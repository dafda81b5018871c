//! Everything that is public in the crates behind the facade can be reached through it: a program
//! depends on `realtime` alone.
#![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::{collections::BTreeSet, fs, path::Path};

/// The names behind `pub use` and `pub mod` in a crate's root.
fn public(root: &str) -> Vec<String> {
    let code = root
        .lines()
        .filter(|line| !line.trim_start().starts_with("//"));
    let code: Vec<&str> = code.collect();
    let code = code.join(" ");
    let mut names = Vec::new();
    for item in code.split(';') {
        let item = item.trim();
        if let Some((_, name)) = item.rsplit_once("pub mod ") {
            names.push(name.to_owned());
        } else if let Some((_, path)) = item.split_once("pub use ") {
            names.extend(words(path.rsplit("::").next().unwrap_or_default()));
        }
    }
    names
}

fn words(code: &str) -> impl Iterator<Item = String> {
    code.split(|c: char| !c.is_alphanumeric() && c != '_')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
}

#[test]
fn everything_public_is_reachable() {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let read = |name: &str| fs::read_to_string(crates.join(name).join("src/lib.rs")).unwrap();
    let facade: BTreeSet<String> = words(&read("realtime")).collect();
    for name in [
        "realtime-core",
        "realtime-gateway",
        "realtime-codec-json",
        "realtime-codec-msgpack",
    ] {
        let public = public(&read(name));
        assert!(!public.is_empty(), "{name} has nothing public");
        let missing: Vec<_> = public
            .iter()
            .filter(|name| !facade.contains(*name))
            .collect();
        assert!(missing.is_empty(), "of {name} the facade lacks {missing:?}");
    }
}

/// Who reads them depends on `realtime`, and could compile nothing else.
#[test]
fn examples_are_written_for_those_who_depend_on_it() {
    const BEHIND: [&str; 12] = [
        "admin",
        "auth_jwt",
        "contract",
        "core",
        "gateway",
        "codec_json",
        "broker_amqp",
        "broker_redis",
        "history_redis",
        "opentelemetry",
        "presence_redis",
        "revocation_redis",
    ];
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut folders: Vec<_> = fs::read_dir(crates)
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    let mut seen = 0;
    while let Some(path) = folders.pop() {
        let is_source = path.extension().is_some_and(|ending| ending == "rs");
        if path.is_dir() {
            if path
                .file_name()
                .is_some_and(|name| name != "target" && name != "tests")
            {
                folders.extend(fs::read_dir(&path).unwrap().map(|f| f.unwrap().path()));
            }
        } else if is_source {
            let source = fs::read_to_string(&path).unwrap();
            for line in source.lines().map(str::trim_start) {
                // What is hidden isn't read: it may stand in for what is.
                let doc = line
                    .strip_prefix("///")
                    .or_else(|| line.strip_prefix("//!"));
                let Some(doc) = doc.filter(|doc| !doc.trim_start().starts_with("# ")) else {
                    continue;
                };
                seen += 1;
                let uses = |name: &str| doc.contains(&format!("use realtime_{name}::"));
                let found = BEHIND.iter().find(|name| uses(name));
                assert_eq!(found, None, "{}: {line}", path.display());
            }
        }
    }
    assert!(seen > 1_000, "{seen} lines of documentation");
}
