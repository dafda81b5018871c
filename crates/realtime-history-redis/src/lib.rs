//! Histories of the rooms of the `realtime` gateway in Redis: what was said, and what was missed,
//! on all nodes.
//!
//! ```no_run
//! use realtime::history::{History, Since, redis::RedisHistory};
//!
//! # async fn example(seen: realtime::history::Position) -> Result<(), Box<dyn std::error::Error>> {
//! // Opens no connection yet: the first call does.
//! let history = RedisHistory::from_url("redis://rt:secret@redis.internal/?namespace=shop")?;
//! match history.since(&"order:42".parse()?, &seen, 300).await? {
//!     Since::Complete { entries, .. } => println!("{} entries were missed", entries.len()),
//!     _ => println!("load afresh"),
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is stored
//! ```text
//! rt:shop:history:{r:order:42}:meta   hash   epoch, offset, retention, time of the last entry
//! rt:shop:history:{r:order:42}:log    hash   offset ─► data, its time, and idempotency keys
//! ```
//! `shop` is the namespace, `order:42` the room. The braces are Redis Cluster's hash tag, so that
//! both keys live on one node. Each call is one Lua script, which sees and changes all of a stream at
//! once, and only the server's clock counts. Everything fits in the access rules
//! `~rt:* +@all -@dangerous`. Redis 6.2 or newer is needed.
//!
//! `log` expires with its last entry, or with the last idempotency key; `meta` lives for
//! [`KNOWN_FOR`] beyond the age of the retention. What the retention doesn't leave is removed with
//! the appends that follow, up to 1,000 entries with each, and isn't given meanwhile.
//!
//! # When something is lost
//! Where `meta` is gone, since Redis was emptied or had no memory left, the next stream has another
//! epoch, and whatever is left of the old one is removed. Where `log` is gone alone, the stream goes
//! on, and those who have missed something of it learn that it is lost.
//!
//! Redis itself may go back in time: a replica that becomes a master lacks what it had not received
//! yet, and a restart reads what was last saved. A position beyond that is lost, as long as the stream
//! hasn't grown beyond it again; after that, Redis can't tell. Against a restart, let Redis write each
//! append to its disk (`appendfsync always`) or begin empty. At a failover what is lost is bounded by
//! `min-replicas-to-write` and `min-replicas-max-lag`, and never nothing: where that matters, empty
//! the new master.
//!
//! A key of another type makes the calls about that room fail, with kind `Corrupt`, until the stream
//! is removed.
//!
//! # When Redis fails
//! Every command is answered or fails within [`command_timeout`], 1 s unless it is set, with an
//! error that [`is_transient`] where it may heal. Each connection of the pool is watched: one that
//! ends, or doesn't answer three checks in a row, a second apart, is replaced by a new one, with
//! pauses from 100 ms to 2 s. [`events`] reports when the store is down and when it is up again. It
//! counts as down, too, while it answers but can't be written to: out of memory, read-only,
//! loading, no permission. To see that, a check does all that a history does, once a second and over
//! each connection, under keys that begin with `rt:shop:history:{probe-…}`. Where something is set up
//! wrongly, a user who may not do one of these or a `redis:` URL of a cluster's node, calls fail with
//! kind `Config`.
//!
//! While slots of a cluster move, `MOVED`, `ASK` and `TRYAGAIN` are followed within the command's
//! time. A stream that has only one of its keys, such as one without entries, can't be changed while
//! its own slot is on its way, and its calls fail as `Unavailable` for that long. A cluster that is
//! down (`CLUSTERDOWN`) or a server that still loads is waited for within the command's time.
//!
//! An append is sent once. One that timed out, or whose connection ended, may still be carried out:
//! give it a key to make it again.
//!
//! [`KNOWN_FOR`]: realtime_core::history::KNOWN_FOR
//! [`command_timeout`]: RedisConfigBuilder::command_timeout
//! [`is_transient`]: realtime_core::history::HistoryError::is_transient
//! [`events`]: realtime_core::history::History::events
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod config;
mod error;
mod history;
mod keys;
mod probe;
mod scripts;

pub use config::{RedisConfig, RedisConfigBuilder};
pub use history::RedisHistory;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
