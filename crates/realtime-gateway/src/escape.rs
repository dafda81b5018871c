//! How a peer's own words, and errors that may quote them, appear in logs: escaped, on one line,
//! and cut.

use std::{
    error::Error,
    fmt::{self, Write},
    panic::{AssertUnwindSafe, catch_unwind},
};

use realtime_core::{
    ClientError,
    codec::{CodecError, CodecErrorKind},
};

use crate::quiet::drop_quietly;

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

/// An error with its causes: at most 512 bytes of it, with everything that could break a line
/// escaped. What serde says of JSON may quote the data of a peer, so only the place is logged.
///
/// An error is foreign code, too: where its `Display` panics or fails, the line says so.
#[derive(Debug)]
pub struct Chain<'e>(pub &'e (dyn Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = Line {
            out: f,
            room: Some(512),
        };
        let mut between = "";
        // What serde says of a value that can't be written is the application's own words.
        let mut is_ours = false;
        for error in ClientError::__causes(self.0) {
            line.write_str(between)?;
            let encoding = |codec: &CodecError| codec.kind() == CodecErrorKind::Encode;
            is_ours |= error.downcast_ref().is_some_and(encoding);
            match error.downcast_ref::<serde_json::Error>() {
                Some(json) if is_ours && json.line() == 0 => write!(line, "{json}")?,
                Some(json) => write!(
                    line,
                    "JSON is wrong ({:?}) at line {}, column {}",
                    json.classify(),
                    json.line(),
                    json.column()
                )?,
                None => {
                    let shown = catch_unwind(AssertUnwindSafe(|| write!(line, "{error}")));
                    let shown = shown.unwrap_or_else(|panic| {
                        drop_quietly(panic);
                        Err(fmt::Error)
                    });
                    if shown.is_err() {
                        line.write_str("(an error whose text can't be made)")?;
                    }
                }
            }
            between = ": ";
        }
        Ok(())
    }
}

/// Writes as much as there is room for.
struct Line<'f, 'o> {
    out: &'f mut fmt::Formatter<'o>,
    /// `None` once something was cut.
    room: Option<usize>,
}

impl Write for Line<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for c in text.chars() {
            let Some(room) = self.room else { break };
            let plain = matches!(c, '"' | '\'' | '\\');
            let escaped = c.escape_debug();
            let length = if plain {
                1
            } else {
                escaped.len().max(c.len_utf8())
            };
            self.room = room.checked_sub(length);
            match self.room {
                None => self.out.write_char('…')?,
                Some(_) if plain => self.out.write_char(c)?,
                Some(_) => write!(self.out, "{escaped}")?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_shown_with_its_causes_on_one_line_and_cut() {
        let cause = fmt::Error;
        let error = CodecError::new(CodecErrorKind::Decode, "a \"b\"\n\x1b").with_source(cause);
        let shown = Chain(&error).to_string();
        assert_eq!(shown, format!("a \"b\"\\n\\u{{1b}}: {cause}"), "{shown}");
        let long = CodecError::new(CodecErrorKind::Decode, "ä".repeat(1000)).with_source(cause);
        assert!(Chain(&long).to_string().len() < 520);
    }

    /// Has no text, and no cause that can be asked for.
    #[derive(Debug)]
    struct Mute;

    impl fmt::Display for Mute {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("begun")?;
            std::panic::panic_any("on purpose")
        }
    }

    impl Error for Mute {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            std::panic::panic_any("on purpose")
        }
    }

    #[test]
    fn an_error_that_panics_where_it_is_shown_is_shown_all_the_same() {
        let error = CodecError::new(CodecErrorKind::Decode, "outer").with_source(Mute);
        let shown = Chain(&error).to_string();
        assert_eq!(shown, "outer: begun(an error whose text can't be made)");
    }

    #[test]
    fn the_data_that_serde_quotes_is_not_shown() {
        let json = serde_json::from_str::<u8>("\n\"s3cret\"").unwrap_err();
        assert!(json.to_string().contains("s3cret"));
        let error = CodecError::new(CodecErrorKind::Decode, "it doesn't fit").with_source(json);
        assert_eq!(
            Chain(&error).to_string(),
            "it doesn't fit: JSON is wrong (Data) at line 2, column 8"
        );
    }

    #[test]
    fn why_a_value_cannot_be_written_is_shown() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = realtime_core::Payload::json(&keys).unwrap_err();
        let shown = Chain(&error).to_string();
        assert!(shown.ends_with("as JSON: key must be a string"), "{shown}");
        // Where a text was read, the words may quote it.
        let error = realtime_core::Payload::from("\"s3cret").into_json();
        let shown = Chain(&error.unwrap_err()).to_string();
        assert!(
            !shown.contains("s3cret") && shown.contains("line 1"),
            "{shown}"
        );
    }

    #[test]
    fn it_stays_on_one_line_and_is_cut() {
        let shown = Escaped("a\r\n\x1b[31m\0\u{202e}").to_string();
        assert!(shown.chars().all(|c| c.is_ascii_graphic()), "{shown}");
        assert!(Escaped(&"ä".repeat(1000)).to_string().len() < 140);
    }
}
