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

/// Those of rosters.
pub(crate) mod roster {
    use super::Script;

    macro_rules! script {
        ($name:ident, $file:literal) => {
            pub(crate) static $name: Script = Script::new(concat!(
                include_str!("scripts/roster.lua"),
                include_str!($file)
            ));
        };
    }

    script!(CHANGES, "scripts/roster_changes.lua");
    script!(CONFIRM, "scripts/roster_confirm.lua");
    script!(ENTER, "scripts/roster_enter.lua");
    script!(LEAVE, "scripts/roster_leave.lua");
    script!(MEMBERS, "scripts/roster_members.lua");
    script!(RENEW, "scripts/roster_renew.lua");

    /// Alone, since it has to do with no shard.
    pub(crate) static PROBE: Script = Script::new(include_str!("scripts/roster_probe.lua"));
}
