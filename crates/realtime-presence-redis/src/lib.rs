//! Presence of the `realtime` gateway in Redis: who is online, on all nodes, under leases.
//!
//! ```no_run
//! use realtime::{
//!     IdentityKey,
//!     presence::{Presence, redis::RedisPresence},
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Opens no connection yet: the first call does.
//! let presence = RedisPresence::from_url("redis://rt:secret@redis.internal/?namespace=shop")?;
//! if presence.is_online(&IdentityKey::new("ann").with_tenant("acme")).await? {
//!     println!("Ann is online");
//! }
//! # Ok(())
//! # }
//! ```
//!
//! # What is stored
//! ```text
//! rt:shop:presence:{4:acme:ann}:leases     sorted set   session ─► end of its lease, ms
//! rt:shop:presence:{4:acme:ann}:sessions   hash         session ─► its SessionInfo, JSON
//! rt:shop:presence:{4:acme:ann}:nodes      hash         node:incarnation ─► sessions, end of the last
//! ```
//! `shop` is the namespace, `acme` the tenant with its length before it, `ann` the id. The braces
//! are Redis Cluster's hash tag, so that all keys live on one node. They expire with the longest
//! lease: whether somebody is online is one `ZCARD`. All writes are Lua scripts, atomic and
//! idempotent, and only the server's clock counts. Everything fits in the access rules
//! `~rt:* +@all -@dangerous`.
//!
//! The nodes of an identity are read without a look at its sessions: of 50,000 sessions on three
//! nodes in 0.1 ms. The sessions themselves are read in pages of 500, so that nobody else waits for
//! more than some milliseconds: whoever is online all the while is found, and who comes or goes
//! meanwhile may be. Reading all of them may take ten times the [`command_timeout`]. Leases that have ended and are not
//! removed yet are left out of the counts, up to a thousand of them; those beyond count until they
//! are removed, a hundred with each call about the identity. A node is not named any more once the
//! last of its leases has ended, whatever else is left of it.
//!
//! # Rosters
//! [`roster`] keeps who is in rooms, and who of a tenant is online. Groups are spread over 16 shards
//! by the CRC16 of their names, and what is kept of a shard has one hash tag, so that a batch is one
//! script for each shard:
//! ```text
//! rt:shop:roster:{shop:7}:version           string       the last version of the shard
//! rt:shop:roster:{shop:7}:groups            sorted set   group ─► when it is to be looked at, ms
//! rt:shop:roster:{shop:7}:here:r:lobby      sorted set   identity ─► the version by which it came
//! rt:shop:roster:{shop:7}:nodes:r:lobby     sorted set   node:incarnation ─► end of its lease, ms
//! rt:shop:roster:{shop:7}:on:…:r:lobby      set          the identities that this node holds
//! rt:shop:roster:{shop:7}:due:r:lobby       sorted set   identity ─► end of its grace or claim, ms
//! rt:shop:roster:{shop:7}:joined:r:lobby    hash         identity ─► its coming, not yet told
//! rt:shop:roster:{shop:7}:left:r:lobby      hash         identity ─► its going, not yet told
//! ```
//! A room has `r:` before its name, a tenant `t:`; an identity is written as in the keys above. The
//! keys of a group expire a day after the longest lease, also where nobody looks after it any more.
//! A renewal is five commands for a group, whatever number of members the node holds there. To ask
//! for changes where there are none is one look at `groups` of each shard; each group is looked at
//! about once in a lease.
//!
//! A script deals with a hundred members at the most. Where a node has died, they leave by as many
//! calls of [`changes`] as it takes, each of which goes on until it has found as many as were asked
//! for, or for as long as a command may take. Until then they count as members. Versions are
//! microseconds of the server's clock, and always more than the last one of the shard; so they grow
//! also where the clock is set back, unless the server was emptied as well.
//!
//! While the slot of a shard is on its way to another server, calls about it wait, and fail as
//! transient where that takes longer than a command may: nothing of it is ever begun anew in the
//! other place.
//!
//! # What somebody else has written
//! A key of another type makes calls about that identity fail, each by itself, with kind `Corrupt`;
//! others in the same call are dealt with. A record that can't be read is left out, counted by
//! [`corrupt_records`], and replaced when its node renews the lease. Until the lease ends the count
//! of its node may be one too many. In rosters a key of another type is the trouble of its group, and
//! what is no identity is left out of the members, counted, and never told of.
//!
//! # When Redis fails
//! Every command is answered or fails within [`command_timeout`], 1 s unless it is set, with an
//! error that [`is_transient`] where it may heal. Each connection of the pool is watched: one that
//! ends, or doesn't answer three checks in a row, a second apart, is replaced by a new one, with
//! pauses from 100 ms to 2 s. [`events`] reports when the store is down and when it is up again. It
//! counts as down, too, while it answers but can't be written to: out of memory, read-only,
//! loading, no permission. To see that, a check does all that presence does, once a second and over
//! each connection, under the keys `rt:shop:presence:{probe-…}:…`: it registers, renews, reads and
//! unregisters, and does what a roster does where there is one. Where something is set up wrongly, a user who may not do one of these (and `PERSIST`
//! and `DEL`, which it does to a key of its own) or a `redis:`
//! URL of a cluster's node, calls fail with kind `Config`, and so does the start of a gateway.
//!
//! While slots of a cluster move, `MOVED`, `ASK` and `TRYAGAIN` are followed within the command's
//! time, and a cluster that is down (`CLUSTERDOWN`) or a server that still loads is waited for
//! within it. Each server has connections and a bound of its own: one that hangs, is gone or full
//! leaves the others alone. The store counts as down as long as one of the masters is, and the cause
//! names that one. Of a batch, the sessions that failed are named, and the others are done;
//! the call fails as a whole where nothing of it could be done. While one connection of several can't
//! be made, the others do its work.
//!
//! A command that timed out may still be carried out, so a session can come back after it was
//! unregistered. And nothing but its lease ends the session of a node that crashed: give one. A
//! gateway with `presence_ttl: None` warns of that when it is built.
//!
//! [`changes`]: realtime_core::presence::Roster::changes
//! [`corrupt_records`]: RedisPresence::corrupt_records
//! [`command_timeout`]: RedisConfigBuilder::command_timeout
//! [`is_transient`]: realtime_core::presence::PresenceError::is_transient
//! [`events`]: realtime_core::presence::Presence::events
//! [`roster`]: realtime_core::presence::Presence::roster
#![cfg_attr(docsrs, feature(doc_cfg))]

mod batch;
mod config;
mod corrupt;
mod error;
mod groups;
mod keys;
mod presence;
mod probe;
mod records;
mod roster;
mod scripts;

pub use config::{RedisConfig, RedisConfigBuilder};
pub use presence::RedisPresence;

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
