//! Lua scripts, which a server knows by their hash.

use std::sync::OnceLock;

use sha1::{Digest, Sha1};

/// A script that is run by its hash, and sent in full where the server doesn't know it.
#[derive(Debug)]
pub struct Script {
    source: &'static str,
    hash: OnceLock<String>,
}

impl Script {
    /// The script with this text.
    #[must_use]
    pub const fn new(source: &'static str) -> Self {
        Self {
            source,
            hash: OnceLock::new(),
        }
    }

    pub(crate) fn hash(&self) -> &str {
        self.hash.get_or_init(|| {
            let digest = Sha1::digest(self.source.as_bytes());
            digest.iter().map(|byte| format!("{byte:02x}")).collect()
        })
    }

    pub(crate) fn source(&self) -> &'static str {
        self.source
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_as_redis_makes_them() {
        let script = Script::new("return 1");
        assert_eq!(script.hash(), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
