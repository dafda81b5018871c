//! What a roster answers.

use super::{Group, Member};
use crate::{IdentityKey, presence::Failure};

/// Somebody who came, or has gone: their first session of all nodes, or their last.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Change {
    /// Who, and where.
    pub member: Member,
    /// Which way.
    pub kind: ChangeKind,
    /// Each change of a group has a higher number than those before it. The same change may be told
    /// twice: who remembers the number of the last one of a member drops what isn't higher.
    pub version: u64,
}

impl Change {
    /// This member came or went, as the change of this number.
    #[must_use]
    pub const fn new(member: Member, kind: ChangeKind, version: u64) -> Self {
        Self {
            member,
            kind,
            version,
        }
    }
}

/// Which way a member went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ChangeKind {
    /// They are in the group now, and were not before.
    Joined,
    /// They are not in it any more.
    Left,
}

/// What became of [`enter`](super::Roster::enter): all who are not named as failed are in their
/// groups.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Entered {
    /// Those who were not there before. The caller tells of them, and then
    /// [confirms](super::Roster::confirm) that.
    pub changes: Vec<Change>,
    /// Those who could not be entered, in no particular order.
    pub failed: Vec<Failure<Member>>,
}

impl Entered {
    /// These were not there before, and these could not be entered.
    pub const fn new(changes: Vec<Change>, failed: Vec<Failure<Member>>) -> Self {
        Self { changes, failed }
    }
}

/// What became of [`leave`](super::Roster::leave): for all who are not named, this node says no
/// more.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Departed {
    /// Those for whom that failed, in no particular order.
    pub failed: Vec<Failure<Member>>,
}

impl Departed {
    /// All but these.
    pub const fn new(failed: Vec<Failure<Member>>) -> Self {
        Self { failed }
    }
}

/// What became of [`renew`](super::Roster::renew): all groups that are not named are renewed.
#[derive(Debug, Clone, Default)]
#[must_use]
#[non_exhaustive]
pub struct Prolonged {
    /// Groups of which the roster knew something else from this node: all members there are to be
    /// entered again.
    pub unknown: Vec<Group>,
    /// Those that could not be renewed, in no particular order.
    pub failed: Vec<Failure<Group>>,
}

impl Prolonged {
    /// All but these are renewed.
    pub const fn new(unknown: Vec<Group>, failed: Vec<Failure<Group>>) -> Self {
        Self { unknown, failed }
    }
}

/// Some members of a group; the answer of [`members`](super::Roster::members).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use]
#[non_exhaustive]
pub struct MemberPage {
    /// Who they are, in the order in which they came.
    pub members: Vec<Present>,
    /// How many the whole group has.
    pub count: u64,
    /// What to ask for next, where there are more: those after this number.
    pub after: Option<u64>,
}

impl MemberPage {
    /// These, of so many, and where the next page begins.
    pub const fn new(members: Vec<Present>, count: u64, after: Option<u64>) -> Self {
        Self {
            members,
            count,
            after,
        }
    }
}

/// Somebody who is in a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Present {
    /// Who.
    pub identity: IdentityKey,
    /// The number of the [`Change`] by which they came.
    pub version: u64,
}

impl Present {
    /// This identity, which came with the change of this number.
    #[must_use]
    pub const fn new(identity: IdentityKey, version: u64) -> Self {
        Self { identity, version }
    }
}
