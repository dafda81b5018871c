//! How a count that may be switched off is written in a file: a number, or `"off"` where there is
//! to be none, as for durations.

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

pub(super) fn serialize<T: Serialize, S: Serializer>(
    count: &Option<T>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match count {
        None => serializer.serialize_str("off"),
        Some(count) => count.serialize(serializer),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written<T> {
    Count(T),
    Text(String),
}

pub(super) fn deserialize<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let expected = || D::Error::custom("expected a count, or \"off\"");
    match Option::<Written<T>>::deserialize(deserializer).map_err(|_| expected())? {
        None => Ok(None),
        Some(Written::Count(count)) => Ok(Some(count)),
        Some(Written::Text(text)) if text == "off" => Ok(None),
        Some(Written::Text(_)) => Err(expected()),
    }
}
