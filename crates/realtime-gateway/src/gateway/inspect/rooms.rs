//! The rooms of a node, some at a time.

use std::{fmt, str::FromStr};

use realtime_core::RoomName;
use serde::{Deserialize, Serialize};

use crate::gateway::Gateway;

/// How many sessions and rooms are looked at for one page.
const LOOKED_AT: usize = 20_000;

/// Which rooms are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RoomQuery {
    /// Those with this in their names; all, where it is empty.
    pub containing: String,
    /// Those behind an earlier page.
    pub after: Option<RoomCursor>,
    /// How many at the most: 1 to 200, and 50 where nothing is said.
    pub limit: Option<usize>,
}

/// Some rooms of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RoomPage {
    /// The rooms that were found: on the first page first that of exactly this name, where there is
    /// one, and then in no particular order.
    pub rooms: Vec<RoomView>,
    /// Where there may be more. No more than 20,000 sessions and their rooms are looked at for a page,
    /// so one that was searched may be short and have a next.
    pub next: Option<RoomCursor>,
}

/// Where a page of rooms ended. It stays good while rooms come and go; one whose members come and go
/// meanwhile may be left out, or be there twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct RoomCursor {
    shard: usize,
    number: u64,
    room: usize,
}

/// A room with members on this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RoomView {
    /// Its name.
    pub name: String,
    /// How many sessions of this node are in it.
    pub members: usize,
}

impl RoomQuery {
    /// All rooms.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those with this in their names.
    #[must_use]
    pub fn containing(mut self, part: impl Into<String>) -> Self {
        self.containing = part.into();
        self
    }

    /// Those behind an earlier page.
    #[must_use]
    pub const fn after(mut self, cursor: RoomCursor) -> Self {
        self.after = Some(cursor);
        self
    }

    /// So many at the most.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Gateway {
    /// Some rooms of this node, with how many of its sessions are in them: a page, and where the next
    /// begins. However many there are, it locks nothing for longer than for one session's, and lets
    /// other tasks have their turns. One whose whole name is known is found at once.
    ///
    /// # Cancel safety
    /// Safe: it changes nothing.
    ///
    /// ```
    /// use realtime::{Identity, inspect::RoomQuery};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let session = ann.session(&gateway).ok_or("no session")?;
    /// session.join("chat:7").await?;
    /// let page = gateway.inspect_rooms(&RoomQuery::new().containing("chat:")).await;
    /// assert_eq!((page.rooms[0].name.as_str(), page.rooms[0].members), ("chat:7", 1));
    /// # Ok(())
    /// # }
    /// ```
    pub async fn inspect_rooms(&self, query: &RoomQuery) -> RoomPage {
        let hub = &self.node().hub;
        let limit = super::sessions::limit(query.limit);
        let part = query.containing.as_str();
        let exact = RoomName::try_from(part)
            .ok()
            .filter(|_| query.after.is_none());
        let exact = exact.and_then(|name| {
            let members = hub.rooms().count_of(&name)?;
            Some((name, members))
        });
        // That one has been first.
        let pick = |name: &RoomName| name.as_str().contains(part) && name.as_str() != part;
        let from = query.after.map_or((0, 0, 0), RoomCursor::place);
        let known = usize::from(exact.is_some());
        let found = hub.rooms_page(from, limit - known, LOOKED_AT, known, pick);
        let found = found.await;
        let view = |(name, members): (RoomName, usize)| RoomView {
            name: name.as_str().to_owned(),
            members,
        };
        RoomPage {
            rooms: exact.into_iter().chain(found.rooms).map(view).collect(),
            next: found.next.map(|(shard, number, room)| RoomCursor {
                shard,
                number,
                room,
            }),
        }
    }
}

impl RoomCursor {
    const fn place(self) -> (usize, u64, usize) {
        (self.shard, self.number, self.room)
    }
}

impl fmt::Display for RoomCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.shard, self.number, self.room)
    }
}

impl FromStr for RoomCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (shard, rest) = text.split_once('.')?;
            let (number, room) = rest.split_once('.')?;
            let (shard, number) = (shard.parse().ok()?, number.parse().ok()?);
            let room = room.parse().ok()?;
            Some(Self {
                shard,
                number,
                room,
            })
        };
        read()
            .ok_or_else(|| "expected the `next` of an earlier page; got something else".to_owned())
    }
}

impl TryFrom<String> for RoomCursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<RoomCursor> for String {
    fn from(cursor: RoomCursor) -> Self {
        cursor.to_string()
    }
}
