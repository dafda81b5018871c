//! So many a second, and so many at once.

use serde::{Deserialize, Serialize};

/// So many a second, and so many at once: a bucket that is full at first, and into which so much
/// comes back each second.
///
/// Who keeps to the rate is never refused, and who was silent may send as much as the burst at once.
/// Very high rates let up to a tenth more through.
///
/// In a file it is `{"per_second": 20, "burst": 100}`; without `burst`, that is what comes in a
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Written")]
#[non_exhaustive]
pub struct Rate {
    /// How many a second: between 1 and [`MAX`](Self::MAX).
    pub per_second: u32,
    /// How many at once: at least 1.
    pub burst: u32,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    per_second: u32,
    burst: Option<u32>,
}

impl From<Written> for Rate {
    fn from(Written { per_second, burst }: Written) -> Self {
        let rate = Self::per_second(per_second);
        burst.map_or(rate, |burst| rate.with_burst(burst))
    }
}

impl Rate {
    /// The highest rate, a second: 100,000,000.
    pub const MAX: u32 = 100_000_000;

    /// So many a second, and as many at once.
    #[must_use]
    pub const fn per_second(count: u32) -> Self {
        Self {
            per_second: count,
            burst: count,
        }
    }

    /// So many at once.
    #[must_use]
    pub const fn with_burst(mut self, count: u32) -> Self {
        self.burst = count;
        self
    }

    pub(crate) const fn is_valid(self) -> bool {
        self.per_second >= 1 && self.per_second <= Self::MAX && self.burst >= 1
    }
}

/// A rate that may be switched off: `"off"` where there is to be none, as for durations.
pub(super) mod or_off {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::{Rate, Written as WrittenRate};

    pub(in crate::config) fn serialize<S: Serializer>(
        rate: &Option<Rate>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match rate {
            None => serializer.serialize_str("off"),
            Some(rate) => rate.serialize(serializer),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Rate(WrittenRate),
        Text(String),
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Rate>, D::Error> {
        let expected = || {
            D::Error::custom(
                "expected a rate such as {\"per_second\": 20, \"burst\": 100}, or \"off\"",
            )
        };
        match Option::<Written>::deserialize(deserializer).map_err(|_| expected())? {
            None => Ok(None),
            Some(Written::Rate(rate)) => Ok(Some(rate.into())),
            Some(Written::Text(text)) if text == "off" => Ok(None),
            Some(Written::Text(_)) => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_written_as_people_write_it() {
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        struct File {
            #[serde(with = "or_off")]
            rate: Option<Rate>,
        }
        let read = |written: &str| {
            let json = format!(r#"{{"rate": {written}}}"#);
            serde_json::from_str::<File>(&json).map(|file| file.rate)
        };
        let rows = [
            (r#"{"per_second": 20}"#, Some(Rate::per_second(20))),
            (
                r#"{"per_second": 2, "burst": 9}"#,
                Some(Rate::per_second(2).with_burst(9)),
            ),
            (r#""off""#, None),
            ("null", None),
        ];
        for (written, expected) in rows {
            assert_eq!(read(written).unwrap(), expected, "{written}");
        }
        for written in [
            "20",
            r#""fast""#,
            r#"{"burst": 5}"#,
            r#"{"per_second": 1, "bursts": 5}"#,
            r#"{"per_second": -1}"#,
        ] {
            let error = read(written).unwrap_err().to_string();
            assert!(error.starts_with("expected a rate"), "{error}");
        }
        let file = File {
            rate: Some(Rate::per_second(2).with_burst(9)),
        };
        let json = serde_json::to_string(&file).unwrap();
        assert_eq!(serde_json::from_str::<File>(&json).unwrap(), file);
    }
}
