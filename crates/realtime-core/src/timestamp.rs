//! Times on the wire: RFC 3339 in UTC. In the API they are `std::time::SystemTime`.

use std::time::SystemTime;

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(crate) fn serialize<S: Serializer>(time: &SystemTime, s: S) -> Result<S::Ok, S::Error> {
    // RFC 3339 ends with the year 9999. A store may hold a lease that doesn't, and one such record
    // must not keep a list of sessions from being written.
    let nearest = || match *time < SystemTime::UNIX_EPOCH {
        true => Timestamp::MIN,
        false => Timestamp::MAX,
    };
    s.collect_str(&Timestamp::try_from(*time).unwrap_or_else(|_| nearest()))
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct At(#[serde(with = "super")] SystemTime);

    #[test]
    fn a_time_past_the_last_year_is_written_as_its_end() {
        let years = Duration::from_secs(20_000 * 366 * 86_400);
        for time in [
            SystemTime::UNIX_EPOCH + years,
            SystemTime::UNIX_EPOCH - years,
        ] {
            let written = serde_json::to_string(&At(time)).unwrap();
            assert!(written.contains("9999-"), "{written}");
            let At(read) = serde_json::from_str(&written).unwrap();
            assert_eq!(read < SystemTime::UNIX_EPOCH, time < SystemTime::UNIX_EPOCH);
        }
    }
}
