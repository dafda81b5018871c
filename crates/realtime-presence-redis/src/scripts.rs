//! The Lua scripts: atomic, idempotent, and by the server's clock.

use std::sync::LazyLock;

use fred::{
    error::Error,
    interfaces::LuaInterface,
    types::{Key, Value},
};
use sha1::{Digest, Sha1};

use crate::{error::says, keys::IdentityKeys, pool::Call};

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

script!(REGISTER, "scripts/register.lua");
script!(RENEW, "scripts/renew.lua");
script!(SESSIONS, "scripts/sessions.lua");
script!(UNREGISTER, "scripts/unregister.lua");

fn hash(source: &str) -> String {
    let digest = Sha1::digest(source.as_bytes());
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Script {
    pub(crate) async fn run(
        &self,
        call: &Call<'_>,
        keys: IdentityKeys,
        arguments: Vec<Value>,
    ) -> Result<Value, Error> {
        let keys = [keys.leases, keys.sessions];
        let keys = || keys.iter().map(Key::from).collect::<Vec<_>>();
        let by_hash = call.client();
        match by_hash
            .evalsha(self.hash.as_str(), keys(), arguments.clone())
            .await
        {
            Err(error) if says(&error, "NOSCRIPT") => {
                let in_full = call.client();
                in_full.eval(self.source, keys(), arguments).await
            }
            answer => answer,
        }
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
