//! The rooms of a node, some at a time.

use realtime_core::RoomName;
use serde::{Deserialize, Serialize};

use crate::gateway::Gateway;

/// Which rooms are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct RoomQuery {
    /// Those with this in their names; all, where it is empty.
    pub containing: String,
    /// How many at the most: 1 to 200, and 50 where nothing is said.
    pub limit: Option<usize>,
}

/// Some rooms of this node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct RoomPage {
    /// The rooms that were found, those with most members here first.
    pub rooms: Vec<RoomView>,
    /// Whether these are all that were asked for: there is no next page, so that a search is to say
    /// more. It is false, too, where there are more than 10,000 rooms: no more are looked at.
    pub is_complete: bool,
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

    /// So many at the most.
    #[must_use]
    pub const fn limit(mut self, limit: usize) -> Self {
        self.limit = Some(limit);
        self
    }
}

impl Gateway {
    /// Some rooms of this node, with how many of its sessions are in them.
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
    /// let page = gateway.inspect_rooms(&RoomQuery::new().containing("chat:"));
    /// assert_eq!((page.rooms[0].name.as_str(), page.rooms[0].members), ("chat:7", 1));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn inspect_rooms(&self, query: &RoomQuery) -> RoomPage {
        let limit = super::sessions::limit(query.limit);
        let part = query.containing.as_str();
        let pick = |name: &RoomName| name.as_str().contains(part);
        let (found, is_complete) = self.node().hub.rooms().page(limit, pick);
        let view = |(name, members): (RoomName, usize)| RoomView {
            name: name.as_str().to_owned(),
            members,
        };
        let mut rooms: Vec<RoomView> = found.into_iter().map(view).collect();
        rooms.sort_by(|a, b| {
            let by_members = b.members.cmp(&a.members);
            by_members.then_with(|| a.name.cmp(&b.name))
        });
        RoomPage { rooms, is_complete }
    }
}
