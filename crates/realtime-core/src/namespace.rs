//! What keeps clusters that share a server apart.

use std::{fmt, str::FromStr, sync::Arc};

/// Keeps clusters that share a broker or a presence store apart.
///
/// 1 to 64 ASCII letters, digits, `-`, `_` and `.`, so that it can be a part of every name. The
/// default is `realtime`.
///
/// ```
/// use realtime::node::Namespace;
///
/// assert_eq!(Namespace::default().as_str(), "realtime");
/// assert!("chat".parse::<Namespace>().is_ok());
/// assert!("a b".parse::<Namespace>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Namespace(Arc<str>);

/// A namespace that isn't 1 to 64 ASCII letters, digits, `-`, `_` or `.`.
#[derive(Debug, Clone, thiserror::Error)]
#[error("a namespace is 1 to 64 ASCII letters, digits, '-', '_' or '.'; got {got:?}")]
pub struct InvalidNamespace {
    got: String,
}

impl Namespace {
    /// The namespace as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Default for Namespace {
    fn default() -> Self {
        Self("realtime".into())
    }
}

impl FromStr for Namespace {
    type Err = InvalidNamespace;

    fn from_str(text: &str) -> Result<Self, InvalidNamespace> {
        let odd = |c: char| !(c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if text.is_empty() || text.len() > 64 || text.contains(odd) {
            let got = text.chars().take(64).collect();
            return Err(InvalidNamespace { got });
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Namespace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
