//! What the pages show as a program is one that is compiled.

use std::{error::Error, fs};

use realtime_book::{Block, pages, root};

/// A block for Rust, and how.
fn is_rust(block: &Block) -> bool {
    block.info.split(',').next() == Some("rust")
}

/// Not compiled by rustdoc, so the block is a file, word for word.
fn is_a_file(block: &Block) -> bool {
    block.info.split(',').any(|word| word == "ignore") || block.info == "html"
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
fn what_rustdoc_does_not_compile_is_a_file_of_an_example() -> Result<(), Box<dyn Error>> {
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
        rust.retain(|block| is_rust(block) && !is_a_file(block));
        if rust.is_empty() {
            continue;
        }
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
