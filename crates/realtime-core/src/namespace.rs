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
/// let (url, namespace) = Namespace::split_url("redis://host/1?namespace=chat&x=y")?;
/// assert_eq!(url, "redis://host/1?x=y");
/// assert_eq!(namespace.as_str(), "chat");
/// assert!("a b".parse::<Namespace>().is_err());
/// # Ok::<(), realtime::error::InvalidNamespace>(())
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

    /// Removes the parameter `namespace` from a URL's query, and returns the URL without it.
    ///
    /// # Errors
    /// When it is there and isn't a namespace.
    pub fn split_url(url: &str) -> Result<(String, Self), InvalidNamespace> {
        let Some((base, query)) = url.split_once('?') else {
            return Ok((url.to_owned(), Self::default()));
        };
        let (mut rest, mut namespace) = (Vec::new(), Self::default());
        for pair in query.split('&') {
            match pair.strip_prefix("namespace=") {
                Some(name) => namespace = name.parse()?,
                None => rest.push(pair),
            }
        }
        let mut url = base.to_owned();
        if !rest.is_empty() {
            url = format!("{url}?{}", rest.join("&"));
        }
        Ok((url, namespace))
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
