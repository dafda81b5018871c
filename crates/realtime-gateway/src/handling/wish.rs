//! The data of the gateway's own routes, and what a client is told whose data doesn't fit: what was
//! expected and what came instead, without a word of it.

use std::{borrow::Cow, fmt};

use realtime_core::{BoxError, ClientError, Message};
use serde::{
    Deserialize, Deserializer,
    de::{self, DeserializeOwned, DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::client_error::Mistake;

/// Up to here floating-point numbers have room for every integer.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A field that the data may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    name: &'static str,
    is: Is,
    is_needed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Is {
    Text,
    Whole,
}

/// A whole number from 0 on, however its client writes it: some have no other numbers than `9.0`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whole(pub(super) u64);

/// What stands in a field.
#[derive(Debug, Clone, Copy)]
enum Found<'d> {
    Nothing,
    Once(&'d RawValue),
    Twice,
}

impl Field {
    pub(super) const fn text(name: &'static str) -> Self {
        Self {
            name,
            is: Is::Text,
            is_needed: true,
        }
    }

    pub(super) const fn whole(name: &'static str) -> Self {
        Self {
            name,
            is: Is::Whole,
            is_needed: true,
        }
    }

    /// It may be left out, or `null`.
    pub(super) const fn or_none(self) -> Self {
        Self {
            is_needed: false,
            ..self
        }
    }

    const fn expected(self) -> &'static str {
        match (self.is, self.is_needed) {
            (Is::Text, true) => "a string",
            (Is::Text, false) => "a string, or none",
            (Is::Whole, true) => "a whole number from 0 on",
            (Is::Whole, false) => "a whole number from 0 on, or none",
        }
    }

    fn wrong(self, found: Found<'_>) -> Option<String> {
        let (name, expected) = (self.name, self.expected());
        let value = match found {
            Found::Twice => return Some(format!("expected {name:?} once; got it twice")),
            Found::Nothing if self.is_needed => {
                return Some(format!("expected {name:?} to be {expected}; there is none"));
            }
            Found::Nothing => return None,
            Found::Once(value) => value.get(),
        };
        let fits = match self.is {
            Is::Text => serde_json::from_str::<String>(value).is_ok(),
            Is::Whole => serde_json::from_str::<Whole>(value).is_ok(),
        };
        if fits || (!self.is_needed && value == "null") {
            return None;
        }
        let got = match (kind(value), self.is) {
            ("a string", Is::Text) => "another string",
            ("a number", Is::Whole) => "another number",
            (kind, _) => kind,
        };
        Some(format!("expected {name:?} to be {expected}; got {got}"))
    }
}

/// The data of a message on a route of the gateway's, which is made of these fields.
pub(super) fn decode<T: DeserializeOwned>(
    message: &Message,
    fields: &[Field],
) -> Result<T, BoxError> {
    message.decode().map_err(|_unfit| {
        let error = ClientError::new("bad_data", wrong(message, fields));
        Mistake(error).into()
    })
}

fn wrong(message: &Message, fields: &[Field]) -> String {
    let data = message.data();
    if data.is_binary() {
        return no_object(fields, "binary data");
    }
    let text = String::from_utf8_lossy(data.as_bytes());
    let mut input = serde_json::Deserializer::from_str(&text);
    let Ok(found) = Fields(fields).deserialize(&mut input) else {
        return no_object(fields, kind(text.trim_start()));
    };
    let wrong = fields
        .iter()
        .zip(found)
        .find_map(|(f, found)| f.wrong(found));
    wrong.unwrap_or_else(|| "the data does not fit what the route expects".to_owned())
}

fn no_object(fields: &[Field], got: &str) -> String {
    let needed = fields.iter().filter(|field| field.is_needed);
    let needed: Vec<_> = needed
        .map(|field| format!("{:?}, {}", field.name, field.expected()))
        .collect();
    let needed = needed.join(", and ");
    format!("expected the data to be an object with {needed}; got {got}")
}

/// Of what kind a JSON value is.
fn kind(value: &str) -> &'static str {
    match value.as_bytes().first() {
        None => "nothing",
        Some(b'"') => "a string",
        Some(b'{') => "another object",
        Some(b'[') => "an array",
        Some(b'n') => "null",
        Some(b't' | b'f') => "true or false",
        Some(_) => "a number",
    }
}

/// Finds what stands in these fields, in their order.
struct Fields<'f>(&'f [Field]);

impl<'de> DeserializeSeed<'de> for Fields<'_> {
    type Value = Vec<Found<'de>>;

    fn deserialize<D: Deserializer<'de>>(self, data: D) -> Result<Self::Value, D::Error> {
        data.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Fields<'_> {
    type Value = Vec<Found<'de>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut found = vec![Found::Nothing; self.0.len()];
        while let Some(name) = map.next_key::<Cow<'de, str>>()? {
            let at = self.0.iter().position(|field| field.name == name);
            match at.and_then(|at| found.get_mut(at)) {
                Some(slot @ Found::Nothing) => *slot = Found::Once(map.next_value()?),
                Some(slot) => {
                    map.next_value::<IgnoredAny>()?;
                    *slot = Found::Twice;
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(found)
    }
}

impl<'de> Deserialize<'de> for Whole {
    fn deserialize<D: Deserializer<'de>>(data: D) -> Result<Self, D::Error> {
        data.deserialize_u64(WholeVisitor).map(Self)
    }
}

struct WholeVisitor;

impl Visitor<'_> for WholeVisitor {
    type Value = u64;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a whole number from 0 on")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<u64, E> {
        Ok(number)
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<u64, E> {
        match number.fract() == 0.0 && (0.0..=EXACT).contains(&number) {
            true => Ok(number as u64),
            false => Err(E::invalid_value(de::Unexpected::Float(number), &self)),
        }
    }
}

#[cfg(all(test, not(realtime_loom)))]
#[allow(clippy::unwrap_used, reason = "a test fails by a panic")]
mod tests {
    use realtime_core::Payload;

    use super::*;

    const FIELDS: [Field; 3] = [
        Field::text("room"),
        Field::whole("offset"),
        Field::text("key").or_none(),
    ];

    #[derive(Debug, Deserialize)]
    #[expect(dead_code, reason = "only whether it can be read matters")]
    struct Data {
        room: String,
        offset: Whole,
        key: Option<String>,
    }

    fn said(data: Payload) -> String {
        let message = Message::new("r", data).unwrap();
        let error = decode::<Data>(&message, &FIELDS).unwrap_err();
        let told = ClientError::find_in(&*error).unwrap();
        assert_eq!(told.code(), "bad_data");
        told.message().to_owned()
    }

    #[test]
    fn what_was_expected_is_said_and_nothing_of_what_came() {
        for (data, words) in [
            (
                "",
                "an object with \"room\", a string, and \"offset\", a whole number from 0 on; got nothing",
            ),
            ("\"s3cret\"", "got a string"),
            ("[\"s3cret\"]", "got an array"),
            ("null", "got null"),
            ("7", "got a number"),
            (r#"{"offset":1}"#, "\"room\" to be a string; there is none"),
            (
                r#"{"room":null,"offset":1}"#,
                "\"room\" to be a string; got null",
            ),
            (
                r#"{"room":7,"offset":1}"#,
                "\"room\" to be a string; got a number",
            ),
            (
                r#"{"room":{},"offset":1}"#,
                "\"room\" to be a string; got another object",
            ),
            (
                r#"{"room":"\ud800","offset":1}"#,
                "\"room\" to be a string; got another string",
            ),
            (
                r#"{"room":"s3cret"}"#,
                "\"offset\" to be a whole number from 0 on; there is none",
            ),
            (r#"{"room":"s3cret","offset":"12"}"#, "got a string"),
            (r#"{"room":"s3cret","offset":-1}"#, "got another number"),
            (r#"{"room":"s3cret","offset":1.5}"#, "got another number"),
            (r#"{"room":"s3cret","offset":1e300}"#, "got another number"),
            (
                r#"{"room":"s3cret","offset":1,"key":7}"#,
                "\"key\" to be a string, or none; got a number",
            ),
            (
                r#"{"room":"a","room":"b","offset":1}"#,
                "\"room\" once; got it twice",
            ),
        ] {
            let said = said(Payload::from(data));
            assert!(
                said.starts_with("expected ") && said.contains(words),
                "{data}: {said}"
            );
            assert!(!said.contains("s3cret"), "{said}");
        }
        assert!(said(Payload::binary(vec![1])).ends_with("got binary data"));
    }

    #[test]
    fn a_whole_number_may_have_a_point() {
        for (data, offset) in [("9", 9), ("9.0", 9), ("1e3", 1_000), ("-0.0", 0)] {
            let data = format!(r#"{{"room":"a","key":null,"later":[],"offset":{data}}}"#);
            let message = Message::new("r", Payload::from(data)).unwrap();
            let Data {
                offset: Whole(read),
                ..
            } = decode(&message, &FIELDS).unwrap();
            assert_eq!(read, offset);
        }
    }
}
