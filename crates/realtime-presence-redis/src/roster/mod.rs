//! Who is in which room, and who of a tenant is online: the trait, on scripts.

mod answer;
mod pieces;
mod shards;

use std::{sync::Arc, time::Duration};

use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use futures::future::join_all;
use realtime_core::{
    broker::NodeInfo,
    presence::{
        CLAIM, Change, ChangeKind, Departed, Entered, Group, Member, MemberPage, PresenceError,
        PresenceErrorKind, Prolonged, Roster, SPEAK_AGAIN,
    },
};
use realtime_redis::pool::{Command, Pool, PoolError, Script};
use tokio::time::Instant;

use crate::{
    batch::{each, lease, sort_out},
    corrupt::Corrupt,
    error::presence_error,
    scripts::roster::{CHANGES, CONFIRM, ENTER, LEAVE, MEMBERS, RENEW},
};
use answer::{Dealt, HandedOut, confirmation, confirmation_of_garbage};
use pieces::{Piece, pieces};
use shards::{SHARDS, group_name, identity_name, shard_of};

pub(crate) use shards::Shards;

/// How many members a page has at the most; a script reads it.
const PAGE: usize = 1_000;

/// How many changes a script hands out at the most.
const CHANGES_A_CALL: usize = 100;

/// Keeps in Redis who is in which group.
#[derive(Debug)]
pub(crate) struct RedisRoster {
    pool: Arc<Pool>,
    shards: Shards,
    corrupt: Arc<Corrupt>,
}

/// What became of a list: what the scripts found, with places in the question, and what failed.
struct Outcome<K> {
    found: Vec<(usize, Vec<u64>)>,
    failed: Vec<realtime_core::presence::Failure<K>>,
}

impl RedisRoster {
    pub(crate) const fn new(pool: Arc<Pool>, shards: Shards, corrupt: Arc<Corrupt>) -> Self {
        Self {
            pool,
            shards,
            corrupt,
        }
    }

    fn error(&self, error: Error) -> PresenceError {
        presence_error(self.pool.error(error))
    }

    fn unreadable(&self) -> PresenceError {
        let what = "expected an answer of a roster; got something else";
        self.error(Error::new(ErrorKind::Parse, what))
    }

    async fn script<T>(
        &self,
        script: &Script,
        shard: usize,
        arguments: Vec<Value>,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, PresenceError> {
        let command = Command::run(script, self.shards.keys(shard), arguments);
        let answer = self.pool.run(&shard, command).await;
        read(answer.map_err(presence_error)?).ok_or_else(|| self.unreadable())
    }

    /// Runs a script for each piece of a list. `width` is how many numbers it answers for each word
    /// that it names, the first of which says which one.
    async fn deal<K>(
        &self,
        script: &Script,
        head: &[Value],
        pieces: Vec<Piece>,
        width: usize,
        key: impl Fn(usize) -> Option<K>,
    ) -> Result<Outcome<K>, PresenceError> {
        let call = async |piece: Piece| {
            let arguments = head.iter().cloned().chain(piece.arguments()).collect();
            let answer = self.script(script, piece.shard, arguments, answer::dealt);
            let answer = answer.await;
            (piece, answer)
        };
        let answers = each(pieces.into_iter().map(call).collect()).await;
        let (mut found, mut groups) = (Vec::new(), Vec::new());
        for (piece, answer) in answers {
            let (numbers, failed) = match answer {
                Ok(Dealt { found, failed }) => (found, failed),
                Err(error) => {
                    let places = piece.groups.iter().flat_map(pieces::Words::places);
                    groups.push((places.collect(), Err(error)));
                    continue;
                }
            };
            for number in numbers.chunks_exact(width) {
                let position = number.first().and_then(|n| usize::try_from(*n).ok());
                let places = position.and_then(|position| piece.places_of(position));
                if let Some(place) = places.and_then(<[usize]>::first) {
                    found.push((*place, number.to_vec()));
                }
            }
            for (number, of) in (1..).zip(&piece.groups) {
                let why = failed.iter().find(|(failed, _)| *failed == number);
                let answer = match why {
                    Some((_, why)) => Err(presence_error(PoolError::Redis(why.clone()))),
                    None => Ok(()),
                };
                groups.push((of.places(), answer));
            }
        }
        let (_done, failed) = sort_out(groups, key)?;
        Ok(Outcome { found, failed })
    }

    /// Some of the changes of a shard. What can't be read of them is forgotten.
    async fn changes_of(&self, shard: usize, most: usize) -> Result<HandedOut, PresenceError> {
        let arguments = vec![lease(Some(CLAIM)), number(most)];
        let handed_out = self.script(&CHANGES, shard, arguments, answer::handed_out);
        let mut handed_out = handed_out.await?;
        let garbage = std::mem::take(&mut handed_out.garbage);
        let count = garbage.len() as u64 + handed_out.unreadable;
        if count > 0 {
            self.corrupt.found(count);
        }
        if !garbage.is_empty() {
            let arguments = garbage.into_iter().flat_map(confirmation_of_garbage);
            let forget = self.script(&CONFIRM, shard, arguments.collect(), answer::dealt);
            // Where that fails it is met again.
            let _forgotten = forget.await;
        }
        Ok(handed_out)
    }
}

impl Roster for RedisRoster {
    async fn enter(
        &self,
        node: &NodeInfo,
        members: &[Member],
        ttl: Option<Duration>,
    ) -> Result<Entered, PresenceError> {
        let head = [lease(Some(CLAIM)), node_name(node), lease(ttl)];
        let key = |place: usize| members.get(place).cloned();
        let outcome = self.deal(&ENTER, &head, pieces_of(members), 2, key).await?;
        let changes = outcome.found.into_iter().filter_map(|(place, numbers)| {
            let version = *numbers.get(1)?;
            Some(Change::new(key(place)?, ChangeKind::Joined, version))
        });
        Ok(Entered::new(changes.collect(), outcome.failed))
    }

    async fn leave(
        &self,
        node: &NodeInfo,
        members: &[Member],
        grace: Duration,
    ) -> Result<Departed, PresenceError> {
        let head = [node_name(node), lease(Some(grace))];
        let key = |place: usize| members.get(place).cloned();
        let outcome = self.deal(&LEAVE, &head, pieces_of(members), 1, key).await?;
        Ok(Departed::new(outcome.failed))
    }

    async fn renew(
        &self,
        node: &NodeInfo,
        groups: &[(Group, u64)],
        ttl: Option<Duration>,
    ) -> Result<Prolonged, PresenceError> {
        let head = [node_name(node), lease(ttl), lease(Some(SPEAK_AGAIN))];
        let counts = groups
            .iter()
            .map(|(group, count)| (group, count.to_string()));
        let key = |place: usize| groups.get(place).map(|(group, _)| group.clone());
        let outcome = self.deal(&RENEW, &head, pieces(counts), 1, key).await?;
        let unknown = outcome.found.iter().filter_map(|(place, _)| key(*place));
        Ok(Prolonged::new(unknown.collect(), outcome.failed))
    }

    async fn changes(&self, limit: usize) -> Result<Vec<Change>, PresenceError> {
        let until = Instant::now() + self.pool.config().command_timeout();
        let (mut changes, mut error, mut has_answer) = (Vec::new(), None, false);
        // Not always the same ones first.
        let mut waiting: Vec<_> = (0..SHARDS).collect();
        waiting.rotate_left(fastrand::usize(..SHARDS));
        while !waiting.is_empty() && changes.len() < limit && Instant::now() < until {
            let left = limit - changes.len();
            let asked: Vec<_> = waiting.drain(..waiting.len().min(left)).collect();
            let most = (left / asked.len()).min(CHANGES_A_CALL);
            let ask = async |shard: usize| (shard, self.changes_of(shard, most).await);
            for (shard, answer) in join_all(asked.into_iter().map(ask)).await {
                match answer {
                    Ok(handed_out) => {
                        has_answer = true;
                        changes.extend(handed_out.changes);
                        if handed_out.more {
                            waiting.push(shard);
                        }
                    }
                    Err(failed) => error = Some(failed),
                }
            }
        }
        match error {
            Some(error) if error.kind() == PresenceErrorKind::Closed => Err(error),
            // Where a part of the store can't be reached, there are those of the others.
            Some(error) if !has_answer => Err(error),
            _ => Ok(changes),
        }
    }

    async fn confirm(&self, changes: &[Change]) -> Result<(), PresenceError> {
        let words = changes.iter().map(|change| {
            let word = confirmation(change.kind, change.version);
            let word = word + &identity_name(&change.member.identity);
            (&change.member.group, word)
        });
        let outcome = self.deal(&CONFIRM, &[], pieces(words), 1, Some).await?;
        match outcome.failed.into_iter().next() {
            Some(failure) => Err(failure.error),
            None => Ok(()),
        }
    }

    async fn members(
        &self,
        group: &Group,
        after: Option<u64>,
        limit: usize,
    ) -> Result<MemberPage, PresenceError> {
        let Some(name) = group_name(group) else {
            return Ok(MemberPage::default());
        };
        let limit = limit.min(PAGE);
        let after = after.map(|after| after.to_string()).unwrap_or_default();
        let shard = shard_of(&name);
        // One more, to see whether there is one.
        let arguments = vec![name.into(), after.into(), number(limit + 1)];
        let read = |answer| answer::members(answer, limit);
        let (page, garbage) = self.script(&MEMBERS, shard, arguments, read).await?;
        if garbage > 0 {
            self.corrupt.found(garbage);
        }
        Ok(page)
    }
}

fn pieces_of(members: &[Member]) -> Vec<Piece> {
    let words = members
        .iter()
        .map(|member| (&member.group, identity_name(&member.identity)));
    pieces(words)
}

/// A start of a node. Neither its id nor a number has a `~`, which scripts put behind it.
fn node_name(node: &NodeInfo) -> Value {
    format!("{}:{:x}", node.id, node.incarnation.as_u64()).into()
}

fn number(number: usize) -> Value {
    i64::try_from(number).unwrap_or(i64::MAX).into()
}
