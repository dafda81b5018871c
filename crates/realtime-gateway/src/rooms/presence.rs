//! Who is in a room, or of a tenant online, and how the members of a room learn of each other.

use realtime_core::{
    BoxError, IdentityKey, Message, Payload, RoomName, Text,
    presence::{
        Change, ChangeKind, Group, Member, MemberPage, PresenceError, PresenceErrorKind, Roster,
    },
};
use serde::Serialize;

use super::send::send_now;
use crate::{backends::PRESENCE_CALL, handling::Shown, node::Node};

/// What members are told.
#[derive(Serialize)]
struct Told<'a> {
    event: &'static str,
    #[serde(flatten)]
    who: Shown<'a>,
}

/// Tells the members of a room who came or has gone, where its rule says so.
pub(crate) async fn announce(node: &Node, change: &Change) -> Result<(), BoxError> {
    let Group::Room(room) = &change.member.group else {
        return Ok(());
    };
    let Some(route) = node.room_table.announces(room) else {
        return Ok(());
    };
    let event = match change.kind {
        ChangeKind::Joined => "joined",
        ChangeKind::Left => "left",
        _ => return Ok(()),
    };
    let told = Told {
        event,
        who: Shown::new(&change.member.identity, change.version),
    };
    let data = Payload::from(serde_json::to_string(&told)?);
    let message = Message::new(Text::clone(route), data)?;
    // It isn't kept: who comes later asks who is there.
    send_now(node, vec![room.clone()], Vec::new(), message).await?;
    Ok(())
}

/// Some of the members of a group.
pub(crate) async fn members(
    node: &Node,
    group: &Group,
    after: Option<u64>,
    limit: usize,
) -> Result<MemberPage, PresenceError> {
    let is_kept = match group {
        Group::Room(room) => node.room_table.keeps_presence(room),
        Group::Tenant(_) => node.config.tenant_presence,
        _ => false,
    };
    match &node.registry.roster {
        Some(roster) if is_kept => roster.members(group, after, limit).await,
        _ => Err(not_kept(group)),
    }
}

/// Waits until presence says that a session's identity is in a room, or can't be told.
pub(super) async fn is_told(node: &Node, room: &RoomName, identity: &IdentityKey) {
    if node.room_table.keeps_presence(room) {
        let member = Member::new(Group::Room(room.clone()), identity.clone());
        let told = node.hub.attendance().told(member);
        let _in_time = tokio::time::timeout(PRESENCE_CALL, told).await;
    }
}

fn not_kept(group: &Group) -> PresenceError {
    let context = match group {
        Group::Room(room) => format!(
            "expected a room of which it is kept who is in it; of {room:?} it isn't: say so in its \
             rule, with `RoomRule::presence`"
        ),
        _ => "expected a gateway that keeps who of a tenant is online; this one doesn't: set \
              `tenant_presence`"
            .to_owned(),
    };
    PresenceError::new(PresenceErrorKind::Config, context)
}
