//! What `cargo generate` makes of examples/quickstart is that example, in a manifest of its own. Here
//! it is made by what the guide of cargo-generate says of templates; `just quickstart` has the real one
//! make it, and builds it.

use std::{
    collections::BTreeSet,
    error::Error,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use realtime_book::{Page, SOURCES, root};
use serde_json::Value;

type Failure = Box<dyn Error>;

const EXAMPLE: &str = "examples/quickstart";
const NAME: &str = "kettle";

#[test]
fn a_service_is_the_quickstart_with_a_manifest_of_its_own() -> Result<(), Failure> {
    let service = tempfile::tempdir()?;
    let made = generate(service.path())?;
    let wanted = [
        ".gitignore",
        "Cargo.toml",
        "README.md",
        "page/index.html",
        "page/realtime-client.js",
        "src/main.rs",
    ];
    assert_eq!(made, wanted.map(PathBuf::from).into());
    for same in ["page/index.html", "page/realtime-client.js", "src/main.rs"] {
        assert_eq!(
            fs::read(service.path().join(same))?,
            fs::read(root().join(EXAMPLE).join(same))?,
            "expected {same} as it is in {EXAMPLE}: nothing stands for something else there"
        );
    }
    Ok(())
}

#[test]
fn its_manifest_names_what_the_quickstart_depends_on() -> Result<(), Failure> {
    let service = tempfile::tempdir()?;
    generate(service.path())?;
    let made = package(service.path(), NAME)?;
    let example = package(&root().join(EXAMPLE), "quickstart")?;
    for same in ["edition", "rust_version"] {
        assert_eq!(made[same], example[same], "{same}");
    }

    let (of_made, of_example) = (dependencies(&made), dependencies(&example));
    let names = |of: &[&Value]| -> BTreeSet<String> {
        of.iter().map(|one| one["name"].to_string()).collect()
    };
    assert_eq!(names(&of_made), names(&of_example));
    for one in of_made {
        let of_example = of_example.iter().find(|other| other["name"] == one["name"]);
        let of_example = of_example.ok_or("the names are the same")?;
        if one["name"] == "realtime" {
            // In a clone beside the service.
            let path = text(&one["path"])?;
            let path = path
                .split_once("realtime-rs/")
                .ok_or("expected the clone")?
                .1;
            assert!(root().join(path).join("Cargo.toml").is_file(), "{path}");
        } else {
            // `0.8` where the workspace has `0.8.4`.
            let (req, of_workspace) = (text(&one["req"])?, text(&of_example["req"])?);
            assert!(
                of_workspace.starts_with(req),
                "expected what leads to {of_workspace} of {}; got {req}",
                one["name"]
            );
        }
        assert_eq!(one["uses_default_features"], true, "{}", one["name"]);
    }
    Ok(())
}

#[test]
fn its_page_leads_to_pages_that_are_there() -> Result<(), Failure> {
    let service = tempfile::tempdir()?;
    generate(service.path())?;
    let page = fs::read_to_string(service.path().join("README.md"))?;
    let page = Page::new(page, PathBuf::from("README.md"));
    assert!(page.text().starts_with(&format!("# {NAME}\n")));
    for link in page.links() {
        let is_there = match link.target.strip_prefix(SOURCES) {
            Some(path) => root().join(path).is_file(),
            // The service itself, and the repository.
            None => [
                "http://127.0.0.1:8080",
                SOURCES.trim_end_matches("/blob/main/"),
            ]
            .contains(&link.target.as_str()),
        };
        assert!(is_there, "{} leads nowhere", link.target);
    }
    Ok(())
}

/// Makes a service of the template in an empty folder, and says of which files.
fn generate(into: &Path) -> Result<BTreeSet<PathBuf>, Failure> {
    let template = root().join(EXAMPLE);
    let settings = fs::read_to_string(template.join("cargo-generate.toml"))?;
    let (ignored, excluded) = (list(&settings, "ignore")?, list(&settings, "exclude")?);
    let mut made = BTreeSet::new();
    // Of two that have the same name there, the one with `.liquid` wins.
    let (liquid, plain): (Vec<_>, Vec<_>) = files(&template, Path::new(""))?
        .into_iter()
        .partition(|path| path.extension().is_some_and(|is| is == "liquid"));
    for path in liquid.into_iter().chain(plain) {
        let name = match path.extension() {
            Some(extension) if extension == "liquid" => path.with_extension(""),
            _ => path.clone(),
        };
        let is_left_out = name.as_os_str() == "cargo-generate.toml"
            || ignored.iter().any(|ignored| name.starts_with(ignored));
        if is_left_out || made.contains(&name) {
            continue;
        }
        fs::create_dir_all(into.join(&name).parent().ok_or("expected a file")?)?;
        let is_excluded = excluded
            .iter()
            .any(|pattern| name.starts_with(pattern.strip_suffix("/*").unwrap_or(pattern)));
        if is_excluded {
            fs::copy(template.join(&path), into.join(&name))?;
        } else {
            let text = fs::read_to_string(template.join(&path))?.replace("{{project-name}}", NAME);
            assert!(
                !text.contains("{{") && !text.contains("{%"),
                "expected no placeholder in {} but {{{{project-name}}}}",
                path.display()
            );
            fs::write(into.join(&name), text)?;
        }
        made.insert(name);
    }
    Ok(made)
}

/// A list of words in one line of the settings.
fn list(settings: &str, key: &str) -> Result<Vec<String>, Failure> {
    let lines = settings.lines().find_map(|line| {
        let list = line.strip_prefix(key)?.strip_prefix(" = [")?;
        list.strip_suffix(']')
    });
    let list = lines.ok_or_else(|| format!("expected {key} = […] in one line"))?;
    let words = list.split(", ").map(|word| word.trim_matches('"'));
    Ok(words.map(str::to_owned).collect())
}

/// The files below a folder of the template, by their path in it.
fn files(template: &Path, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let mut found = Vec::new();
    for entry in fs::read_dir(template.join(folder))? {
        let entry = entry?;
        let path = folder.join(entry.file_name());
        match entry.file_type()? {
            kind if kind.is_dir() => found.extend(files(template, &path)?),
            kind if kind.is_file() => found.push(path),
            // cargo-generate leaves links out.
            _ => return Err(format!("expected a file; got {}", path.display()).into()),
        }
    }
    Ok(found)
}

/// What cargo understands of the manifest in a folder.
fn package(folder: &Path, name: &str) -> Result<Value, Failure> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .current_dir(folder)
        .output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let metadata: Value = serde_json::from_slice(&output.stdout)?;
    let packages = metadata["packages"].as_array().ok_or("expected packages")?;
    let package = packages.iter().find(|one| one["name"] == name);
    Ok(package
        .ok_or_else(|| format!("expected a package {name}"))?
        .clone())
}

/// What its programs depend on: not its tests.
fn dependencies(package: &Value) -> Vec<&Value> {
    let all = package["dependencies"].as_array().into_iter().flatten();
    all.filter(|one| one["kind"].is_null()).collect()
}

fn text(value: &Value) -> Result<&str, Failure> {
    Ok(value
        .as_str()
        .ok_or_else(|| format!("expected text; got {value}"))?)
}
