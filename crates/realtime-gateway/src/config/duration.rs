//! How durations are written in a file: `"30s"`, `"1m 30s"`, `"500ms"`, a number of seconds, or
//! `"off"` where there is to be none, since some formats have no null.

use std::time::Duration;

use jiff::SignedDuration;
use serde::{Deserialize, Deserializer, Serializer, de::Error};

pub(super) fn serialize<S: Serializer>(
    duration: &Option<Duration>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match duration.map(SignedDuration::try_from) {
        None => serializer.serialize_str("off"),
        Some(Ok(duration)) => serializer.serialize_str(&format!("{duration:#}")),
        Some(Err(error)) => Err(serde::ser::Error::custom(error)),
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Written {
    Seconds(f64),
    Text(String),
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Duration>, D::Error> {
    let expected =
        || D::Error::custom("expected a duration such as \"30s\", a number of seconds, or \"off\"");
    match Option::<Written>::deserialize(deserializer).map_err(|_| expected())? {
        None => Ok(None),
        Some(Written::Seconds(seconds)) => {
            let duration = Duration::try_from_secs_f64(seconds);
            duration.map(Some).map_err(|_| expected())
        }
        Some(Written::Text(text)) if text == "off" => Ok(None),
        Some(Written::Text(text)) => {
            let duration: SignedDuration = text.parse().map_err(|_| expected())?;
            duration.try_into().map(Some).map_err(|_| expected())
        }
    }
}

/// The same for one that there must be.
pub(super) mod required {
    use super::{Deserializer, Duration, Error, Serializer};

    pub(in crate::config) fn serialize<S: Serializer>(
        duration: &Duration,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        super::serialize(&Some(*duration), serializer)
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Duration, D::Error> {
        super::deserialize(deserializer)?.ok_or_else(|| {
            D::Error::custom("expected a duration, which can't be switched off; got \"off\"")
        })
    }
}
