//! One page, and what Markdown says is in it.

use std::{
    collections::BTreeSet,
    ops::Range,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page in Markdown.
#[derive(Debug)]
pub struct Page {
    path: PathBuf,
    text: String,
}

/// Where a page sends its reader.
#[derive(Debug, PartialEq, Eq)]
pub struct Link {
    /// As it is written.
    pub target: String,
    /// Where in the page the whole of it stands.
    pub range: Range<usize>,
}

/// What stands between fences.
#[derive(Debug, PartialEq, Eq)]
pub struct Block {
    /// What stands on the opening fence: `rust,no_run`.
    pub info: String,
    /// The lines between.
    pub text: String,
}

impl Page {
    /// A page with this text, which stands at `path` in the repository.
    #[must_use]
    pub fn new(text: String, path: PathBuf) -> Self {
        Self { path, text }
    }

    /// Where it stands in the repository.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All of it.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its links and pictures, in order.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        let targets = self.events().filter_map(|(event, range)| match event {
            Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                let target = dest_url.into_string();
                Some(Link { target, range })
            }
            _ => None,
        });
        targets.collect()
    }

    /// Its blocks, in order.
    #[must_use]
    pub fn blocks(&self) -> Vec<Block> {
        let mut blocks = Vec::new();
        let mut open: Option<Block> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    let info = info.into_string();
                    open = Some(Block {
                        info,
                        text: String::new(),
                    });
                }
                Event::Text(text) => {
                    if let Some(block) = &mut open {
                        block.text.push_str(&text);
                    }
                }
                Event::End(TagEnd::CodeBlock) => blocks.extend(open.take()),
                _ => {}
            }
        }
        blocks
    }

    /// What stands in its sentences as code.
    #[must_use]
    pub fn words_of_code(&self) -> Vec<String> {
        let words = self.events().filter_map(|(event, _)| match event {
            Event::Code(code) => Some(code.into_string()),
            _ => None,
        });
        words.collect()
    }

    /// The names of its headings, as links have them behind a `#`.
    #[must_use]
    pub fn anchors(&self) -> BTreeSet<String> {
        let mut anchors = BTreeSet::new();
        let mut open: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => open = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut open {
                        heading.push_str(&text);
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    anchors.extend(open.take().map(|heading| anchor(&heading)));
                }
                _ => {}
            }
        }
        anchors
    }

    fn events(&self) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
        Parser::new_ext(&self.text, Options::ENABLE_TABLES).into_offset_iter()
    }
}

/// As GitHub and mdBook make it of a heading.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter_map(|c| match c {
        ' ' => Some('-'),
        '-' | '_' => Some(c),
        _ => c.is_alphanumeric().then_some(c),
    });
    kept.flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(text: &str) -> Page {
        Page::new(text.to_owned(), PathBuf::new())
    }

    #[test]
    fn headings_have_the_names_that_links_have() {
        let page = page("# `Json`, and *more*: what isn't there\n## A-b_c");
        let wanted = ["a-b_c", "json-and-more-what-isnt-there"];
        assert_eq!(page.anchors(), wanted.map(str::to_owned).into());
    }

    #[test]
    fn what_looks_like_a_link_in_code_is_none() {
        let page = page("[a](b.md) `[c](d.md)`\n```rust\n[e](f.md)\n```\n![g](h.svg)");
        let links = page.links();
        let targets: Vec<&str> = links.iter().map(|link| link.target.as_str()).collect();
        assert_eq!(targets, ["b.md", "h.svg"]);
        assert_eq!(page.text()[links[0].range.clone()], *"[a](b.md)");
        assert_eq!(page.words_of_code(), ["[c](d.md)"]);
    }

    #[test]
    fn blocks_have_their_language_and_their_lines() {
        let page = page("text\n```sh\none\ntwo\n```\n\n    indented\n");
        let text = "one\ntwo\n".to_owned();
        assert_eq!(
            page.blocks(),
            [Block {
                info: "sh".to_owned(),
                text
            }]
        );
    }
}
