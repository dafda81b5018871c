//! The pages of this repository, and what stands in them: links, headings, blocks, commands.
//!
//! The program makes a book of `docs`; the tests hold that what its pages say is so.

mod page;
mod shell;

pub use page::{Block, Link, Page};
pub use shell::commands;

use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// Where the sources are that a reader of the book is sent to.
pub const SOURCES: &str = "https://github.com/forerunner-space/realtime-rs/blob/main/";

/// The folder of the repository.
#[must_use]
pub fn root() -> PathBuf {
    let mut root = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    root.pop();
    root.pop();
    root
}

/// All pages: those of the book first, then what stands beside the code.
///
/// # Errors
/// When one of them can't be read.
pub fn pages() -> io::Result<Vec<Page>> {
    let root = root();
    let mut pages = book()?;
    for folder in ["", ".github", "examples"] {
        pages.extend(pages_in(&root, folder)?);
    }
    for folder in ["crates", "examples"] {
        for entry in fs::read_dir(root.join(folder))? {
            let path = Path::new(folder).join(entry?.file_name());
            pages.extend(pages_in(&root, &path)?);
        }
    }
    Ok(pages)
}

/// The pages of the book, by name.
///
/// # Errors
/// When one of them can't be read.
pub fn book() -> io::Result<Vec<Page>> {
    pages_in(&root(), "docs")
}

fn pages_in(root: &Path, folder: impl AsRef<Path>) -> io::Result<Vec<Page>> {
    let mut paths = Vec::new();
    if root.join(&folder).is_dir() {
        for entry in fs::read_dir(root.join(&folder))? {
            paths.push(folder.as_ref().join(entry?.file_name()));
        }
    }
    paths.retain(|path| path.extension().is_some_and(|is| is == "md"));
    paths.sort();
    let read = |path: PathBuf| Ok(Page::new(fs::read_to_string(root.join(&path))?, path));
    paths.into_iter().map(read).collect()
}
