//! On which nodes an identity is, and where their pages are.

use std::{fmt, sync::Arc};

use realtime_core::{IdentityKey, NodeId, presence::PresenceError};
use serde::Serialize;

use super::Host;

/// Says where the page of a node is, where the host knows that.
#[derive(Clone, Default)]
pub(crate) struct Pages(Option<Arc<PageOf>>);

type PageOf = dyn Fn(&NodeId) -> Option<String> + Send + Sync;

impl Pages {
    pub(crate) fn new(page_of: impl Fn(&NodeId) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(page_of)))
    }

    fn of(&self, node: &NodeId) -> Option<String> {
        self.0.as_ref()?(node)
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pages").field(&self.0.is_some()).finish()
    }
}

/// How many sessions of an identity a node has.
#[derive(Debug, Serialize)]
pub(super) struct OnNode {
    pub(super) node_id: NodeId,
    pub(super) sessions: u64,
    /// The address of its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// Those of all nodes, as presence has them.
pub(super) async fn nodes_of(host: &Host, key: &IdentityKey) -> Result<Vec<OnNode>, PresenceError> {
    let nodes = host.gateway.nodes_of(key).await?;
    let here = host.gateway.node_id();
    let on = |node: NodeId, sessions| OnNode {
        page: (node != *here).then(|| host.pages.of(&node)).flatten(),
        node_id: node,
        sessions,
    };
    Ok(nodes
        .into_iter()
        .map(|there| on(there.node.id, there.sessions))
        .collect())
}
