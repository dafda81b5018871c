//! A preprocessor for mdBook: what a page links to outside of the book, readers find in the
//! repository. On GitHub the links are right as they are.

use std::{env, error::Error, io, path::PathBuf};

use realtime_book::{Page, SOURCES};
use serde_json::Value;

fn main() -> Result<(), Box<dyn Error>> {
    // Asked whether it has something to do with a renderer: with all of them.
    if env::args().nth(1).is_some_and(|word| word == "supports") {
        return Ok(());
    }
    let (_context, mut book): (Value, Value) = serde_json::from_reader(io::stdin().lock())?;
    in_each_chapter(&mut book, &outside_links);
    serde_json::to_writer(io::stdout().lock(), &book)?;
    Ok(())
}

fn in_each_chapter(value: &mut Value, change: &dyn Fn(&str) -> String) {
    match value {
        Value::Array(values) => {
            for value in values {
                in_each_chapter(value, change);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "content" => *text = change(text),
                    value => in_each_chapter(value, change),
                }
            }
        }
        _ => {}
    }
}

/// The same text, with what leads out of `docs` as a link to the repository.
fn outside_links(text: &str) -> String {
    let page = Page::new(text.to_owned(), PathBuf::new());
    let mut changed = text.to_owned();
    // From behind, so that places before it stay where they are.
    for link in page.links().into_iter().rev() {
        let Some(path) = link.target.strip_prefix("../") else {
            continue;
        };
        let whole = &text[link.range.clone()];
        let absolute = whole.replacen(
            &format!("]({})", link.target),
            &format!("]({SOURCES}{path})"),
            1,
        );
        changed.replace_range(link.range, &absolute);
    }
    changed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_leads_out_of_the_book_is_changed() {
        let text = "[a](../crates/x) [b](rooms.md) `[c](../d)` ![e](e.svg) [f](../g#h)";
        let wanted = format!(
            "[a]({SOURCES}crates/x) [b](rooms.md) `[c](../d)` ![e](e.svg) [f]({SOURCES}g#h)"
        );
        assert_eq!(outside_links(text), wanted);
    }
}
