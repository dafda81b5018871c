//! Several keys: which of them a token means, and whether it is signed with it.

use std::collections::HashSet;

use crate::{Key, header::Header};

/// What the keys say of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is signed with one of them.
    Valid,
    /// It is not, and whoever has newer keys would find the same.
    Forged(&'static str),
    /// It may be signed with a key that isn't here.
    Unknown,
}

/// The keys that are believed at one time.
#[derive(Debug)]
pub(crate) struct KeySet(Vec<Key>);

impl KeySet {
    pub(crate) fn new(keys: Vec<Key>) -> Self {
        Self(keys)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a token can mean each of them: several need a name of their own.
    pub(crate) fn are_told_apart(&self) -> bool {
        let mut seen = HashSet::new();
        let own = |key: &Key| key.kid().is_some_and(|kid| seen.insert(kid.to_owned()));
        self.0.len() == 1 || self.0.iter().all(own)
    }

    /// Whether a token's signature is that of a key that it may mean: the one that it names, or a
    /// single one where one of the two has no name. An issuer may have several keys of one name, of
    /// which those that fit the algorithm are tried.
    pub(crate) fn judge(&self, header: &Header, message: &[u8], signature: &[u8]) -> Verdict {
        let verifies = |key: &Key| key.verifies(header.algorithm, message, signature);
        const MISFIT: Verdict =
            Verdict::Forged("expected a JWT whose algorithm is allowed, and fits its key");
        if let [key] = &*self.0
            && (key.kid().is_none() || header.kid.is_none())
        {
            return match (key.fits(header.algorithm), verifies(key)) {
                (false, _) => MISFIT,
                (true, true) => Verdict::Valid,
                // Nobody said that it is this key and not its successor.
                (true, false) => Verdict::Unknown,
            };
        }
        if self.is_empty() {
            return Verdict::Unknown;
        }
        let Some(kid) = header.kid.as_deref() else {
            return Verdict::Forged(
                "expected a JWT that names its key in `kid`: there are several",
            );
        };
        let mut named = self
            .0
            .iter()
            .filter(|key| key.kid() == Some(kid))
            .peekable();
        if named.peek().is_none() {
            return Verdict::Unknown;
        }
        let mut fitting = named.filter(|key| key.fits(header.algorithm)).peekable();
        if fitting.peek().is_none() {
            return MISFIT;
        }
        if fitting.any(verifies) {
            Verdict::Valid
        } else {
            Verdict::Forged("expected a JWT that is signed with the key that it names")
        }
    }
}
