//! The metadata of an envelope: names and strings, no more of them than is allowed.

use std::fmt;

use realtime_core::{Message, Metadata};
use serde::{
    Deserialize, Deserializer,
    de::{self, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::values::{Name, wrong};

/// Metadata that is `null` is none.
pub(super) fn metadata(value: &RawValue) -> Result<Option<Metadata>, String> {
    if value.get() == "null" {
        return Ok(None);
    }
    let expected = "an object of at most 64 strings, no name twice";
    match serde_json::from_str(value.get()) {
        Ok(Entries(metadata)) => Ok(Some(metadata)),
        Err(_) if value.get().starts_with('{') => {
            let got = match serde_json::from_str(value.get()) {
                Ok(Strings) => "got more, or one twice",
                Err(_) => "got one with a value that is not a string",
            };
            Err(format!("expected \"metadata\" to be {expected}; {got}"))
        }
        Err(_) => Err(wrong("metadata", expected, value)),
    }
}

/// Metadata, no more of it than is allowed, and no name twice.
struct Entries(Metadata);

impl<'de> Deserialize<'de> for Entries {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("metadata: names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries, A::Error> {
        let mut entries = Metadata::new();
        while let Some((name, value)) = map.next_entry::<String, String>()? {
            if entries.insert(name, value).is_some() || entries.len() > Message::MAX_METADATA {
                return Err(de::Error::custom("metadata twice, or too much of it"));
            }
        }
        Ok(Entries(entries))
    }
}

/// An object whose values are strings, whatever their names and however many.
struct Strings;

impl<'de> Deserialize<'de> for Strings {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(StringsVisitor)
    }
}

struct StringsVisitor;

impl<'de> Visitor<'de> for StringsVisitor {
    type Value = Strings;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("names and strings")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strings, A::Error> {
        while map.next_entry::<Name<'de>, Name<'de>>()?.is_some() {}
        Ok(Strings)
    }
}
