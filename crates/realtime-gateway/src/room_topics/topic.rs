//! Over which topic of the broker a room's messages travel: a fixed number of topics, whatever the
//! number of rooms.

use realtime_core::{
    RoomName,
    broker::{Topic, TopicName},
};

/// How many topics all rooms share. The same on every node of a cluster.
const TOPICS: u64 = 64;
/// What their names begin with.
const PREFIX: &str = "rooms.";

/// One of the topics that carry rooms.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct RoomTopic(u8);

impl RoomTopic {
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        (0..TOPICS as u8).map(Self)
    }

    /// The topic of a room, by the FNV-1a hash of its name: every node must come to the same.
    pub(crate) fn of(room: &RoomName) -> Self {
        let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        let hash = room.as_str().bytes().fold(0xcbf2_9ce4_8422_2325, step);
        Self((hash % TOPICS) as u8)
    }

    /// Its number, from 0 on.
    pub(crate) fn index(self) -> usize {
        usize::from(self.0)
    }

    /// How the broker knows it.
    pub(crate) fn name(self) -> Option<TopicName> {
        format!("{PREFIX}{}", self.0).parse().ok()
    }

    /// The one that the broker knows by this name.
    pub(crate) fn of_topic(topic: &Topic) -> Option<Self> {
        let Topic::Named(name) = topic else {
            return None;
        };
        let number: u8 = name.as_str().strip_prefix(PREFIX)?.parse().ok()?;
        (u64::from(number) < TOPICS).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_has_the_same_topic_everywhere() {
        let topic = |room: &str| RoomTopic::of(&RoomName::try_from(room).unwrap()).index();
        // As `docs/wire.md` has them.
        assert_eq!(["a", "order:42", "Zimmer 7"].map(topic), [12, 49, 32]);
        for topic in RoomTopic::all() {
            let name = topic.name().map(Topic::Named).unwrap();
            assert_eq!(RoomTopic::of_topic(&name), Some(topic));
        }
        for other in ["rooms.64", "rooms.", "rooms.x", "order:42"] {
            let other = Topic::Named(other.parse().unwrap());
            assert_eq!(RoomTopic::of_topic(&other), None);
        }
        assert_eq!(RoomTopic::of_topic(&Topic::All), None);
    }
}
