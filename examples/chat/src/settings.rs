//! What the command line and the environment say of how the chat runs.

use std::{
    env::{self, VarError},
    fmt,
    time::Duration,
};

/// Where it listens unless it is told.
const LISTEN: &str = "127.0.0.1:8080";
/// No other node, and nothing that outlives the process.
const LOCAL: &str = "local:";

/// How this node runs. Shown for debugging, it hides what is secret, passwords in addresses too.
#[derive(PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) listen: String,
    pub(crate) broker: String,
    pub(crate) history: String,
    pub(crate) presence: String,
    /// For how long it says that it drains before it closes anything.
    pub(crate) drain_notice: Option<Duration>,
    pub(crate) trusted_proxies: Vec<String>,
    /// What signs tokens: the same on all nodes.
    pub(crate) key: Option<String>,
    /// The password of moderators.
    pub(crate) moderator: Option<String>,
}

impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_set = |secret: &Option<String>| secret.as_ref().map(|_| "hidden");
        f.debug_struct("Settings")
            .field("listen", &self.listen)
            .field("drain_notice", &self.drain_notice)
            .field("trusted_proxies", &self.trusted_proxies)
            .field("key", &is_set(&self.key))
            .field("moderator", &is_set(&self.moderator))
            .finish_non_exhaustive()
    }
}

#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum SettingsError {
    #[error("expected CHAT_DRAIN_NOTICE to be a number of seconds, such as 5; got {0:?}")]
    NotSeconds(String),
    /// What it is isn't said: it may be a secret.
    #[error("expected {0} to be text in UTF-8; got other bytes: set it anew, or unset it")]
    NotText(&'static str),
}

impl Settings {
    pub(crate) fn read() -> Result<Self, SettingsError> {
        let arguments = env::args_os().map(|argument| argument.to_string_lossy().into_owned());
        Self::of(arguments, |name| match env::var(name) {
            Ok(value) => Ok(Some(value)),
            Err(VarError::NotPresent) => Ok(None),
            Err(VarError::NotUnicode(_)) => Err(SettingsError::NotText(name)),
        })
    }

    /// A variable that is empty counts as one that isn't there.
    fn of(
        arguments: impl Iterator<Item = String>,
        variable: impl Fn(&'static str) -> Result<Option<String>, SettingsError>,
    ) -> Result<Self, SettingsError> {
        let variable = |name| Ok(variable(name)?.filter(|value: &String| !value.is_empty()));
        let listen = arguments
            .skip_while(|argument| argument != "--listen")
            .nth(1);
        let presence = variable("PRESENCE_URL")?.unwrap_or_else(|| LOCAL.to_owned());
        let proxies = variable("CHAT_TRUSTED_PROXIES")?.unwrap_or_default();
        let proxies = proxies.split(',').map(str::trim);
        Ok(Self {
            listen: match listen {
                Some(listen) => listen,
                None => variable("CHAT_LISTEN")?.unwrap_or_else(|| LISTEN.to_owned()),
            },
            broker: variable("BROKER_URL")?.unwrap_or_else(|| LOCAL.to_owned()),
            history: variable("HISTORY_URL")?.unwrap_or_else(|| presence.clone()),
            presence,
            drain_notice: variable("CHAT_DRAIN_NOTICE")?.map(seconds).transpose()?,
            trusted_proxies: proxies
                .filter(|proxy| !proxy.is_empty())
                .map(str::to_owned)
                .collect(),
            key: variable("CHAT_KEY")?,
            moderator: variable("CHAT_MODERATOR")?,
        })
    }

    /// Whether there may be other nodes.
    pub(crate) fn is_of_many(&self) -> bool {
        self.broker != LOCAL
    }
}

fn seconds(text: String) -> Result<Duration, SettingsError> {
    let read = text.parse().ok();
    let duration = read.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    duration.ok_or(SettingsError::NotSeconds(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(arguments: &[&str], variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
        let arguments = arguments.iter().map(|argument| (*argument).to_owned());
        Settings::of(arguments, |name| {
            let found = variables.iter().find(|(known, _)| *known == name);
            Ok(found.map(|(_, value)| (*value).to_owned()))
        })
    }

    #[test]
    fn nothing_set_is_one_node_on_the_loopback() {
        let read = of(&["chat"], &[("CHAT_MODERATOR", ""), ("CHAT_LISTEN", "")]).unwrap();
        assert_eq!(
            (read.listen.as_str(), read.broker.as_str()),
            (LISTEN, LOCAL)
        );
        assert_eq!((read.moderator, read.drain_notice), (None, None));
        assert!(read.trusted_proxies.is_empty());
    }

    #[test]
    fn everything_can_be_set_by_the_environment() {
        let read = of(
            &["chat"],
            &[
                ("CHAT_LISTEN", "0.0.0.0:80"),
                ("BROKER_URL", "amqp://rabbit"),
                ("PRESENCE_URL", "redis://redis"),
                ("CHAT_DRAIN_NOTICE", "2.5"),
                ("CHAT_TRUSTED_PROXIES", "10.0.0.0/8, ::1,"),
                ("CHAT_KEY", "key"),
                ("CHAT_MODERATOR", "password"),
            ],
        );
        let expected = Settings {
            listen: "0.0.0.0:80".to_owned(),
            broker: "amqp://rabbit".to_owned(),
            history: "redis://redis".to_owned(),
            presence: "redis://redis".to_owned(),
            drain_notice: Some(Duration::from_millis(2_500)),
            trusted_proxies: vec!["10.0.0.0/8".to_owned(), "::1".to_owned()],
            key: Some("key".to_owned()),
            moderator: Some("password".to_owned()),
        };
        assert_eq!(read, Ok(expected));
    }

    #[test]
    fn the_command_line_counts_more() {
        let set = [("CHAT_LISTEN", "0.0.0.0:80")];
        let read = of(&["chat", "--listen", "[::1]:81"], &set);
        assert_eq!(read.unwrap().listen, "[::1]:81");
    }

    #[test]
    fn a_notice_that_is_no_time_is_refused() {
        for wrong in ["5s", "-1", "NaN", "1e99"] {
            let error = of(&[], &[("CHAT_DRAIN_NOTICE", wrong)]).unwrap_err();
            assert!(error.to_string().contains("number of seconds"), "{error}");
        }
    }

    #[test]
    fn what_is_no_text_is_refused_and_not_taken_for_nothing() {
        for name in ["CHAT_KEY", "CHAT_MODERATOR", "CHAT_LISTEN", "BROKER_URL"] {
            let read = Settings::of(std::iter::empty(), |asked| match asked == name {
                true => Err(SettingsError::NotText(asked)),
                false => Ok(None),
            });
            assert_eq!(read, Err(SettingsError::NotText(name)));
        }
    }

    #[test]
    fn nothing_secret_is_shown() {
        let set = [
            ("BROKER_URL", "amqp://chat:secret-1@rabbit"),
            ("CHAT_KEY", "secret-2"),
            ("CHAT_MODERATOR", "secret-3"),
            ("PRESENCE_URL", "redis://:secret-4@redis"),
        ];
        let shown = format!("{:?}", of(&[], &set).unwrap());
        assert!(shown.contains(LISTEN), "{shown}");
        assert!(!shown.contains("secret"), "{shown}");
    }
}
