//! Who is in a room, or of a tenant online, and how the members of a room learn of each other.

use std::{collections::BTreeMap, time::Duration};

use futures::{FutureExt, StreamExt, future::BoxFuture, stream};

use realtime_core::{
    BoxError, IdentityKey, Message, Payload, RoomName, Text,
    presence::{
        Change, ChangeKind, Group, Member, MemberPage, PresenceError, PresenceErrorKind, Roster,
    },
};
use serde::Serialize;

use super::send::send_now;
use crate::{handling::Shown, node::Node};

/// In how many rooms it is told at the same time.
const AT_ONCE: usize = 64;

/// What members are told.
#[derive(Default, Serialize)]
struct Told<'a> {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    joined: Vec<Shown<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left: Vec<Shown<'a>>,
}

/// Tells the members of rooms whose rules say so who came and who has gone: those of each room in
/// one message. Returns what has failed.
pub(crate) async fn announce(node: &Node, changes: &[&Change]) -> Vec<BoxError> {
    let mut by_room: BTreeMap<&RoomName, Told<'_>> = BTreeMap::new();
    for change in changes {
        let Group::Room(room) = &change.member.group else {
            continue;
        };
        if node.room_table.announces(room).is_none() {
            continue;
        }
        let told = by_room.entry(room).or_default();
        let who = Shown::new(&change.member.identity, change.version);
        match change.kind {
            ChangeKind::Joined => told.joined.push(who),
            ChangeKind::Left => told.left.push(who),
            _ => {}
        }
    }
    let to_send = by_room.into_iter();
    let to_send: Vec<BoxFuture<'_, Result<(), BoxError>>> = to_send
        .map(|(room, told)| send(node, room, told).boxed())
        .collect();
    let sent = stream::iter(to_send).buffer_unordered(AT_ONCE);
    let sent: Vec<Result<(), BoxError>> = sent.collect().await;
    sent.into_iter().filter_map(Result::err).collect()
}

async fn send(node: &Node, room: &RoomName, told: Told<'_>) -> Result<(), BoxError> {
    let Some(route) = node.room_table.announces(room) else {
        return Ok(());
    };
    let data = Payload::json(&told)?;
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

/// How long a session that has joined waits for presence to know it.
const TOLD: Duration = Duration::from_secs(1);

/// Waits until presence says that a session's identity is in a room, so that who asks who is there
/// after it has joined is among them. Not for long, and not at all while presence is in trouble:
/// it is told later.
pub(super) async fn is_told(node: &Node, room: &RoomName, identity: &IdentityKey) {
    let member = Member::new(Group::Room(room.clone()), identity.clone());
    let told = node.hub.attendance().told(member);
    let _in_time = tokio::time::timeout(TOLD, told).await;
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
