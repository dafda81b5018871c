//! What a server answers, whatever client has read it.

/// An answer.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Reply {
    /// Several answers in one.
    Array(Vec<Reply>),
    /// Nothing, or what none of the others can hold.
    Null,
    /// A whole number.
    Number(i64),
    /// Text.
    Text(String),
}

/// How much of an error's text is shown: it is the server's.
const SHOWN: usize = 256;

/// What Redis says when it was set up wrongly for us: user, password, permissions, version.
const CONFIG: [&str; 3] = ["NOAUTH", "NOPERM", "WRONGPASS"];

/// The same, where it has no code of its own, or comes from TLS.
const CONFIG_TEXTS: [&str; 6] = [
    "ACL failure",
    "DB index is out of range",
    "can't run this command",
    "cluster support disabled",
    "unknown command",
    "InvalidCertificate",
];

/// How TLS names what a server has against the certificate of this side, or against there being
/// none.
pub const OUR_CERTIFICATE: [&str; 8] = [
    "AccessDenied",
    "BadCertificate",
    "CertificateExpired",
    "CertificateRequired",
    "CertificateRevoked",
    "CertificateUnknown",
    "UnknownCA",
    "UnsupportedCertificate",
];

/// What is said of a server that is a cluster's node, and spoken to as one by itself.
pub const A_CLUSTER: &str = "this Redis is a node of a cluster; use redis-cluster: (or \
                             rediss-cluster:) in the URL";

/// What is said of a sentinel that is spoken to as a server.
pub const A_SENTINEL: &str =
    "this is a sentinel and not a Redis; use redis-sentinel: (or rediss-sentinel:) in the URL";

impl Reply {
    /// The text, where it is one.
    #[must_use]
    pub fn as_text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The number, where it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<i64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// What an array holds; nothing where it is none.
    #[must_use]
    pub fn as_array(&self) -> &[Self] {
        match self {
            Self::Array(items) => items,
            _ => &[],
        }
    }

    /// The text under a name, in an array of names and values.
    #[must_use]
    pub fn named(&self, name: &str) -> Option<&str> {
        let pairs = self.as_array().chunks_exact(2);
        pairs.into_iter().find_map(|pair| match pair {
            [key, value] if key.as_text() == Some(name) => value.as_text(),
            _ => None,
        })
    }
}

/// Whether an error has this word, which Redis puts in front, or after other words where the error
/// comes out of a script.
#[must_use]
pub fn says(error: &str, code: &str) -> bool {
    let mut words = error
        .split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_ascii_alphanumeric()));
    words.any(|word| word == code)
}

/// Whether an error says that something is set up wrongly, so that trying again won't help.
#[must_use]
pub fn is_misconfigured(error: &str) -> bool {
    CONFIG.iter().any(|code| says(error, code))
        || CONFIG_TEXTS.iter().any(|part| error.contains(part))
}

/// A server's words for people, on one line and bounded.
#[must_use]
pub fn shown(text: &str) -> String {
    let shown = text.chars().take(SHOWN);
    shown.flat_map(char::escape_debug).collect()
}

/// That a server answers `HELLO` as something else than it is taken for: not a server by itself.
#[must_use]
pub fn not_a_server(mode: Option<&str>) -> Option<&'static str> {
    match mode {
        Some("cluster") => Some(A_CLUSTER),
        Some("sentinel") => Some(A_SENTINEL),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_a_word_of_its_own() {
        assert!(says("NOAUTH Authentication required.", "NOAUTH"));
        assert!(says("ERR Error running script: @user: -OOM no", "OOM"));
        assert!(!says("ERR ROOMS", "OOM"));
    }

    #[test]
    fn what_is_shown_is_one_bounded_line() {
        let shown = shown(&"a\nb".repeat(500));
        assert!(!shown.contains('\n') && shown.len() < 3 * SHOWN, "{shown}");
    }

    #[test]
    fn a_value_is_found_by_its_name() {
        let text = |text: &str| Reply::Text(text.to_owned());
        let hello = Reply::Array(vec![
            text("proto"),
            Reply::Number(2),
            text("mode"),
            text("m"),
        ]);
        assert_eq!(hello.named("mode"), Some("m"));
        assert_eq!((hello.named("proto"), hello.named("m")), (None, None));
    }
}
