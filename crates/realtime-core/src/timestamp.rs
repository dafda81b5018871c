//! Times on the wire: RFC 3339 in UTC. In the API they are `std::time::SystemTime`.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de, ser};

pub(crate) fn serialize<S: Serializer>(time: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(&Timestamp::try_from(*time).map_err(ser::Error::custom)?)
}

pub(crate) fn deserialize<'de, D: Deserializer<'de>>(d: D) -> Result<SystemTime, D::Error> {
    let text = String::deserialize(d)?;
    text.parse::<Timestamp>()
        .map(SystemTime::from)
        .map_err(de::Error::custom)
}

/// The same for a time that may be missing.
pub(crate) mod option {
    use super::{Deserialize, Deserializer, Serialize, Serializer, SystemTime};

    #[derive(Serialize, Deserialize)]
    struct Rfc3339(#[serde(with = "super")] SystemTime);

    pub(crate) fn serialize<S: Serializer>(
        time: &Option<SystemTime>,
        s: S,
    ) -> Result<S::Ok, S::Error> {
        time.map(Rfc3339).serialize(s)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        d: D,
    ) -> Result<Option<SystemTime>, D::Error> {
        Ok(Option::<Rfc3339>::deserialize(d)?.map(|Rfc3339(time)| time))
    }
}
