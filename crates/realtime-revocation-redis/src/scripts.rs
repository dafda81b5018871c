//! The Lua scripts: one key and one step each, by the server's clock.

use realtime_redis::pool::Script;

pub(crate) static REVOKE: Script = Script::new(include_str!("scripts/revoke.lua"));
pub(crate) static SINCE: Script = Script::new(include_str!("scripts/since.lua"));
pub(crate) static TELL: Script = Script::new(include_str!("scripts/tell.lua"));
