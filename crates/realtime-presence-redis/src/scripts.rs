//! The Lua scripts: atomic, idempotent, and by the server's clock.

use realtime_redis::pool::Script;

macro_rules! script {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub(crate) static $name: Script = Script::new(concat!(
            include_str!("scripts/lease.lua"),
            include_str!($file)
        ));
    };
}

script!(NODES, "scripts/nodes.lua");
script!(REGISTER, "scripts/register.lua");
script!(RENEW, "scripts/renew.lua");
script!(SESSIONS, "scripts/sessions.lua");
script!(UNREGISTER, "scripts/unregister.lua");

/// Alone, since it has to do with no session.
pub(crate) static SPARE: Script = Script::new(include_str!("scripts/spare.lua"));
