//! JSON that says nothing twice. Two readers of a token that has a claim twice may believe another
//! one each, so it is no token.

use std::{collections::HashSet, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Map, Value};

/// Reads an object, of which no part names anything twice.
pub(crate) fn object(text: &[u8]) -> Result<Map<String, Value>, serde_json::Error> {
    serde_json::from_slice::<Unique>(text)?;
    serde_json::from_slice(text)
}

/// Any value. All that is kept of it is that it has nothing twice: what it is, `serde_json` itself
/// has to say, whose numbers depend on features that others choose.
struct Unique;

impl<'de> Deserialize<'de> for Unique {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Self)
    }
}

impl<'de> Visitor<'de> for Unique {
    type Value = Self;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self, A::Error> {
        let mut seen = HashSet::new();
        while let Some(name) = map.next_key::<String>()? {
            if !seen.insert(name) {
                return Err(A::Error::custom("a name stands twice in one object"));
            }
            map.next_value::<Self>()?;
        }
        Ok(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self, A::Error> {
        while seq.next_element::<Self>()?.is_some() {}
        Ok(self)
    }

    fn visit_bool<E>(self, _: bool) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_i64<E>(self, _: i64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_u64<E>(self, _: u64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_f64<E>(self, _: f64) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_str<E>(self, _: &str) -> Result<Self, E> {
        Ok(self)
    }

    fn visit_unit<E>(self) -> Result<Self, E> {
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use super::*;

    #[test]
    fn what_has_nothing_twice_is_read_as_ever() {
        let text = r#"{"a":[1,-2,1.5,"x",null,true,{"b":{}}],"b":{"a":1e3}}"#;
        let read = object(text.as_bytes()).unwrap();
        assert_eq!(
            Value::Object(read),
            serde_json::from_str::<Value>(text).unwrap()
        );
    }

    #[test]
    fn what_is_no_object_or_has_a_name_twice_is_refused() {
        let deep = "[".repeat(100_000);
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{"b":1,"c":2,"b":3}}"#,
            r#"{"a":[[{"b":1,"b":3}]]}"#,
            "[]",
            "1",
            "",
            "{}{}",
            "\u{feff}{}",
            r#"{"a":NaN}"#,
            &deep,
        ] {
            object(text.as_bytes()).unwrap_err();
        }
    }
}
