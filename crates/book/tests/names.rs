//! The workspace under the names that docs/releasing.md proposes: its manifests fit each other. The
//! weekly `just release-dry-run` builds it.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::Path,
    process::{Command, Output},
};

use realtime_book::root;
use serde_json::Value;

type Failure = Box<dyn Error>;

/// What is read of a package to know what it depends on.
const MANIFEST: &str = "Cargo.toml";

#[test]
fn under_free_names_the_manifests_fit_each_other() -> Result<(), Failure> {
    let renames = renames()?;
    assert!(renames.len() > 1, "expected names in docs/releasing.md");
    let copy = tempfile::tempdir()?;
    copy_to(copy.path())?;
    let before = packages(copy.path())?;
    let renamed = Command::new(copy.path().join(".ci/release/rename"))
        .args(renames.iter().map(|(old, new)| format!("{old}={new}")))
        .output()?;
    done(&renamed)?;
    let mut wanted = before;
    for (old, new) in renames {
        assert!(wanted.remove(&old), "{old} is no package");
        wanted.insert(new);
    }
    assert_eq!(packages(copy.path())?, wanted);
    Ok(())
}

/// Of the one command that the page names.
fn renames() -> Result<Vec<(String, String)>, Failure> {
    let page = fs::read_to_string(root().join("docs/releasing.md"))?;
    let mut lines = page.lines();
    let command = lines.find_map(|line| line.strip_prefix(".ci/release/rename "));
    let words = command.ok_or("expected the command")?.split(' ');
    let pair = |word: &str| {
        let (old, new) = word.split_once('=')?;
        Some((old.to_owned(), new.to_owned()))
    };
    words
        .map(|word| pair(word).ok_or_else(|| format!("expected OLD=NEW; got {word}").into()))
        .collect()
}

/// What git has of it: the manifests whole, and of the rest what cargo looks for.
fn copy_to(copy: &Path) -> Result<(), Failure> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()?;
    done(&listed)?;
    for name in String::from_utf8(listed.stdout)?.split_terminator('\0') {
        let (from, to) = (root().join(name), copy.join(name));
        let is_source = name.ends_with(".rs");
        let is_read = name.ends_with(MANIFEST) || name == "Cargo.lock" || name.starts_with(".ci/");
        if !from.exists() || !(is_source || is_read) {
            continue;
        }
        fs::create_dir_all(to.parent().ok_or("a file has a folder")?)?;
        fs::copy(from, to)?;
    }
    Ok(())
}

/// The names of those in it, where all that they depend on is found.
fn packages(workspace: &Path) -> Result<BTreeSet<String>, Failure> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--offline", "--format-version=1"])
        .current_dir(workspace)
        .output()?;
    done(&output)?;
    let all: Value = serde_json::from_slice(&output.stdout)?;
    let members = all["workspace_members"]
        .as_array()
        .ok_or("expected members")?;
    let packages = all["packages"].as_array().ok_or("expected packages")?;
    let own = packages
        .iter()
        .filter(|package| members.contains(&package["id"]));
    Ok(own
        .filter_map(|package| Some(package["name"].as_str()?.to_owned()))
        .collect())
}

fn done(output: &Output) -> Result<(), Failure> {
    match output.status.success() {
        true => Ok(()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned().into()),
    }
}
