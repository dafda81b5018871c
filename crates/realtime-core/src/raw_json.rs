//! The text of one JSON value: where it ends, without a look at what it says.
//!
//! serde finds that out, too, and has the last word wherever this doesn't; but it looks at each byte
//! for what it might be used for.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The text of one JSON value, for codecs: what is known to be one.
///
/// ```
/// use realtime::message::RawJson;
///
/// let (value, rest) = RawJson::first_of(r#"{"said":"hello"},"id":7"#).unwrap();
/// assert_eq!((value.get(), rest), (r#"{"said":"hello"}"#, r#","id":7"#));
/// assert!(RawJson::first_of(r#"{"said":"#).is_none());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RawJson<'t>(&'t str);

impl<'t> RawJson<'t> {
    /// The value with which a text begins, without space before it, and what is behind it; `None`
    /// where there is none, or it isn't whole.
    #[must_use]
    pub fn first_of(text: &'t str) -> Option<(Self, &'t str)> {
        let Some(behind) = behind_value(text.as_bytes()) else {
            return last_word(text);
        };
        let (value, rest) = text.split_at_checked(text.len() - behind.len())?;
        Some((Self(value), rest))
    }

    /// The text.
    #[must_use]
    pub const fn get(self) -> &'t str {
        self.0
    }
}

impl<'t> From<&'t RawValue> for RawJson<'t> {
    fn from(value: &'t RawValue) -> Self {
        Self(value.get())
    }
}

/// What is nested deeply, and what is wrong.
#[cold]
fn last_word(text: &str) -> Option<(RawJson<'_>, &str)> {
    if text.starts_with([' ', '\t', '\n', '\r']) {
        return None;
    }
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = <&RawValue>::deserialize(&mut reader).ok()?;
    Some((value.into(), text.get(value.get().len()..)?))
}

/// Which arrays and objects a place is in: a bit for each, the innermost one's last.
#[derive(Default)]
struct Nesting {
    objects: u64,
    depth: u32,
}

impl Nesting {
    fn enter(&mut self, object: bool) -> Option<()> {
        self.objects = (self.objects << 1) | u64::from(object);
        self.depth += 1;
        (self.depth <= u64::BITS).then_some(())
    }

    fn leave(&mut self) {
        self.objects >>= 1;
        self.depth -= 1;
    }

    const fn is_in_object(&self) -> bool {
        self.objects & 1 == 1
    }
}

/// What is behind the value with which a text begins. `None` where that isn't for this to say.
fn behind_value(mut text: &[u8]) -> Option<&[u8]> {
    let mut nesting = Nesting::default();
    loop {
        text = match text {
            [b'"', inside @ ..] => string(inside)?,
            [b'{', inside @ ..] => match space(inside) {
                [b'}', behind @ ..] => behind,
                inside => {
                    nesting.enter(true)?;
                    text = name(inside)?;
                    continue;
                }
            },
            [b'[', inside @ ..] => match space(inside) {
                [b']', behind @ ..] => behind,
                inside => {
                    nesting.enter(false)?;
                    text = inside;
                    continue;
                }
            },
            [b't', b'r', b'u', b'e', behind @ ..]
            | [b'f', b'a', b'l', b's', b'e', behind @ ..]
            | [b'n', b'u', b'l', b'l', behind @ ..] => behind,
            [b'-', number @ ..] | number => behind_number(number)?,
        };
        // Behind a value: the next one, or the ends of what it stands in.
        loop {
            if nesting.depth == 0 {
                return Some(text);
            }
            text = match (space(text), nesting.is_in_object()) {
                ([b',', next @ ..], true) => {
                    text = name(space(next))?;
                    break;
                }
                ([b',', next @ ..], false) => {
                    text = space(next);
                    break;
                }
                ([b'}', behind @ ..], true) | ([b']', behind @ ..], false) => {
                    nesting.leave();
                    behind
                }
                _ => return None,
            };
        }
    }
}

#[inline]
fn space(text: &[u8]) -> &[u8] {
    match text {
        // Mostly there is none.
        [b'!'..=u8::MAX, ..] => text,
        _ => behind_space(text),
    }
}

#[cold]
#[inline(never)]
fn behind_space(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t' | b'\n' | b'\r', rest @ ..] = text {
        text = rest;
    }
    text
}

/// The value that belongs to the name with which a text begins.
#[inline]
fn name(text: &[u8]) -> Option<&[u8]> {
    let [b'"', inside @ ..] = text else {
        return None;
    };
    match space(string(inside)?) {
        [b':', value @ ..] => Some(space(value)),
        _ => None,
    }
}

/// What is behind a string whose first quote has been read.
fn string(mut text: &[u8]) -> Option<&[u8]> {
    loop {
        text = match plain(text) {
            [b'"', behind @ ..] => return Some(behind),
            [
                b'\\',
                b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't',
                rest @ ..,
            ] => rest,
            [b'\\', b'u', a, b, c, d, rest @ ..] => {
                let digits = [a, b, c, d];
                digits
                    .iter()
                    .all(|digit| digit.is_ascii_hexdigit())
                    .then_some(rest)?
            }
            // Control characters have to be escaped, too.
            _ => return None,
        };
    }
}

/// What is left of a string behind what stands for itself: eight bytes at a time, as one number.
#[inline]
fn plain(mut text: &[u8]) -> &[u8] {
    while let Some((word, rest)) = text.split_first_chunk::<8>() {
        let found = ends_in(u64::from_le_bytes(*word));
        if found != 0 {
            let at = found.trailing_zeros() as usize / 8;
            return text.get(at..).unwrap_or_default();
        }
        text = rest;
    }
    while let [byte, rest @ ..] = text
        && !matches!(byte, b'"' | b'\\' | 0..b' ')
    {
        text = rest;
    }
    text
}

/// The highest bit of the first byte that is a quote, a backslash or a control character, and of no byte
/// before.
#[inline]
const fn ends_in(word: u64) -> u64 {
    const ONES: u64 = u64::MAX / 255;
    // Of bytes below 128, only those that are taken below zero get a highest bit. What they borrow from
    // is behind them.
    let quote = (word ^ (ONES * b'"' as u64)).wrapping_sub(ONES);
    let backslash = (word ^ (ONES * b'\\' as u64)).wrapping_sub(ONES);
    let control = word.wrapping_sub(ONES * b' ' as u64);
    (quote | backslash | control) & !word & (ONES << 7)
}

/// What is behind a number whose sign has been read.
fn behind_number(text: &[u8]) -> Option<&[u8]> {
    let mut text = match text {
        [b'0', b'0'..=b'9', ..] => return None,
        [b'0'..=b'9', ..] => digits(text)?,
        _ => return None,
    };
    if let [b'.', fraction @ ..] = text {
        text = digits(fraction)?;
    }
    if let [b'e' | b'E', b'+' | b'-', exponent @ ..] | [b'e' | b'E', exponent @ ..] = text {
        text = digits(exponent)?;
    }
    Some(text)
}

/// What is behind at least one digit.
#[inline]
fn digits(text: &[u8]) -> Option<&[u8]> {
    let [b'0'..=b'9', rest @ ..] = text else {
        return None;
    };
    let mut text = rest;
    while let [b'0'..=b'9', rest @ ..] = text {
        text = rest;
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Pieces of JSON, whole or not, one behind the other.
    fn texts() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "{",
            "}",
            "[",
            "]",
            ",",
            ":",
            " ",
            "\n",
            "\"",
            "\\",
            "\"a\"",
            "\"a\":",
            "\"a\":1",
            "\"ä\"",
            "\"\\n\"",
            "\"\\u00e4\"",
            "\"\\ud800\"",
            "\"\\u00g0\"",
            "\"\\x\"",
            "\"\t\"",
            "0",
            "01",
            "-",
            "-0",
            "12",
            "1.",
            "1.5",
            ".5",
            "1e",
            "1E+7",
            "1e-2",
            "true",
            "tru",
            "false",
            "null",
            "nul",
            "\"sixteen bytes and a few more\"",
            "\"sixteen bytes a\\\"nd\"",
            "[]",
            "{}",
            "\u{7f}",
        ]);
        prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
    }

    /// What makes whole values far more often.
    fn values() -> impl Strategy<Value = String> {
        let leaf = prop::sample::select(vec!["0", "-1.5e3", "\"a\\\\b\"", "\"ä\"", "true", "null"]);
        let value = leaf
            .prop_map(str::to_owned)
            .prop_recursive(6, 40, 5, |inner| {
                let inner = prop::collection::vec(inner, 0..5);
                prop_oneof![
                    inner
                        .clone()
                        .prop_map(|values| format!("[ {} ]", values.join(" ,"))),
                    inner.prop_map(|values| {
                        let fields = values.iter().map(|value| format!("\"k\" : {value}"));
                        format!("{{{}}}", fields.collect::<Vec<_>>().join(", "))
                    }),
                ]
            });
        (value, texts()).prop_map(|(value, rest)| value + &rest)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn it_finds_the_end_that_serde_finds(text in prop_oneof![texts(), values()]) {
            if let Some(behind) = behind_value(text.as_bytes()) {
                let rest = last_word(&text).map(|(_, rest)| rest.as_bytes());
                prop_assert_eq!(rest, Some(behind));
            }
        }

        #[test]
        fn what_serde_reads_it_leaves_to_nobody(text in values()) {
            let rest = last_word(&text).map(|(_, rest)| rest.as_bytes());
            prop_assert_eq!(behind_value(text.as_bytes()), rest);
        }
    }

    #[test]
    fn what_is_nested_too_deeply_is_for_serde_to_read() {
        for depth in [64, 65, 10_000] {
            let text = "[".repeat(depth) + "1" + &"]".repeat(depth);
            assert_eq!(
                behind_value(text.as_bytes()).is_some(),
                depth == 64,
                "{depth}"
            );
            let (value, rest) = RawJson::first_of(&text).unwrap();
            assert_eq!((value.get(), rest), (&*text, ""));
        }
    }

    #[test]
    fn what_is_no_value_is_none() {
        for text in [
            "",
            " 1",
            "}",
            "[1",
            "\"a",
            "tru",
            "-",
            "{\"a\"}",
            "{1:2}",
            "\"\u{1}\"",
            "[1,]",
        ] {
            assert_eq!(RawJson::first_of(text), None, "{text}");
        }
    }
}
