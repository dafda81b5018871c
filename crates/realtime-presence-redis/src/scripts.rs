//! The Lua scripts: atomic, idempotent, and by the server's clock.

use std::sync::LazyLock;

use sha1::{Digest, Sha1};

/// A script that is run by its hash, and sent in full where the server doesn't know it.
#[derive(Debug)]
pub(crate) struct Script {
    source: &'static str,
    hash: LazyLock<String, fn() -> String>,
}

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub(crate) static $name: Script = Script {
            source: concat!(include_str!("scripts/lease.lua"), include_str!($file)),
            hash: LazyLock::new(|| hash($name.source)),
        };
    };
}

script!(NODES, "scripts/nodes.lua");
script!(REGISTER, "scripts/register.lua");
script!(RENEW, "scripts/renew.lua");
script!(SESSIONS, "scripts/sessions.lua");
script!(UNREGISTER, "scripts/unregister.lua");

/// Alone, since it has to do with no session.
pub(crate) static SPARE: Script = Script {
    source: include_str!("scripts/spare.lua"),
    hash: LazyLock::new(|| hash(SPARE.source)),
};

fn hash(source: &str) -> String {
    let digest = Sha1::digest(source.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Script {
    pub(crate) fn hash(&self) -> &str {
        &self.hash
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
        assert_eq!(hash("return 1"), "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}
