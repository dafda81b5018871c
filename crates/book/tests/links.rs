//! Every link leads somewhere, and every page of the book is found.

use std::{collections::BTreeSet, error::Error, fs, path::Path};

use realtime_book::{Page, SOURCES, book, pages, root};

/// What is on the public registry under our names is not ours.
const SOMEBODY_ELSES: [&str; 3] = [
    "docs.rs/realtime",
    "crates.io/crates/realtime",
    "lib.rs/crates/realtime",
];

#[test]
fn every_link_leads_somewhere() -> Result<(), Box<dyn Error>> {
    let root = root();
    let mut dead = Vec::new();
    for page in pages()? {
        for link in page.links() {
            if let Err(why) = follow(&root, &page, &link.target) {
                dead.push(format!("{}: {}: {why}", page.path().display(), link.target));
            }
        }
    }
    assert!(
        dead.is_empty(),
        "links that lead nowhere:\n{}",
        dead.join("\n")
    );
    Ok(())
}

/// Links into this repository are followed, and others are somebody else's.
fn follow(root: &Path, page: &Page, target: &str) -> Result<(), String> {
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let of_sources = path
        .strip_prefix(SOURCES)
        .or_else(|| path.strip_prefix(&SOURCES.replace("/blob/", "/tree/")));
    let found = match of_sources {
        Some(path) => root.join(path),
        // The name is taken there, until ours are published.
        None if SOMEBODY_ELSES.iter().any(|of| path.contains(of)) => {
            return Err("that is somebody else's crate".to_owned());
        }
        None if path.contains("://") || path.starts_with("mailto:") => return Ok(()),
        None if path.is_empty() => root.join(page.path()),
        None => root.join(page.path()).with_file_name("").join(path),
    };
    if !found.exists() {
        return Err("there is no such file".to_owned());
    }
    if anchor.is_empty() {
        return Ok(());
    }
    let text = fs::read_to_string(&found).map_err(|error| error.to_string())?;
    match Page::new(text, found).anchors().contains(anchor) {
        true => Ok(()),
        false => Err("the page has no such heading".to_owned()),
    }
}

#[test]
fn the_summary_names_every_page_of_the_book_once() -> Result<(), Box<dyn Error>> {
    let pages = book()?;
    let (summary, pages): (Vec<_>, Vec<_>) = pages
        .iter()
        .partition(|page| page.path().ends_with("SUMMARY.md"));
    let named: Vec<String> = summary
        .iter()
        .flat_map(|page| page.links())
        .map(|link| format!("docs/{}", link.target))
        .collect();
    let once: BTreeSet<String> = named.iter().cloned().collect();
    assert_eq!(once.len(), named.len(), "a page is named twice");
    let there = pages.iter().map(|page| page.path().display().to_string());
    assert_eq!(once, there.collect());
    Ok(())
}
