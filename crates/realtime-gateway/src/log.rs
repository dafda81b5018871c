//! How a peer's own words appear in logs: escaped, on one line, and cut.

use std::fmt::{self, Write};

/// At most 128 bytes of a peer's text, with everything that could break a line escaped.
pub(crate) struct Escaped<'t>(pub(crate) &'t str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        let mut room = 128usize;
        for c in self.0.chars() {
            let escaped = c.escape_debug();
            let Some(left) = room.checked_sub(escaped.len().max(c.len_utf8())) else {
                f.write_char('…')?;
                break;
            };
            room = left;
            write!(f, "{escaped}")?;
        }
        f.write_char('"')
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_stays_on_one_line_and_is_cut() {
        let shown = Escaped("a\r\n\x1b[31m\0\u{202e}").to_string();
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        assert!(Escaped(&"ä".repeat(1000)).to_string().len() < 140);
    }
}
