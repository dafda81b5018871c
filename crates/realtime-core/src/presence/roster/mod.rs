//! Who is in which room, and who of a tenant is online: the part of presence that tells of comings
//! and goings.

mod answer;
mod any;
mod group;

use std::time::Duration;

use super::PresenceError;
use crate::broker::NodeInfo;

pub use answer::{Change, ChangeKind, Departed, Entered, MemberPage, Present, Prolonged};
pub use any::AnyRoster;
pub use group::{Group, Member};

/// For how long a [`Change`] that was handed out is the affair of the one who got it. If it isn't
/// confirmed by then, it is handed out again.
pub const CLAIM: Duration = Duration::from_secs(10);

/// For how long members of whom a node has to speak anew are still there: after
/// [`renew`](Roster::renew) has named their group as unknown.
pub const SPEAK_AGAIN: Duration = Duration::from_secs(10);

/// Remembers which identities are in which [`Group`], over all nodes, and tells of each who comes
/// and who goes.
///
/// Each node says of each group which identities it holds there, and renews that for the group as a
/// whole. An identity is in a group while a node says so, and for a grace after the last one has
/// said that it left, so that a page that is loaded again is no news. What a node says ends with its
/// lease: those whom only a crashed node held have then gone.
///
/// Whether somebody is the first or the last is decided within the store, in one step, so each
/// coming and each going is one [`Change`]. It is handed out to one caller, who tells of it and
/// confirms that. Where that doesn't happen within [`CLAIM`], another one gets it, under the same
/// number: none is lost, and whoever hears one twice sees that.
///
/// A store gives its roster by [`Presence::roster`](super::Presence::roster).
///
/// # What every method promises
/// What those of [`Presence`](super::Presence) do, for groups and members in the place of
/// identities and sessions. The times are those of the store's own clock.
///
/// The suite `roster_suite!` of `realtime-testkit` has a test for each bullet below, and
/// `roster_faults_suite!` for failures of single groups.
///
/// # Example
/// ```
/// use std::time::Duration;
///
/// use realtime::{
///     IdentityKey,
///     broker::NodeInfo,
///     node::Incarnation,
///     presence::{ChangeKind, Group, Member, MemoryPresence, Presence, Roster},
/// };
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let roster = MemoryPresence::new().roster().ok_or("no roster")?;
/// let node = NodeInfo::new("eu-1".parse()?, Incarnation::random());
/// let (lobby, lease) = (Group::Room("lobby".parse()?), Some(Duration::from_secs(90)));
/// let ann = [Member::new(lobby.clone(), IdentityKey::new("ann"))];
///
/// let entered = roster.enter(&node, &ann, lease).await?;
/// assert_eq!(entered.changes[0].kind, ChangeKind::Joined);
/// // Tell of it, and then:
/// roster.confirm(&entered.changes).await?;
/// assert_eq!(roster.members(&lobby, None, 100).await?.count, 1);
///
/// roster.leave(&node, &ann, Duration::from_secs(5)).await?;
/// # tokio::time::advance(Duration::from_secs(6)).await;
/// // She is gone once the grace is over.
/// let changes = roster.changes(100).await?;
/// assert_eq!(changes[0].kind, ChangeKind::Left);
/// # Ok(())
/// # }
/// ```
pub trait Roster: Send + Sync + 'static {
    /// This node holds these identities in these groups. What it says of each of the groups, as a
    /// whole, lasts for `ttl` from now; without one it does until the node says otherwise.
    ///
    /// # Behavior
    /// - Who enters is found at once, by every node.
    /// - The first to say so of an identity gets the change; who says it again, on this node or
    ///   another, gets none.
    /// - Who comes back within the grace was never gone: there is no change.
    /// - Groups are kept apart: rooms from tenants of the same name, and whatever names hold.
    /// - Identities of different tenants are different members of a room.
    /// - An empty list is fine, and so is one that names a member twice.
    /// - A member that can't be entered is named, with the reason; the others are entered.
    ///
    /// # Errors
    /// When nothing is known of any of them: the store is closed, can't be reached in time, or is
    /// misconfigured.
    fn enter(
        &self,
        node: &NodeInfo,
        members: &[Member],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Entered, PresenceError>> + Send;

    /// This node doesn't hold these identities in these groups any more.
    ///
    /// # Behavior
    /// - Who has left everywhere is found until the grace is over; then they are gone, and
    ///   [`changes`](Self::changes) tells of it.
    /// - Who is held by another node stays, and there is no change.
    /// - Leaving where one isn't is fine.
    /// - A member for whom it fails is named, with the reason; the others leave.
    ///
    /// # Errors
    /// As for [`enter`](Self::enter).
    fn leave(
        &self,
        node: &NodeInfo,
        members: &[Member],
        grace: Duration,
    ) -> impl Future<Output = Result<Departed, PresenceError>> + Send;

    /// Prolongs what this node says of groups, to `ttl` from now, also where it would last longer:
    /// a node that ends renews them all for no more than the grace. With each group goes the number
    /// of identities that the node holds there.
    ///
    /// # Behavior
    /// - The members that the node holds stay until the new lease ends.
    /// - A group of which the store knows nothing from this node is unknown.
    /// - A group of which the store knows another number of members of this node is unknown, too;
    ///   those of whom the node doesn't speak again within [`SPEAK_AGAIN`] have then left.
    /// - What a node says of a group ends with its lease: who was held by no other node leaves then,
    ///   without another grace, and [`changes`](Self::changes) tells of it.
    /// - A group that can't be renewed is named, with the reason; the others are renewed.
    ///
    /// # Errors
    /// As for [`enter`](Self::enter).
    fn renew(
        &self,
        node: &NodeInfo,
        groups: &[(Group, u64)],
        ttl: Option<Duration>,
    ) -> impl Future<Output = Result<Prolonged, PresenceError>> + Send;

    /// Changes of which somebody has to tell, at most `limit`: of those who have left, and those
    /// that were handed out and not confirmed. A gateway asks once a second.
    ///
    /// # Behavior
    /// - A change is handed out to one caller at a time.
    /// - One that isn't confirmed is handed out again after [`CLAIM`], with the same version.
    /// - One that is confirmed is not.
    /// - One that another change of the member has overtaken isn't handed out any more.
    /// - Each change of a member has a higher version than the one before.
    /// - However many there are, they come with the calls that follow.
    ///
    /// # Errors
    /// When the store is closed, can't be reached in time, or is misconfigured. What was handed out
    /// and didn't arrive is handed out again.
    fn changes(
        &self,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Change>, PresenceError>> + Send;

    /// Of these it was told, so that nobody has to any more.
    ///
    /// # Behavior
    /// - To confirm one twice, or one that was overtaken, is fine.
    /// - An empty list is fine.
    ///
    /// # Errors
    /// When it may not have been noted for all of them; they may be handed out again.
    fn confirm(&self, changes: &[Change])
    -> impl Future<Output = Result<(), PresenceError>> + Send;

    /// The members of a group, in the order in which they came: at most `limit` of those after a
    /// version, or of the first.
    ///
    /// # Behavior
    /// - Paging on leads to every member that stays, each once, and ends.
    /// - The count is that of the whole group.
    /// - An unknown group has none.
    /// - A member that is there has the version of the change by which they came.
    ///
    /// # Errors
    /// When the store is closed, can't be reached in time, is misconfigured, or holds something
    /// else where the group belongs.
    fn members(
        &self,
        group: &Group,
        after: Option<u64>,
        limit: usize,
    ) -> impl Future<Output = Result<MemberPage, PresenceError>> + Send;
}
