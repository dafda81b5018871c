//! The Lua that changes and reads an identity's keys, at once or not at all.

use std::sync::LazyLock;

use fred::{
    clients::Client,
    error::Error,
    interfaces::LuaInterface,
    types::{FromValue, Key, scripts::Script},
};

macro_rules! script {
    ($name:literal) => {
        LazyLock::new(|| {
            Script::from_lua(concat!(
                include_str!("scripts/common.lua"),
                include_str!(concat!("scripts/", $name, ".lua"))
            ))
        })
    };
}

pub(crate) static REGISTER: LazyLock<Script> = script!("register");
pub(crate) static UNREGISTER: LazyLock<Script> = script!("unregister");
pub(crate) static RENEW: LazyLock<Script> = script!("renew");
pub(crate) static SESSIONS: LazyLock<Script> = script!("sessions");

/// How many sessions one call names. Lua can't spread many thousands of arguments.
pub(crate) const SESSIONS_PER_CALL: usize = 500;

/// Runs a script by its hash, and in full where Redis doesn't know it yet, or not any more.
pub(crate) async fn run<R: FromValue + Send>(
    script: &Script,
    client: &Client,
    keys: [Key; 2],
    arguments: Vec<String>,
) -> Result<R, Error> {
    let keys = Vec::from(keys);
    match client
        .evalsha(script.sha1().clone(), keys.clone(), arguments.clone())
        .await
    {
        Err(error) if error.details().starts_with("NOSCRIPT") => {
            let lua = script.lua().cloned().unwrap_or_default();
            client.eval(lua, keys, arguments).await
        }
        result => result,
    }
}
