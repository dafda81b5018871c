//! What the pages show as a program is one that is compiled.

use std::{
    error::Error,
    fs, io,
    path::{Path, PathBuf},
};

use realtime_book::{Block, pages, root};

/// A block for Rust, and how.
fn is_rust(block: &Block) -> bool {
    block.info.split(',').next() == Some("rust")
}

/// A file, word for word. rustdoc takes `rs` for something that isn't its own to compile.
fn is_a_file(block: &Block) -> bool {
    block.info == "rs" || block.info == "html"
}

/// Without what a file says of itself at its head.
fn body(file: &str) -> &str {
    let mut rest = file;
    while rest.starts_with("//!") || rest.starts_with('\n') {
        rest = rest.split_once('\n').map_or("", |(_, rest)| rest);
    }
    rest
}

#[test]
fn what_is_shown_as_a_file_is_one_of_an_example() -> Result<(), Box<dyn Error>> {
    let mut files = Vec::new();
    for path in [
        "examples/quickstart/src/main.rs",
        "examples/quickstart/page/index.html",
    ] {
        files.push(fs::read_to_string(root().join(path))?);
    }
    let mut shown = 0;
    for page in pages()? {
        for block in page.blocks().iter().filter(|block| is_a_file(block)) {
            assert!(
                files.iter().any(|file| body(file) == block.text),
                "expected a block of {} to be a file of an example, word for word; got\n{}",
                page.path().display(),
                block.text
            );
            shown += 1;
        }
    }
    assert!(
        shown >= files.len(),
        "only {shown} of {} are shown",
        files.len()
    );
    Ok(())
}

#[test]
fn rustdoc_compiles_every_page_that_has_rust() -> Result<(), Box<dyn Error>> {
    let crates = root().join("crates");
    let mut all = String::new();
    for entry in fs::read_dir(&crates)? {
        all += &fs::read_to_string(entry?.path().join("src/lib.rs")).unwrap_or_default();
    }
    for page in pages()? {
        let mut rust = page.blocks();
        rust.retain(is_rust);
        if rust.is_empty() {
            continue;
        }
        let left_out = rust.iter().filter(|block| block.info.contains("ignore"));
        assert_eq!(
            left_out.count(),
            0,
            "{} has Rust that nobody compiles",
            page.path().display()
        );
        let path = page.path().display().to_string();
        // The page of a crate is that crate's own to compile.
        let (sources, name) = match page.path().strip_prefix("crates") {
            Ok(_) => (
                fs::read_to_string(root().join(&path).with_file_name("src/lib.rs"))?,
                "/README.md",
            ),
            Err(_) => (all.clone(), path.as_str()),
        };
        assert!(
            sources.contains(&format!("{name}\")]")),
            "expected a crate to have `#[doc = include_str!(\"…{path}\")]`, since it has Rust"
        );
    }
    Ok(())
}

#[test]
fn the_book_and_the_readme_begin_with_the_same_program() -> Result<(), Box<dyn Error>> {
    let program = fs::read_to_string(root().join("examples/minimal/src/main.rs"))?;
    for path in ["README.md", "docs/quickstart.md"] {
        let page = fs::read_to_string(root().join(path))?;
        assert!(
            page.contains(body(&program)),
            "expected {path} to show examples/minimal/src/main.rs word for word; copy it there"
        );
    }
    Ok(())
}

#[test]
fn examples_are_for_those_who_depend_on_the_facade() -> Result<(), Box<dyn Error>> {
    let mut others = Vec::new();
    let mut look = |path: &Path, line: &str| {
        let names = [
            "use realtime_core",
            "use realtime_gateway",
            "use realtime_codec",
        ];
        if names.iter().any(|name| line.starts_with(name)) {
            others.push(format!("{}: {line}", path.display()));
        }
    };
    for page in pages()? {
        for block in page.blocks().iter().filter(|block| is_rust(block)) {
            block.text.lines().for_each(|line| look(page.path(), line));
        }
    }
    for entry in fs::read_dir(root().join("crates"))? {
        for path in sources(entry?.path().join("src"))? {
            let text = fs::read_to_string(&path)?;
            let docs = text.lines().filter_map(|line| {
                let line = line.trim_start();
                line.strip_prefix("/// ")
                    .or_else(|| line.strip_prefix("//! "))
            });
            docs.for_each(|line| look(&path, line.trim_start_matches("# ")));
        }
    }
    assert!(
        others.is_empty(),
        "expected `realtime`; got\n{}",
        others.join("\n")
    );
    Ok(())
}

/// The Rust files below a folder.
fn sources(folder: PathBuf) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder];
    while let Some(folder) = folders.pop() {
        if !folder.is_dir() {
            continue;
        }
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            match path.extension().is_some_and(|is| is == "rs") {
                true => found.push(path),
                false => folders.push(path),
            }
        }
    }
    Ok(found)
}
