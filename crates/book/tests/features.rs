//! The features that pages switch on are there.

use std::{collections::HashMap, error::Error, process::Command};

use realtime_book::{commands, pages, root};
use serde_json::Value;

type Failure = Box<dyn Error>;

/// A package of this repository, and what is switched on of it.
type Wanted = (String, Vec<String>);

#[test]
fn the_features_that_pages_switch_on_are_there() -> Result<(), Failure> {
    let there = features()?;
    let (mut found, mut missing) = (0, Vec::new());
    for page in pages()? {
        for block in page.blocks() {
            let wanted: Vec<Wanted> = match &*block.info {
                "toml" => block.text.lines().filter_map(of_a_manifest).collect(),
                "sh" => commands(&block.text)
                    .iter()
                    .filter_map(|c| of_a_command(c))
                    .collect(),
                _ => continue,
            };
            for (package, features) in wanted {
                // Of others' packages their own manifests say it.
                let Some(known) = there.get(&package) else {
                    continue;
                };
                found += features.len();
                for feature in features.iter().filter(|of| !known.contains(of)) {
                    missing.push(format!("{}: {package}/{feature}", page.path().display()));
                }
            }
        }
    }
    assert!(found > 8, "expected more features than {found}");
    assert!(
        missing.is_empty(),
        "features that are not there:\n{}",
        missing.join("\n")
    );
    Ok(())
}

/// `realtime = { git = "…", features = ["redis", "rustls"] }`
fn of_a_manifest(line: &str) -> Option<Wanted> {
    let (package, rest) = line.split_once(" = ")?;
    let (_, rest) = rest.split_once("features = [")?;
    let (features, _) = rest.split_once(']')?;
    let features = features
        .split(',')
        .map(|name| name.trim().trim_matches('"'));
    Some((package.to_owned(), features.map(str::to_owned).collect()))
}

/// `cargo run -p chat --features redis -- …`, or `cargo add --path ../crates/realtime --features redis`
fn of_a_command(command: &str) -> Option<Wanted> {
    let behind = |flags: &[&str]| {
        let mut words = command.split_whitespace();
        words.find(|word| flags.contains(word))?;
        words.next()
    };
    let package = behind(&["-p", "--package", "--path"])?.rsplit('/').next()?;
    let features = behind(&["-F", "--features"])?.split(',');
    Some((package.to_owned(), features.map(str::to_owned).collect()))
}

/// Of each package of this repository.
fn features() -> Result<HashMap<String, Vec<String>>, Failure> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--offline", "--format-version=1"])
        .current_dir(root())
        .output()?;
    let all: Value = serde_json::from_slice(&output.stdout)?;
    let packages = all["packages"].as_array().ok_or("expected packages")?;
    let of = |package: &Value| {
        let features = package["features"].as_object()?;
        let name = package["name"].as_str()?.to_owned();
        Some((name, features.keys().cloned().collect()))
    };
    Ok(packages.iter().filter_map(of).collect())
}
