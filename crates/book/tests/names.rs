//! The workspace under the names that docs/releasing.md proposes: its manifests fit each other. The
//! weekly `just release-dry-run` builds it.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use realtime_book::root;
use serde_json::Value;

type Failure = Box<dyn Error>;

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

/// The manifests and the script whole, and of the rest what cargo looks for.
fn copy_to(copy: &Path) -> Result<(), Failure> {
    for name in ["Cargo.toml", "Cargo.lock"] {
        fs::copy(root().join(name), copy.join(name))?;
    }
    let mut folders: Vec<PathBuf> = [".ci", "crates", "examples"].map(PathBuf::from).into();
    while let Some(folder) = folders.pop() {
        fs::create_dir_all(copy.join(&folder))?;
        for entry in fs::read_dir(root().join(&folder))? {
            let entry = entry?;
            let (name, path) = (entry.file_name(), folder.join(entry.file_name()));
            let is_built = name == "target" || name == "node_modules";
            if entry.file_type()?.is_dir() && !is_built {
                folders.push(path);
            } else if is_read(&path) {
                fs::copy(root().join(&path), copy.join(&path))?;
            }
        }
    }
    Ok(())
}

fn is_read(path: &Path) -> bool {
    let is_source = path
        .extension()
        .is_some_and(|is| is == "rs" || is == "toml");
    is_source || path.starts_with(".ci/release")
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
