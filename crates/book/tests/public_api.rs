//! The public API of each published crate stands in its `public-api.txt`, and shows few crates of
//! others. `just public-api` writes the listings; that they are what the sources say is held by
//! `just public-api --check`, which needs a nightly toolchain.

use std::{
    collections::{BTreeMap, BTreeSet},
    error::Error,
    fs,
    path::{Path, PathBuf},
};

use realtime_book::root;

type Failure = Box<dyn Error>;

/// What each of ours may show. A new version of one that stands here is a new version of ours: so they
/// are few, and seldom move.
const EVERYWHERE: &[&str] = &[
    "alloc",
    "bytes",
    "core",
    "http",
    "serde_core",
    "std",
    "tower_layer",
    "tower_service",
];

/// What one of ours shows beside these, and why.
const EXCEPTIONS: &[Exception] = &[
    Exception {
        of: "realtime-client",
        shows: &["futures_core"],
        why: "what comes is a stream, and std has none",
    },
    Exception {
        of: "realtime-client",
        shows: &["tokio"],
        why: "its state is watched, and tests pause the clock by which it waits",
    },
    Exception {
        of: "realtime-contract",
        shows: &["schemars", "serde_json"],
        why: "a type of a route says its schema by schemars, and the document is JSON",
    },
    Exception {
        of: "realtime-core",
        shows: &["futures_core"],
        why: "a subscription is a stream, and std has none",
    },
    Exception {
        of: "realtime-core",
        shows: &["serde_json"],
        why: "claims are JSON, and a payload may be taken as it came",
    },
    Exception {
        of: "realtime-core",
        shows: &["tokio_util"],
        why: "a backend waits for the end of a subscription beside all else that it waits for",
    },
    Exception {
        of: "realtime-core",
        shows: &["tracing"],
        why: "who ties spans to traces is given the span",
    },
    Exception {
        of: "realtime-core",
        shows: &["uuid"],
        why: "the error of what should be the id of a session, and isn't",
    },
    Exception {
        of: "realtime-gateway",
        shows: &["axum_core"],
        why: "an upgrade is an extractor of axum",
    },
    Exception {
        of: "realtime-gateway",
        shows: &["futures_core"],
        why: "answers come as a stream, and std has none",
    },
    Exception {
        of: "realtime-gateway",
        shows: &["http_body", "hyper", "tokio"],
        why: "it is an HTTP service, and serves one from a listener of tokio by hyper",
    },
    Exception {
        of: "realtime-opentelemetry",
        shows: &["tracing"],
        why: "it ties spans to traces",
    },
    Exception {
        of: "realtime-redis",
        shows: &["fred", "futures_core", "rustls", "tokio"],
        why: "it is what the backends over Redis have in common, for them alone",
    },
    Exception {
        of: "realtime-testkit",
        shows: &["http_body", "hyper"],
        why: "an app under test is an HTTP service",
    },
    Exception {
        of: "realtime-testkit",
        shows: &["serde_json"],
        why: "what a test sends and expects is written by json!",
    },
    Exception {
        of: "realtime-testkit",
        shows: &["tokio"],
        why: "its clients speak over streams of any kind",
    },
];

/// Types with which a line may begin.
const PRIMITIVES: &[&str] = &[
    "bool", "char", "f32", "f64", "i128", "i16", "i32", "i64", "i8", "isize", "str", "u128", "u16",
    "u32", "u64", "u8", "usize",
];

struct Exception {
    of: &'static str,
    shows: &'static [&'static str],
    why: &'static str,
}

#[test]
fn each_published_crate_has_a_listing_and_no_other_has() -> Result<(), Failure> {
    let mut published = 0;
    for (name, folder) in crates()? {
        let listing = folder.join("public-api.txt");
        if !is_published(&folder)? {
            assert!(
                !listing.exists(),
                "{name} isn't published, and has a listing"
            );
            continue;
        }
        let listing = fs::read_to_string(listing)
            .map_err(|error| format!("{name}: {error}: run `just public-api`"))?;
        let begins = format!("pub mod {}\n", library(&name));
        assert!(
            listing.starts_with(&begins),
            "expected the listing of {name} to begin with {begins:?}: run `just public-api`"
        );
        published += 1;
    }
    assert!(published > 0, "expected crates that are published");
    Ok(())
}

#[test]
fn foreign_types_in_it_are_allowed_ones() -> Result<(), Failure> {
    let crates = crates()?;
    let ours: BTreeSet<String> = crates.keys().map(|name| library(name)).collect();
    let mut unexpected = Vec::new();
    for (name, folder) in &crates {
        if !is_published(folder)? {
            continue;
        }
        let listing = fs::read_to_string(folder.join("public-api.txt"))?;
        let shown = shown_crates(&listing);
        let exceptions = EXCEPTIONS.iter().filter(|exception| exception.of == name);
        let excepted: BTreeMap<&str, &str> = exceptions
            .flat_map(|exception| exception.shows.iter().map(|shown| (*shown, exception.why)))
            .collect();
        for (shown, line) in &shown {
            let is_allowed =
                ours.contains(*shown) || EVERYWHERE.contains(shown) || excepted.contains_key(shown);
            if !is_allowed {
                unexpected.push(format!("{name} shows {shown}: {line}"));
            }
        }
        for (foreign, why) in excepted {
            assert!(
                shown.contains_key(foreign),
                "{name} doesn't show {foreign} ({why}): take the exception away"
            );
        }
    }
    assert!(
        unexpected.is_empty(),
        "expected none but EVERYWHERE, or an exception with its reason; got\n{}",
        unexpected.join("\n")
    );
    Ok(())
}

#[test]
fn paths_are_told_by_their_first_word() {
    let listing = "pub fn a::b::C::d<T: serde_core::ser::Serialize>(&self, T::X) -> Self::Y\n\
                   impl<T> core::convert::From<<T as e::f>::G> for a::b::C\n\
                   pub fn u16::from(a::b::C) -> Self";
    let shown: Vec<&str> = shown_crates(listing).into_keys().collect();
    assert_eq!(shown, ["a", "core", "e", "serde_core"]);
}

/// The crates that a listing names, each with the first line that does.
fn shown_crates(listing: &str) -> BTreeMap<&str, &str> {
    let mut shown = BTreeMap::new();
    for line in listing.lines() {
        for (end, _) in line.match_indices("::") {
            let before = &line[..end];
            let is_of_name = |c: char| c.is_alphanumeric() || c == '_';
            let word = &before[before.trim_end_matches(is_of_name).len()..];
            let is_first = !before[..before.len() - word.len()].ends_with("::");
            // Others are parameters, `Self`, and what belongs to the language.
            let is_crate = word.starts_with(|c: char| c.is_lowercase() || c == '_');
            if is_first && is_crate && !PRIMITIVES.contains(&word) {
                shown.entry(word).or_insert(line);
            }
        }
    }
    shown
}

/// All crates, by the name of their folder, which is that of the package.
fn crates() -> Result<BTreeMap<String, PathBuf>, Failure> {
    let mut crates = BTreeMap::new();
    for entry in fs::read_dir(root().join("crates"))? {
        let entry = entry?;
        if entry.path().join("Cargo.toml").is_file() {
            let name = entry.file_name().into_string();
            crates.insert(
                name.map_err(|name| format!("{}", name.display()))?,
                entry.path(),
            );
        }
    }
    Ok(crates)
}

fn is_published(folder: &Path) -> Result<bool, Failure> {
    let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
    Ok(!manifest.lines().any(|line| line == "publish = false"))
}

fn library(package: &str) -> String {
    package.replace('-', "_")
}
