//! The Lua scripts: one step each, and by the server's clock.

use realtime_redis::pool::Script;

macro_rules! script {
    ($name:ident, $file:literal) => {
        pub(crate) static $name: Script = Script::new(concat!(
            include_str!("scripts/stream.lua"),
            include_str!($file)
        ));
    };
}

script!(APPEND, "scripts/append.lua");
script!(LATEST, "scripts/latest.lua");
script!(POSITION, "scripts/position.lua");
script!(SINCE, "scripts/since.lua");
/// It removes what can't be read, too, so it reads nothing.
pub(crate) static REMOVE: Script = Script::new(include_str!("scripts/remove.lua"));
