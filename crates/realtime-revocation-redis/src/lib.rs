//! Revocations of the `realtime` gateway in Redis: which tokens are no longer to be believed, on all
//! nodes, and on those that are started later.
//!
//! ```no_run
//! use std::time::{Duration, SystemTime};
//!
//! use realtime::{
//!     IdentityKey,
//!     revocation::{Revocation, Revocations, redis::RedisRevocations},
//! };
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! // Opens no connection yet: the first call does.
//! let store = RedisRevocations::from_url("redis://rt:secret@redis.internal/?namespace=shop")?;
//! let signed_out = Revocation::identity(IdentityKey::new("ada"), SystemTime::now());
//! // For as long as a token may live that was issued before.
//! store.revoke(&signed_out, SystemTime::now() + Duration::from_secs(3_600)).await?;
//! # Ok(())
//! # }
//! ```
//!
//! # What is stored
//! ```text
//! rt:shop:revocation:{revoked-shop}:everybody             string   time, end
//! rt:shop:revocation:{revoked-shop}:tenant:acme           string   time, end
//! rt:shop:revocation:{revoked-shop}:identity:4:acme:ada   string   time, end
//! rt:shop:revocation:{revoked-shop}:token:7f3a            string   time, end
//! rt:shop:revocation:{revoked-shop}:log                   sorted set   time, end, name ─► number
//! ```
//! `shop` is the namespace. The time is that before which tokens were issued, to the nanosecond; the
//! end is by Redis's clock, at which each key expires: [`KEPT_LONGER`] after what was asked for. By how
//! long it is kept is said to Redis, not until when, so its clock may differ from ours. Everything
//! fits in the access rules `~rt:* +@all -@dangerous`. Redis 6.2 or newer is needed.
//!
//! To revoke is a script for the revocation, which keeps the later time and the later end of two, and
//! then one for the log. [`since`] reads the log, whose numbers are microseconds of Redis's clock, and
//! always more than the last one; a revocation that is told again stands there once, and what has
//! ended is removed by those that follow. A revocation takes about 400 bytes where names have 36.
//!
//! # One slot of a cluster
//! The braces are Redis Cluster's hash tag: all keys of a namespace are on one master.
//! [`is_revoked`] asks for three keys or four. Spread over the masters, each of these would be one that
//! has to be there for anybody to be let in; so it is one, and the question is one round trip over one
//! connection. What that master can do is enough: four `GET` for each connect are little beside what
//! the connect itself costs a gateway. And every command has one key only, so that each of them is answered
//! while the slot is on its way to another master, wherever its key is by then; a command or a script
//! with several would be refused (`TRYAGAIN`) as long as some of them are missing, as those of who
//! isn't revoked always are.
//!
//! # When something is lost
//! **Who was revoked is let in again where Redis forgets it.** So give it a `maxmemory-policy` of
//! `noeviction` (each other one takes keys that expire first) and let it write to its disk before it
//! answers (`appendfsync always`), or a restart is a second that is lost, or everything. A replica
//! that becomes a master lacks what it had not received yet: `min-replicas-to-write` and
//! `min-replicas-max-lag` bound that, and never to nothing. If its clock is behind, too, the log's
//! next numbers may be below those that nodes have seen, who then don't hear of them by [`since`], while
//! [`is_revoked`] is right. Tokens that live for minutes are the best protection.
//!
//! # What somebody else has written
//! A value that can't be read, or a key of another type, is an error of kind [`Unavailable`] for those
//! whom the revocation would concern, unless another one says that they are revoked; nobody else
//! notices. It is replaced by the next revocation of that scope, the log by the next one at all. Lines
//! of the log that can't be read are left out.
//!
//! # When Redis fails
//! Every call is answered or fails within [`command_timeout`], 1 s unless it is set, with an error that
//! [`is_transient`] where it may heal. Each connection of the pool is watched: one that ends, or
//! doesn't answer three checks in a row, a second apart, is replaced by a new one, with pauses from 100
//! ms to 2 s. Outages and their ends are logged as `realtime::revocation`, at debug level since the
//! gateway says them as warnings: also where Redis answers but can't be written to, which is out of
//! memory, read-only, loading, no permission. To see that, a check does all that revocations do, once a
//! second and over each connection, under keys that begin with
//! `rt:shop:revocation:{probe-…}:`. Where something is set up wrongly, a user who may not do one of
//! these or a `redis:` URL of a cluster's node, calls fail with kind [`InvalidOption`].
//!
//! Out of memory, nothing more is revoked (kind [`Unavailable`]), and what was is known all the same.
//!
//! A revocation that timed out may still be carried out; to make the call again is harmless. One that
//! failed halfway is known to [`is_revoked`] and not to [`since`], until it is made again.
//!
//! [`InvalidOption`]: realtime_core::revocation::RevocationErrorKind::InvalidOption
//! [`Unavailable`]: realtime_core::revocation::RevocationErrorKind::Unavailable
//! [`command_timeout`]: RedisConfigBuilder::command_timeout
//! [`is_revoked`]: realtime_core::revocation::Revocations::is_revoked
//! [`is_transient`]: realtime_core::revocation::RevocationError::is_transient
//! [`since`]: realtime_core::revocation::Revocations::since
#![cfg_attr(docsrs, feature(doc_cfg))]

mod answer;
mod commands;
mod config;
mod error;
mod keys;
mod moment;
mod probe;
mod revocations;
mod scripts;

pub use config::{RedisConfig, RedisConfigBuilder};
pub use revocations::{KEPT_LONGER, RedisRevocations};

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
