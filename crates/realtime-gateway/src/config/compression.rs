//! How messages are compressed.

use serde::{Deserialize, Serialize};

use super::off;
use crate::{BuildError, BuildErrorKind, Config};

/// What a session holds whose client refers to its messages before.
const INFLATER: usize = 56 * 1024;

/// How messages are compressed (`permessage-deflate`, RFC 7692) with clients that offer it, as
/// browsers do. It takes nothing on their side: pages see the messages that they always saw.
///
/// What is sent to many is compressed once for all of them, and answers for their session alone; a request of
/// the server to many is not, since each of them gets one with an id of its own. No
/// message that the gateway sends refers to one before it, so an idle session holds no window, and
/// a compressor is there for as many threads as compress at the same time: 380 KB each. What
/// clients send is inflated where it is read, by one inflater for each thread, 56 KB.
///
/// **It never refers to what it has sent before**, and no option changes that. A message that does is for
/// one session alone, so a broadcast would be compressed for each that gets it, and each would hold a
/// compressor: 380 KB, and more work for a thousand sessions than a thousand messages are worth. What
/// it would save is on short messages that are like each other, and those are rarely as long as the
/// [`floor`](Self::floor).
///
/// [`Config::read_limit`](crate::Config::read_limit) is that of the message and holds while it is
/// inflated. Queues count what is written, which is compressed.
///
/// **Secrets:** how long a compressed message is says something of what is in it. Where a secret and
/// something that another user has chosen stand in one message, name its route among
/// [`plain_routes`](Self::plain_routes).
///
/// ```
/// use realtime::{Config, config::{Compression, CompressionLevel}};
///
/// let read: Config = serde_json::from_str(
///     r#"{"compression": {"level": "small", "plain_routes": ["secrets.*"]}}"#,
/// )?;
/// let compression = read.compression.unwrap_or_default();
/// assert_eq!((compression.level, compression.floor), (CompressionLevel::Small, 512));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Compression {
    /// How hard it is tried. Default: [`Balanced`](CompressionLevel::Balanced).
    pub level: CompressionLevel,
    /// From how many bytes on a message is compressed: shorter ones gain nothing. Default 512.
    pub floor: usize,
    /// How many times as large as what was sent for it a message of a client may be, once it has more
    /// than 64 KiB: past it the session is closed with 1008. Between 16 and 1,032, which is the most
    /// that there can be. `None`: any number. Default 256.
    #[serde(with = "off")]
    pub max_ratio: Option<u32>,
    /// How far back within a message the gateway refers, as a power of two: 9, which is 512 bytes, to
    /// 15, which is 32 KiB. Clients need as much memory to read it. Who asks for less is sent all plain,
    /// since one frame is for all. Default 15.
    pub window_bits: u8,
    /// Whether a client may refer to its messages before, which is worth it for short ones that are
    /// like each other. Each session that has sent a compressed message then holds an inflater, 56 KB,
    /// which counts for [`Config::assembly_budget`](crate::Config::assembly_budget): half of that must
    /// hold one for each of [`max_connections`](crate::Config::max_connections), or `build()` fails. It
    /// fails, too, together with [`token_in_message`](crate::Config::token_in_message): what has come
    /// before the session is no part of it. Default: no.
    pub receive_takeover: bool,
    /// The routes of messages that are never compressed, whoever sends them and be they answers: a
    /// route, or the beginning of some with `*` behind it. Default: none.
    pub plain_routes: Vec<String>,
}

impl Default for Compression {
    fn default() -> Self {
        Self {
            level: CompressionLevel::default(),
            floor: 512,
            max_ratio: Some(256),
            window_bits: 15,
            receive_takeover: false,
            plain_routes: Vec::new(),
        }
    }
}

/// How hard it is tried to make messages small.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum CompressionLevel {
    /// A third of the time, and what comes out is a third to a half larger.
    Fast,
    /// In between.
    #[default]
    Balanced,
    /// Up to half as much time again, and what comes out is rarely smaller.
    Small,
}

impl Compression {
    /// A session that does nothing wrong must not be closed for the inflater that it holds.
    pub(super) fn check_takeover(&self, config: &Config) -> Result<(), BuildError> {
        if !self.receive_takeover {
            return Ok(());
        }
        let refused = |got: String| Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        if config.token_in_message.is_some() {
            return refused(
                "compression.receive_takeover must be off with token_in_message, since what has come \
                 before the session is no part of it; got both: keep the one that is meant"
                    .to_owned(),
            );
        }
        // 0 is no limit, too.
        let Some(sessions) = config.max_connections.filter(|most| *most > 0) else {
            return refused(
                "compression.receive_takeover must be off without max_connections, since each session \
                 may hold an inflater; got both"
                    .to_owned(),
            );
        };
        let least = sessions.saturating_mul(2 * INFLATER);
        if config.assembly_budget < least {
            return refused(format!(
                "compression.receive_takeover must be off, or half of assembly_budget hold an inflater \
                 of {INFLATER} bytes for each of max_connections: with {sessions} it must be at least \
                 {least}; got {}",
                config.assembly_budget
            ));
        }
        Ok(())
    }

    pub(super) fn check_ranges(&self) -> Result<(), BuildError> {
        let refused = |got: String| Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        if !(1..=isize::MAX as usize).contains(&self.floor) {
            let got = self.floor;
            return refused(format!(
                "compression.floor must be between 1 and isize::MAX; got {got}"
            ));
        }
        if let Some(ratio) = self.max_ratio
            && !(16..=1_032).contains(&ratio)
        {
            return refused(format!(
                "compression.max_ratio must be between 16 and 1,032, or None (in a file \"off\") for \
                 no limit but that of messages; got {ratio}"
            ));
        }
        if !(9..=15).contains(&self.window_bits) {
            let got = self.window_bits;
            return refused(format!(
                "compression.window_bits must be between 9 (512 bytes) and 15 (32 KiB); got {got}"
            ));
        }
        let is_route = |route: &&String| {
            let text = route.strip_suffix('*').unwrap_or(route);
            !route.is_empty() && !text.contains('*')
        };
        if let Some(route) = self.plain_routes.iter().find(|route| !is_route(route)) {
            return refused(format!(
                "compression.plain_routes: expected a route, or the beginning of some with `*` \
                 behind it; got {route:?}"
            ));
        }
        Ok(())
    }
}

/// How it is written in a file: its fields, or `"off"`.
pub(super) mod or_off {
    use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};

    use super::Compression;

    pub(in crate::config) fn serialize<S: Serializer>(
        compression: &Option<Compression>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        match compression {
            None => serializer.serialize_str("off"),
            Some(compression) => compression.serialize(serializer),
        }
    }

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Off(String),
        On(serde_json::Value),
    }

    pub(in crate::config) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Compression>, D::Error> {
        match Option::<Written>::deserialize(deserializer)? {
            None => Ok(None),
            Some(Written::Off(text)) if text == "off" => Ok(None),
            Some(Written::Off(text)) => Err(D::Error::custom(format!(
                "expected the fields of `compression`, or \"off\"; got {text:?}"
            ))),
            Some(Written::On(fields)) => Compression::deserialize(fields)
                .map(Some)
                .map_err(D::Error::custom),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn it_is_off_and_written_as_such() {
        let config = Config::default();
        assert_eq!(config.compression, None);
        let json = serde_json::to_string(&config).unwrap();
        assert!(json.contains(r#""compression":"off""#), "{json}");
        assert_eq!(serde_json::from_str::<Config>(&json).unwrap(), config);
    }

    #[test]
    fn it_is_read_from_a_file_with_defaults_for_the_rest() {
        let read = |written: &str| {
            let json = format!(r#"{{"compression": {written}}}"#);
            serde_json::from_str::<Config>(&json).map(|config| config.compression)
        };
        assert_eq!(read("{}").unwrap(), Some(Compression::default()));
        assert_eq!(read("null").unwrap(), None);
        let some = read(r#"{"level": "fast", "max_ratio": "off"}"#).unwrap();
        let some = some.unwrap();
        assert_eq!((some.level, some.max_ratio), (CompressionLevel::Fast, None));
        let error = read(r#"{"levle": "fast"}"#).unwrap_err().to_string();
        assert!(
            error.contains("levle") && error.contains("level"),
            "{error}"
        );
        assert!(read(r#""on""#).unwrap_err().to_string().contains("off"));
    }

    #[test]
    fn who_may_hold_an_inflater_is_not_closed_for_it() {
        let compression = Compression {
            receive_takeover: true,
            ..Compression::default()
        };
        let config = Config {
            max_connections: Some(8),
            assembly_budget: 8 * 2 * INFLATER,
            read_limit: 64 * 1024,
            compression: Some(compression),
            ..Config::default()
        };
        config.check_ranges().unwrap();
        type Wrong = fn(&mut Config);
        let rows: [(&str, Wrong); 4] = [
            ("assembly_budget", |c| c.max_connections = Some(9)),
            ("max_connections", |c| c.max_connections = None),
            ("max_connections", |c| c.max_connections = Some(0)),
            ("token_in_message", |c| {
                c.token_in_message = Some(std::time::Duration::from_secs(1));
            }),
        ];
        for (name, wrong) in rows {
            let mut config = config.clone();
            wrong(&mut config);
            let error = config.check_ranges().unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
            assert!(error.to_string().contains(name), "{error}");
        }
    }

    #[test]
    fn nonsense_is_refused_by_name() {
        type Wrong = fn(&mut Compression);
        let rows: [(&str, Wrong); 6] = [
            ("floor", |c| c.floor = 0),
            ("max_ratio", |c| c.max_ratio = Some(15)),
            ("max_ratio", |c| c.max_ratio = Some(1_033)),
            ("window_bits", |c| c.window_bits = 8),
            ("window_bits", |c| c.window_bits = 16),
            ("plain_routes", |c| c.plain_routes = vec!["a*b".to_owned()]),
        ];
        for (name, wrong) in rows {
            let mut compression = Compression::default();
            compression.check_ranges().unwrap();
            wrong(&mut compression);
            let config = Config {
                compression: Some(compression),
                ..Config::default()
            };
            let error = config.validate().unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
            let named = format!("compression.{name}");
            assert!(error.to_string().contains(&named), "{error}");
        }
    }
}
