//! What was added to the shop is as little as its README says.

use std::{error::Error, fs, path::Path};

/// Lines that do something.
fn lines(text: &str) -> usize {
    let lines = text.lines().map(str::trim);
    let code = lines.filter(|line| !line.is_empty() && !line.starts_with("//"));
    code.count()
}

#[test]
fn the_readme_counts_right() -> Result<(), Box<dyn Error>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path));
    let mut marked = 0;
    for folder in ["src", "page"] {
        for entry in fs::read_dir(root.join(folder))? {
            let text = fs::read_to_string(entry?.path())?;
            let code = text.lines().filter(|line| !line.starts_with("//"));
            marked += code.filter(|line| line.contains("// realtime")).count();
        }
    }
    let counted = format!(
        "{} lines of Rust in [`live.rs`](src/live.rs), {} of JavaScript in \
         [`live.js`](page/live.js), and {marked} lines elsewhere",
        lines(&read("src/live.rs")?),
        lines(&read("page/live.js")?)
    );
    assert!(
        read("README.md")?.contains(&counted),
        "expected the README to say: {counted}"
    );
    Ok(())
}
