//! The targets of everything that the gateway and its backends log through `tracing`.
//!
//! They are a promise, since filters and alerts are written against them: what a target covers may
//! grow, but its name stays. `docs/architecture.md` lists the levels.
//!
//! ```
//! use realtime::log_targets;
//!
//! // A directive for `tracing_subscriber::EnvFilter`.
//! let filter = format!("warn,{}=debug", log_targets::ADMISSION);
//! assert_eq!(filter, "warn,realtime::admission=debug");
//! ```

/// What operators do on the page of the feature `admin`, and by whom.
pub const ADMIN: &str = "realtime::admin";
/// Requests that were refused, and upgrades that failed.
pub const ADMISSION: &str = "realtime::admission";
/// Background tasks that died and were started again: error.
pub const BACKGROUND: &str = "realtime::background";
/// The broker's outages and their ends, nodes that are gone, and a gateway that isn't started.
pub const BROKER: &str = "realtime::broker";
/// What no `on_error` hook was there to receive, and hooks that failed.
pub const ERROR: &str = "realtime::error";
/// The outages of the histories of rooms, and their ends.
pub const HISTORY: &str = "realtime::history";
/// Each message, with the layer `LoggerLayer`, and handlers that failed after their session closed.
pub const MESSAGE: &str = "realtime::message";
/// The presence store's outages and their ends, and records that could not be removed.
pub const PRESENCE: &str = "realtime::presence";
/// What comes from other nodes, and nodes that can't be reached.
pub const RELAY: &str = "realtime::relay";
/// The outages of a store of revocations, and their ends.
pub const REVOCATION: &str = "realtime::revocation";
/// The HTTP server of `serve`: connections that failed, and accept errors.
pub const SERVE: &str = "realtime::serve";
/// Sessions that connect and disconnect.
pub const SESSION: &str = "realtime::session";
/// What was cut off at the deadline of a shutdown.
pub const SHUTDOWN: &str = "realtime::shutdown";

/// The spans of traces, with the feature `traces`: see `docs/traces.md`.
pub const TRACE: &str = "realtime::trace";

/// All of them, in alphabetical order.
pub const ALL: [&str; 14] = [
    ADMIN, ADMISSION, BACKGROUND, BROKER, ERROR, HISTORY, MESSAGE, PRESENCE, RELAY, REVOCATION,
    SERVE, SESSION, SHUTDOWN, TRACE,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_of_them_are_in_the_table_of_the_docs_and_nothing_else_is() {
        let docs = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/architecture.md");
        // A published crate has no such folder.
        let Ok(docs) = std::fs::read_to_string(docs) else {
            return;
        };
        let table = docs
            .lines()
            .filter(|line| line.starts_with("| `realtime::"));
        let mut listed: Vec<&str> = table
            .flat_map(|line| line.split('|').nth(1).unwrap_or_default().split(','))
            .map(|target| target.trim().trim_matches('`'))
            .collect();
        listed.sort_unstable();
        assert_eq!(listed, ALL);
    }
}
