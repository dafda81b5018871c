//! What the scripts answer. What can't be read is left out, or refused as a whole.

use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use realtime_core::presence::{Change, ChangeKind, Member, MemberPage, Present};

use super::shards::{group_named, identity_named};

/// What became of a piece.
#[derive(Debug, Default)]
pub(crate) struct Dealt {
    /// Numbers, whose meaning is the script's.
    pub(crate) found: Vec<u64>,
    /// Numbers of groups, from 1, and what Redis said about each.
    pub(crate) failed: Vec<(usize, Error)>,
}

/// What a shard has handed out.
#[derive(Debug, Default)]
pub(crate) struct HandedOut {
    /// Whether there is more to be done by now.
    pub(crate) more: bool,
    pub(crate) changes: Vec<Change>,
    /// What can't be read, as group, identity, kind and version.
    pub(crate) garbage: Vec<[Value; 4]>,
    /// How many groups can't be read.
    pub(crate) unreadable: u64,
}

pub(crate) fn dealt(answer: Value) -> Option<Dealt> {
    let [found, failed] = parts(answer)?;
    let found = found.into_array().into_iter();
    let found = found.map(|number| number.as_u64()).collect::<Option<_>>()?;
    let failed = failed.into_array();
    let failed = failed.chunks_exact(2).map(|pair| {
        let [number, why] = pair else {
            return None;
        };
        let why = why.as_string().unwrap_or_default();
        let number = usize::try_from(number.as_u64()?).ok()?;
        Some((number, Error::new(ErrorKind::Unknown, why)))
    });
    let failed = failed.collect::<Option<_>>()?;
    Some(Dealt { found, failed })
}

pub(crate) fn handed_out(answer: Value) -> Option<HandedOut> {
    let [more, changes, unreadable] = parts(answer)?;
    let mut handed_out = HandedOut {
        more: more.as_u64()? > 0,
        unreadable: unreadable.as_u64()?,
        ..HandedOut::default()
    };
    let mut changes = changes.into_array().into_iter();
    while let (Some(group), Some(identity), Some(kind), Some(version)) = (
        changes.next(),
        changes.next(),
        changes.next(),
        changes.next(),
    ) {
        match change(&group, &identity, &kind, &version) {
            Some(change) => handed_out.changes.push(change),
            None => handed_out.garbage.push([group, identity, kind, version]),
        }
    }
    Some(handed_out)
}

fn change(group: &Value, identity: &Value, kind: &Value, version: &Value) -> Option<Change> {
    let member = Member::new(group_named(group)?, identity_named(identity)?);
    Some(Change::new(member, kind_of(kind)?, version.as_u64()?))
}

fn kind_of(kind: &Value) -> Option<ChangeKind> {
    match kind.as_u64()? {
        0 => Some(ChangeKind::Left),
        _ => Some(ChangeKind::Joined),
    }
}

/// How a script that confirms wants a change, without its identity.
pub(crate) fn confirmation(kind: ChangeKind, version: u64) -> String {
    let kind = match kind {
        ChangeKind::Left => "left",
        _ => "joined",
    };
    format!("{kind} {version} ")
}

/// The same, for what can't be read, so that it isn't handed out for ever.
pub(crate) fn confirmation_of_garbage([group, identity, kind, version]: [Value; 4]) -> Vec<Value> {
    let kind = kind_of(&kind).unwrap_or(ChangeKind::Left);
    let mut word = confirmation(kind, version.as_u64().unwrap_or_default()).into_bytes();
    word.extend_from_slice(identity.as_bytes().unwrap_or_default());
    vec![group, Value::Integer(1), Value::Bytes(word.into())]
}

/// A page of at most `limit`, and how many of it can't be read. One more than that was asked for.
pub(crate) fn members(answer: Value, limit: usize) -> Option<(MemberPage, u64)> {
    let [count, found] = parts(answer)?;
    let found = found.into_array();
    let mut page = found.chunks_exact(2).take(limit).peekable();
    let (mut members, mut garbage, mut last) = (Vec::new(), 0, None);
    while let Some([identity, version]) = page.next().map(|pair| [&pair[0], &pair[1]]) {
        last = version_of(version).or(last);
        match (identity_named(identity), version_of(version)) {
            (Some(identity), Some(version)) => members.push(Present::new(identity, version)),
            _ => garbage += 1,
        }
    }
    let after = last.filter(|_| found.len() / 2 > limit);
    Some((MemberPage::new(members, count.as_u64()?, after), garbage))
}

/// A score is written as a number that may have a fraction.
fn version_of(score: &Value) -> Option<u64> {
    let score = score.as_f64()?;
    // The cast saturates: what isn't a version comes from elsewhere.
    (score >= 0.0).then_some(score as u64)
}

fn parts<const N: usize>(answer: Value) -> Option<[Value; N]> {
    answer.into_array().try_into().ok()
}
