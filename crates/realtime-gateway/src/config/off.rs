//! How a count that may be switched off is written in a file: a number, or `"off"` where there is
//! to be none, as for durations.

use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(super) fn serialize<S: Serializer>(
    count: &Option<usize>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match count {
        None => serializer.serialize_str("off"),
        Some(count) => serializer.serialize_u64(*count as u64),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Count(usize),
    Text(String),
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<usize>, D::Error> {
    let expected = || D::Error::custom("expected a count, or \"off\"");
    match Option::<Written>::deserialize(deserializer).map_err(|_| expected())? {
        None => Ok(None),
        Some(Written::Count(count)) => Ok(Some(count)),
        Some(Written::Text(text)) if text == "off" => Ok(None),
        Some(Written::Text(_)) => Err(expected()),
    }
}
