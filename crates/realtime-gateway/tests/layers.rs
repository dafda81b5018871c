//! The drawing of the modules at the head of `lib.rs` is true: whatever a module names of this
//! crate stands below it. Without this, modules grow into a circle one convenient import at a time,
//! and then none of them can be tested alone.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

const LIB: &str = include_str!("../src/lib.rs");

/// The lines of the drawing, without the marks of the comment.
fn drawing() -> Vec<&'static str> {
    let head = LIB.lines().map_while(|line| {
        let text = line.strip_prefix("//!");
        text.or_else(|| line.is_empty().then_some(line))
    });
    let modules = head.skip_while(|line| line.trim() != "# Modules");
    let block = modules.skip_while(|line| line.trim() != "```text").skip(1);
    let lines = block.take_while(|line| line.trim() != "```");
    lines.map(str::trim).collect()
}

/// The row in which each module stands, counted from the top.
fn rows() -> BTreeMap<&'static str, usize> {
    let mut rows = BTreeMap::new();
    for (row, line) in drawing().into_iter().enumerate() {
        let names = line.split('─').next().unwrap_or_default();
        for name in names.split_whitespace() {
            assert_eq!(
                rows.insert(name, row),
                None,
                "`{name}` stands in it only once"
            );
        }
    }
    rows
}

/// The names that the crate's root has from its modules, and from which.
fn exports() -> BTreeMap<&'static str, &'static str> {
    let mut exports = BTreeMap::new();
    for export in LIB.split("pub use ").skip(1) {
        let export = export.split(';').next().unwrap_or_default();
        let Some((module, names)) = export.split_once("::") else {
            continue;
        };
        for name in names.split(|c: char| !is_part_of_name(c)) {
            exports.insert(name, module);
        }
    }
    exports
}

fn is_part_of_name(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// What a source names directly under `crate::`.
fn names(source: &str) -> Vec<&str> {
    let mut names = Vec::new();
    for (at, path) in source.match_indices("crate::") {
        if source[..at].ends_with(is_part_of_name) {
            continue;
        }
        let rest = &source[at + path.len()..];
        match rest.strip_prefix('{') {
            Some(tree) => names.extend(branches(tree).into_iter().map(first_name)),
            None => names.push(first_name(rest)),
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

/// The branches of a tree of imports, from behind its first brace.
fn branches(tree: &str) -> Vec<&str> {
    let (mut branches, mut depth, mut from) = (Vec::new(), 0, 0);
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            '}' => {
                branches.push(&tree[from..at]);
                break;
            }
            ',' if depth == 0 => {
                branches.push(&tree[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    branches
}

fn first_name(path: &str) -> &str {
    let path = path.trim_start();
    let end = path.find(|c| !is_part_of_name(c)).unwrap_or(path.len());
    &path[..end]
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sources(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    Ok(())
}

#[test]
fn every_module_stands_in_the_drawing_and_nothing_else_does() {
    let modules = LIB.lines().filter_map(|line| {
        let name = line.strip_prefix("mod ")?;
        name.strip_suffix(';')
    });
    let mut modules: Vec<_> = modules.collect();
    modules.sort_unstable();
    assert_eq!(rows().into_keys().collect::<Vec<_>>(), modules);
}

#[test]
fn what_a_module_names_stands_below_it() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let (rows, exports) = (rows(), exports());
    let (mut files, mut upwards) = (Vec::new(), Vec::new());
    sources(&src, &mut files).unwrap();
    let mut arrows = 0;
    for file in files {
        let path = file.strip_prefix(&src).unwrap();
        let above = path.components().next().unwrap().as_os_str();
        let above = above.to_str().unwrap().trim_end_matches(".rs");
        let Some(row) = rows.get(above) else {
            assert_eq!(above, "lib", "{} belongs to no module", path.display());
            continue;
        };
        let source = fs::read_to_string(&file).unwrap();
        let code = source.lines().map(|line| line.split("//").next().unwrap());
        let code = code.collect::<Vec<_>>().join("\n");
        for name in names(&code) {
            let below = if rows.contains_key(name) {
                name
            } else {
                // Of another crate, if of none of ours.
                match exports
                    .get(name)
                    .filter(|module| rows.contains_key(*module))
                {
                    Some(module) => module,
                    None => continue,
                }
            };
            arrows += usize::from(below != above);
            if below != above && rows[below] <= *row {
                upwards.push(format!("{} names `{below}`", path.display()));
            }
        }
    }
    assert!(
        arrows > 100,
        "only {arrows} were found: has the syntax changed?"
    );
    assert!(
        upwards.is_empty(),
        "these arrows don't point down in the drawing at the head of lib.rs: {upwards:#?}"
    );
}

#[test]
fn the_architecture_page_has_the_same_drawing() {
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/architecture.md");
    // A published crate has no such folder.
    let Ok(page) = fs::read_to_string(page) else {
        return;
    };
    let page: Vec<_> = page.lines().map(str::trim).collect();
    let drawing = drawing();
    assert!(
        page.windows(drawing.len()).any(|lines| lines == drawing),
        "copy the drawing from the head of lib.rs to docs/architecture.md"
    );
}
