//! The sessions of a node, a page at a time.

use std::{fmt, str::FromStr};

use realtime_core::presence::SessionInfo;
use serde::{Deserialize, Serialize};

use crate::{Session, gateway::Gateway};

/// How many sessions a page has, and how many where nothing is said.
const MOST: usize = 200;
const USUAL: usize = 50;
/// How many are looked at for one page.
const LOOKED_AT: usize = 20_000;
/// How many of a session's rooms are named.
const ROOMS: usize = 8;

/// Which sessions are asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct SessionQuery {
    /// Those whose identity has this in its id or its tenant, whatever the case, or in `tenant/id`;
    /// all, where it is empty.
    pub containing: String,
    /// Those behind an earlier page.
    pub after: Option<SessionCursor>,
    /// How many at the most: 1 to 200, and 50 where nothing is said.
    pub limit: Option<usize>,
}

/// Where a page ended. It stays good while sessions come and go: who was behind it is behind it still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct SessionCursor {
    shard: usize,
    number: u64,
}

/// Some sessions of this node.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SessionPage {
    /// The sessions.
    pub sessions: Vec<SessionView>,
    /// Where there may be more. No more than 20,000 sessions are looked at for a page, so one that was
    /// searched may be short and have a next.
    pub next: Option<SessionCursor>,
}

/// A session, for people. Of the identity there are tenant and id, and neither roles nor claims.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct SessionView {
    /// What presence has of it.
    #[serde(flatten)]
    pub info: SessionInfo,
    /// What its client speaks: the name of the codec or the dialect.
    pub speaks: String,
    /// How many messages wait for it.
    pub queued_messages: usize,
    /// How much memory they take, in bytes.
    pub queued_bytes: usize,
    /// How many rooms it is in.
    pub room_count: usize,
    /// Their names: of the first 8.
    pub rooms: Vec<String>,
    /// How long the answer to the last ping took, in milliseconds; `None` before the first, and where
    /// the client's dialect has pings of its own.
    #[cfg(feature = "admin")]
    #[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
    pub round_trip_ms: Option<f64>,
    /// Whether it is closing.
    pub is_closing: bool,
}

impl SessionQuery {
    /// All sessions.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Those whose identity has this in it.
    #[must_use]
    pub fn containing(mut self, part: impl Into<String>) -> Self {
        self.containing = part.into();
        self
    }

    /// Those behind an earlier page.
    #[must_use]
    pub const fn after(mut self, cursor: SessionCursor) -> Self {
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
    /// Some sessions of this node: a page, and where the next begins. However many there are, it locks
    /// nothing for longer than for a few, lets other tasks have their turns, and copies no more than a
    /// page.
    ///
    /// Those of an identity on all nodes are [`sessions_of`](Self::sessions_of).
    ///
    /// # Cancel safety
    /// Safe: it changes nothing.
    ///
    /// ```
    /// use realtime::{Identity, inspect::SessionQuery};
    ///
    /// # use realtime_testkit::memory::connect;
    /// # #[tokio::main(flavor = "current_thread", start_paused = true)]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let gateway = realtime::builder().build()?;
    /// # let mut ann = connect(&gateway, Identity::new("ann")).await?;
    /// # let mut bob = connect(&gateway, Identity::new("bob")).await?;
    /// let mut query = SessionQuery::new().limit(1);
    /// let mut seen = 0;
    /// loop {
    ///     let page = gateway.inspect_sessions(&query).await;
    ///     seen += page.sessions.len();
    ///     let Some(next) = page.next else { break };
    ///     query = query.after(next);
    /// }
    /// assert_eq!(seen, 2);
    /// let page = gateway.inspect_sessions(&SessionQuery::new().containing("AN")).await;
    /// assert_eq!(page.sessions[0].info.identity.id(), "ann");
    /// # Ok(())
    /// # }
    /// ```
    pub async fn inspect_sessions(&self, query: &SessionQuery) -> SessionPage {
        let from = query.after.map_or((0, 0), |at| (at.shard, at.number));
        let part = query.containing.to_lowercase();
        let pick = |session: &Session| part.is_empty() || is_in(session, &part);
        let limit = limit(query.limit);
        let page = self.node().hub.page(from, limit, LOOKED_AT, pick).await;
        let next = page
            .next
            .map(|(shard, number)| SessionCursor { shard, number });
        SessionPage {
            sessions: page.sessions.iter().map(SessionView::of).collect(),
            next,
        }
    }
}

pub(super) fn limit(asked: Option<usize>) -> usize {
    asked.unwrap_or(USUAL).clamp(1, MOST)
}

fn is_in(session: &Session, part: &str) -> bool {
    let key = session.identity_key();
    format!("{}/{}", key.tenant(), key.id())
        .to_lowercase()
        .contains(part)
}

impl SessionView {
    fn of(session: &Session) -> Self {
        let rooms = session.rooms();
        let room_count = rooms.len();
        let first = rooms.iter().take(ROOMS);
        let rooms = first.map(|room| room.as_str().to_owned()).collect();
        Self {
            info: session.info(),
            speaks: session.encoder().name().to_owned(),
            queued_messages: session.outbox().frames(),
            queued_bytes: session.outbox().bytes(),
            room_count,
            rooms,
            #[cfg(feature = "admin")]
            round_trip_ms: session
                .round_trip()
                .map(|took| took.as_secs_f64() * 1_000.0),
            is_closing: session.is_closed(),
        }
    }
}

impl fmt::Display for SessionCursor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.shard, self.number)
    }
}

impl FromStr for SessionCursor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let read = || {
            let (shard, number) = text.split_once('.')?;
            let (shard, number) = (shard.parse().ok()?, number.parse().ok()?);
            Some(Self { shard, number })
        };
        read()
            .ok_or_else(|| "expected the `next` of an earlier page; got something else".to_owned())
    }
}

impl TryFrom<String> for SessionCursor {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<SessionCursor> for String {
    fn from(cursor: SessionCursor) -> Self {
        cursor.to_string()
    }
}
