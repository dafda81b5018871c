//! What settings may be.

use std::time::Duration;

use super::Config;
use crate::{BuildError, BuildErrorKind};

/// The smallest budget of all sessions together: with less, the first message that waits would end
/// its session.
const LEAST_BUDGET: usize = 1_024;

impl Config {
    /// Checks all numbers and durations.
    pub(crate) fn check_ranges(&self) -> Result<(), BuildError> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if !(1..=64).contains(&self.name.len()) || !self.name.chars().all(fits) {
            let got = format!(
                "name must be 1 to 64 letters, digits, `-`, `_` and `.`; got {:?}",
                self.name
            );
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        let (ms, day) = (Duration::from_millis(1), Duration::from_secs(24 * 60 * 60));
        let durations = [
            ("heartbeat", self.heartbeat, 10 * ms),
            ("pong_timeout", self.pong_timeout, ms),
            ("write_timeout", self.write_timeout, ms),
            ("drain_notice", self.drain_notice, ms),
            ("drain_over", self.drain_over, ms),
            ("shutdown_timeout", self.shutdown_timeout, ms),
            ("auth_timeout", self.auth_timeout, ms),
            ("token_in_message", self.token_in_message, ms),
            ("expiry_notice", self.expiry_notice, ms),
            ("expiry_grace", self.expiry_grace, ms),
            ("hook_timeout", self.hook_timeout, ms),
            ("replier_timeout", self.replier_timeout, ms),
            ("presence_ttl", self.presence_ttl, 100 * ms),
            ("presence_grace", self.presence_grace, ms),
        ];
        // Longer than any sensible setting, and short enough for every clock.
        let longest = 366 * day;
        for (name, duration, shortest) in durations {
            if let Some(d) = duration
                && (d < shortest || d > longest)
            {
                let got = format!(
                    "{name} must be between {shortest:?} and a year, or None (in a file \"off\") \
                     to switch it off; got {d:?}"
                );
                return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
            }
        }
        if self.longest_token < ms || self.longest_token > longest {
            let got = format!(
                "longest_token must be between {ms:?} and a year; got {:?}",
                self.longest_token
            );
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        let sizes = [
            ("read_limit", self.read_limit),
            ("queue_messages", self.queue_messages),
            ("queue_bytes", self.queue_bytes),
            ("max_authenticating", self.max_authenticating),
            ("max_rooms_per_session", self.max_rooms_per_session),
            ("max_rooms", self.max_rooms),
            ("max_repliers_per_session", self.max_repliers_per_session),
        ];
        let budgets = [
            ("queue_budget", self.queue_budget),
            ("assembly_budget", self.assembly_budget),
        ];
        let sizes = sizes.map(|(name, size)| (name, size, 1)).into_iter();
        let budgets = budgets.map(|(name, size)| (name, size, LEAST_BUDGET));
        for (name, size, least) in sizes.chain(budgets) {
            if size < least || size > isize::MAX as usize {
                let got = format!("{name} must be between {least} and isize::MAX; got {size}");
                return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
            }
        }
        let default = Self::default();
        let within = [
            (
                ("read_limit", self.read_limit, default.read_limit),
                (
                    "assembly_budget",
                    self.assembly_budget,
                    default.assembly_budget,
                ),
                "the largest messages could never be received",
            ),
            (
                ("queue_bytes", self.queue_bytes, default.queue_bytes),
                ("queue_budget", self.queue_budget, default.queue_budget),
                "no session could ever have a queue of that length",
            ),
            (
                (
                    "max_rooms_per_session",
                    self.max_rooms_per_session,
                    default.max_rooms_per_session,
                ),
                ("max_rooms", self.max_rooms, default.max_rooms),
                "no session could ever be in so many rooms",
            ),
        ];
        for ((name, size, unset), (bound, most, unbound), why) in within {
            // Who has set one of them alone knows nothing of the other, which may be another one in a
            // small container: the smaller simply holds.
            if size > most && size != unset && most != unbound {
                let got =
                    format!("{name} must be at most {bound}, or {why}; got {size} and {most}");
                return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
            }
        }
        if self.min_message_rate == Some(0) {
            let got = "min_message_rate must be at least 1, or None (in a file \"off\") for no limit; got 0";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        if self.heartbeat.is_none()
            && let Some(timeout) = self.pong_timeout
            && self.pong_timeout != Self::default().pong_timeout
        {
            let got = format!(
                "pong_timeout must be left as it is, or None (in a file \"off\"), where heartbeat \
                 is off, since nobody is pinged; got {timeout:?}: keep the one that is meant"
            );
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        if self.insecure_origins && !self.origin_patterns.is_empty() {
            let got = "origin_patterns must be empty with insecure_origins, which lets all pages \
                       in; got both: keep the one that is meant";
            return Err(BuildError::new(BuildErrorKind::InvalidOption, got));
        }
        #[cfg(feature = "deflate")]
        if let Some(compression) = &self.compression {
            compression.check_ranges()?;
            compression.check_takeover(self)?;
        }
        self.limits.check_ranges()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nonsense_is_refused_by_name() {
        let mut config = Config {
            heartbeat: Some(Duration::ZERO),
            ..Config::default()
        };
        assert!(
            config
                .validate()
                .unwrap_err()
                .to_string()
                .contains("heartbeat")
        );
        config = Config {
            queue_bytes: 0,
            ..Config::default()
        };
        let error = config.validate().unwrap_err();
        assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
        assert!(error.to_string().contains("queue_bytes"));
        config = Config {
            max_connections: Some(0),
            ..Config::default()
        };
        assert!(config.validate().is_ok());
        config = Config {
            origin_patterns: vec!["*".to_owned()],
            ..Config::default()
        };
        assert!(config.validate().is_err());
        config = Config {
            trusted_proxies: vec!["nonsense".to_owned()],
            ..Config::default()
        };
        assert!(config.validate().is_err());
        for name in ["", "a b", "ä", &"x".repeat(65)] {
            let config = Config {
                name: name.to_owned(),
                ..Config::default()
            };
            let error = config.validate().unwrap_err();
            assert!(error.to_string().starts_with("name must be"), "{error}");
        }
    }

    #[test]
    fn a_time_for_pongs_is_refused_where_nobody_is_pinged() {
        let seconds = Duration::from_secs;
        for (heartbeat, pong_timeout, is_fine) in [
            (None, Some(seconds(5)), false),
            (None, Config::default().pong_timeout, true),
            (None, None, true),
            (Some(seconds(5)), Some(seconds(5)), true),
        ] {
            let config = Config {
                heartbeat,
                pong_timeout,
                ..Config::default()
            };
            match config.validate() {
                Ok(()) => assert!(is_fine, "{heartbeat:?} {pong_timeout:?}"),
                Err(error) => {
                    assert!(!is_fine, "{error}");
                    assert!(
                        error.to_string().starts_with("pong_timeout must"),
                        "{error}"
                    );
                }
            }
        }
    }

    #[test]
    fn a_part_that_is_larger_than_the_whole_is_refused() {
        let small = Config {
            read_limit: 4_096,
            assembly_budget: 4_096,
            queue_bytes: 4_096,
            queue_budget: 4_096,
            max_rooms_per_session: 2,
            max_rooms: 2,
            ..Config::default()
        };
        assert!(small.validate().is_ok(), "as large is large enough");
        type Enlarge = fn(&mut Config);
        let larger: [(&str, &str, Enlarge); 3] = [
            ("read_limit", "assembly_budget", |c| c.read_limit += 1),
            ("queue_bytes", "queue_budget", |c| c.queue_bytes += 1),
            ("max_rooms_per_session", "max_rooms", |c| {
                c.max_rooms_per_session += 1;
            }),
        ];
        for (part, whole, change) in larger {
            let mut config = small.clone();
            change(&mut config);
            let error = config.validate().unwrap_err();
            assert_eq!(error.kind(), BuildErrorKind::InvalidOption);
            let words = error.to_string();
            let expected = format!("{part} must be at most {whole}, or ");
            assert!(words.starts_with(&expected), "{words}");
            assert!(words.contains("; got "), "{words}");
        }
    }

    #[test]
    fn a_part_or_a_whole_alone_may_be_anything() {
        let alone: [fn(&mut Config); 6] = [
            |c| c.read_limit = c.assembly_budget + 1,
            |c| c.assembly_budget = c.read_limit - 1,
            |c| c.queue_bytes = c.queue_budget + 1,
            |c| c.queue_budget = c.queue_bytes - 1,
            |c| c.max_rooms_per_session = c.max_rooms + 1,
            |c| c.max_rooms = c.max_rooms_per_session - 1,
        ];
        for set in alone {
            let mut config = Config::default();
            set(&mut config);
            config.validate().unwrap();
        }
    }

    #[test]
    fn what_is_refused_says_how_it_is_switched_off() {
        let config = Config {
            hook_timeout: Some(Duration::ZERO),
            ..Config::default()
        };
        assert_eq!(
            config.validate().unwrap_err().to_string(),
            "hook_timeout must be between 1ms and a year, or None (in a file \"off\") to switch it \
             off; got 0ns"
        );
    }
}
