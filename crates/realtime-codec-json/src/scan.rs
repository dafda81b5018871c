//! The short way through an envelope, for the shape that nearly all of them have.
//!
//! Names without escapes, no metadata, no unknown field: that is read with a few comparisons.
//! Anything else, and anything wrong, is left to serde, which has the last word. Both ways give
//! the same result; a property test holds them to it.

use realtime_core::{Message, Payload, RawJson, Text};

/// The parts of a plain envelope, borrowed from its text.
#[derive(Debug, Default)]
pub(crate) struct Plain<'t> {
    pub(crate) id: Option<&'t str>,
    pub(crate) route: Option<&'t str>,
    pub(crate) data: Option<RawJson<'t>>,
}

impl Plain<'_> {
    /// The message, which shares the text's buffer.
    pub(crate) fn into_message(self, text: &Text) -> Message {
        let route = self
            .route
            .map_or_else(Text::new, |route| text.slice_ref(route));
        let data = self
            .data
            .map_or_else(Payload::empty, |data| Payload::received(data, text));
        let id = self.id.map(|id| text.slice_ref(id).into());
        Message::plain(id, route, data)
    }
}

/// Reads a plain envelope; `None` for any other text.
pub(crate) fn scan(text: &str) -> Option<Plain<'_>> {
    let mut plain = Plain::default();
    let mut rest = skip_space(text).strip_prefix('{')?;
    if let Some(end) = skip_space(rest).strip_prefix('}') {
        return skip_space(end).is_empty().then_some(plain);
    }
    loop {
        rest = skip_space(rest);
        let (twice, behind) = if let Some(behind) = rest.strip_prefix(r#""id""#) {
            let (id, behind) = name(value(behind)?)?;
            (plain.id.replace(id).is_some(), behind)
        } else if let Some(behind) = rest.strip_prefix(r#""route""#) {
            let (route, behind) = name(value(behind)?)?;
            (plain.route.replace(route).is_some(), behind)
        } else {
            let (data, behind) = RawJson::first_of(value(rest.strip_prefix(r#""data""#)?)?)?;
            (plain.data.replace(data).is_some(), behind)
        };
        if twice {
            return None;
        }
        rest = skip_space(behind);
        if let Some(more) = rest.strip_prefix(',') {
            rest = more;
        } else {
            let end = rest.strip_prefix('}')?;
            return skip_space(end).is_empty().then_some(plain);
        }
    }
}

fn skip_space(text: &str) -> &str {
    // Mostly there is none.
    match text.as_bytes() {
        [b'!'..=u8::MAX, ..] => text,
        _ => text.trim_start_matches([' ', '\t', '\n', '\r']),
    }
}

/// What follows the name of a field: a colon, and then its value.
fn value(text: &str) -> Option<&str> {
    Some(skip_space(skip_space(text).strip_prefix(':')?))
}

/// A string at the beginning of a text, and what is behind it. Only one without escapes, and no
/// longer than a name may be.
fn name(text: &str) -> Option<(&str, &str)> {
    let inside = text.strip_prefix('"')?;
    let ends = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    let end = inside.as_bytes().iter().position(ends)?;
    let (name, behind) = inside.split_at_checked(end.min(Message::MAX_NAME_BYTES))?;
    Some((name, behind.strip_prefix('"')?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_envelopes_are_read_in_any_order_and_with_any_space() {
        let parts = |text| {
            let Plain { id, route, data } = scan(text)?;
            Some((id, route, data.map(RawJson::get)))
        };
        let expected = (Some("7"), Some("chat"), Some(r#"{"a":[1,"}"]}"#));
        for text in [
            r#"{"id":"7","route":"chat","data":{"a":[1,"}"]}}"#,
            "\n{ \"data\" : {\"a\":[1,\"}\"]} ,\t\"route\":\"chat\" , \"id\" :\r\"7\" } ",
        ] {
            assert_eq!(parts(text), Some(expected), "{text}");
        }
        assert_eq!(parts(" { } "), Some((None, None, None)));
    }

    #[test]
    fn everything_else_is_left_to_serde() {
        for text in [
            "",
            "[]",
            "{",
            "{}x",
            r#"{"id":7}"#,
            r#"{"id":"\u0037"}"#,
            "{\"id\":\"\n\"}",
            r#"{"id":"7","id":"7"}"#,
            r#"{"route":"a",}"#,
            r#"{"data":tru}"#,
            r#"{"data":1 2}"#,
            r#"{"metadata":{}}"#,
            r#"{"unknown":1}"#,
            r#"{"route":"a"}}"#,
            r#"{"route":null}"#,
            &format!(
                r#"{{"route":"{}"}}"#,
                "x".repeat(Message::MAX_NAME_BYTES + 1)
            ),
        ] {
            assert!(scan(text).is_none(), "{text}");
        }
        let longest = "x".repeat(Message::MAX_NAME_BYTES);
        let text = format!(r#"{{"route":"{longest}"}}"#);
        assert_eq!(scan(&text).unwrap().route, Some(&*longest));
    }
}
