//! How a node is, with numbers, ages and errors.

use realtime_core::NodeId;
use serde::Serialize;

#[cfg(feature = "admin")]
use crate::RecentError;
use crate::{Health, Stats, gateway::Gateway};

/// How a node is at a moment, for people and their tools. It is of the same size however many sessions
/// there are; those are asked for apart, in pages: [`Gateway::inspect_sessions`].
///
/// As JSON it has these field names. It holds no token and no payload; causes of outages and errors come
/// from backends and hooks, as the log has them, and may name addresses.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Inspection {
    /// This node.
    pub node_id: NodeId,
    /// What the gateway is called in its process.
    pub name: String,
    /// How long ago it was built, in seconds.
    pub uptime_s: u64,
    /// Whether it stays.
    pub phase: Phase,
    /// How it is, and its links.
    pub health: Health,
    /// For how long the links have been so.
    pub link_ages: LinkAges,
    /// How many connections there may be; `None` without a limit.
    pub max_connections: Option<usize>,
    /// How many rooms have members here.
    pub rooms: usize,
    /// How many messages wait in the queues of all sessions. How much memory they take is
    /// [`queued_bytes`](Stats::queued_bytes).
    #[cfg(feature = "admin")]
    #[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
    pub queued_messages: u64,
    /// What has happened so far. Memory of all queues is
    /// [`queued_bytes`](Stats::queued_bytes).
    pub stats: Stats,
    /// The nodes of the cluster, as far as this one knows: itself first.
    pub nodes: Vec<NodeId>,
    /// The last errors of the server, the newest first: at most 64.
    #[cfg(feature = "admin")]
    #[cfg_attr(docsrs, doc(cfg(feature = "admin")))]
    pub errors: Vec<RecentError>,
}

/// Whether a node stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Phase {
    /// It accepts connections.
    Serving,
    /// It accepts none, and closes those that it has one after the other.
    Draining,
    /// It shuts down.
    Ending,
}

/// For how long each link has been up, or hasn't, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct LinkAges {
    /// That to the other nodes.
    pub broker_s: u64,
    /// That to the history of rooms.
    pub history_s: u64,
    /// That to the presence store.
    pub presence_s: u64,
    /// That to the store of revocations.
    pub revocations_s: u64,
}

impl Gateway {
    /// How this node is at the moment, in one value that can be shown and written as JSON. It asks no
    /// backend and looks at no session, so it is cheap: some microseconds.
    ///
    /// ```
    /// use realtime::inspect::Phase;
    ///
    /// let gateway = realtime::builder().build()?;
    /// let inspection = gateway.inspect();
    /// assert_eq!(inspection.node_id, *gateway.node_id());
    /// assert_eq!((inspection.phase, inspection.rooms), (Phase::Serving, 0));
    /// println!("{}", serde_json::to_string_pretty(&inspection).unwrap_or_default());
    /// # Ok::<(), realtime::error::BuildError>(())
    /// ```
    #[must_use]
    pub fn inspect(&self) -> Inspection {
        let node = self.node();
        Inspection {
            node_id: node.info.id.clone(),
            name: node.config.name.clone(),
            uptime_s: node.built.elapsed().as_secs(),
            phase: match (node.is_ending(), node.is_draining()) {
                (true, _) => Phase::Ending,
                (false, true) => Phase::Draining,
                (false, false) => Phase::Serving,
            },
            health: self.health(),
            link_ages: LinkAges {
                broker_s: node.broker_link.age().as_secs(),
                history_s: node.history_link.age().as_secs(),
                presence_s: node.registry.link.age().as_secs(),
                revocations_s: node.revocations_link.age().as_secs(),
            },
            max_connections: node.config.max_connections.filter(|most| *most > 0),
            rooms: node.hub.rooms().len(),
            #[cfg(feature = "admin")]
            queued_messages: node.env.queued.messages() as u64,
            stats: node.snapshot(),
            nodes: self.nodes().into_iter().map(|node| node.id).collect(),
            #[cfg(feature = "admin")]
            errors: node.reports.recent(),
        }
    }
}
