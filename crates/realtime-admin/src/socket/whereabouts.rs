//! On which nodes an identity is, and where their pages are.

use std::{fmt, sync::Arc};

use realtime_core::{IdentityKey, NodeId, presence::PresenceError};
use realtime_gateway::__log::survive;
use serde::Serialize;

use super::Host;

/// How many sessions of an identity a node has.
#[derive(Debug, Serialize)]
pub(super) struct OnNode {
    pub(super) node_id: NodeId,
    pub(super) sessions: u64,
}

/// Another node that has some, and where they can be watched.
#[derive(Debug, Serialize)]
pub(super) struct Elsewhere {
    #[serde(flatten)]
    on: OnNode,
    /// The address of its page.
    #[serde(skip_serializing_if = "Option::is_none")]
    page: Option<String>,
}

/// Says where the page of a node is, where the host knows that.
#[derive(Clone, Default)]
pub(crate) struct Pages(Option<Arc<PageOf>>);

type PageOf = dyn Fn(&NodeId) -> Option<String> + Send + Sync;

impl Pages {
    pub(crate) fn new(page_of: impl Fn(&NodeId) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Some(Arc::new(page_of)))
    }

    /// `None` also where the host's answer is a panic: a link is missing then, and nothing else.
    fn of(&self, node: &NodeId) -> Option<String> {
        let page_of = self.0.as_ref()?;
        survive(|| page_of(node)).flatten()
    }
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Pages").field(&self.0.is_some()).finish()
    }
}

/// Those of all nodes, as presence has them.
pub(super) async fn nodes_of(host: &Host, key: &IdentityKey) -> Result<Vec<OnNode>, PresenceError> {
    let nodes = host.gateway.nodes_of(key).await?;
    let on = nodes.into_iter().map(|there| OnNode {
        node_id: there.node.id,
        sessions: there.sessions,
    });
    Ok(on.collect())
}

/// Those of the other nodes, and their pages.
pub(super) async fn elsewhere(
    host: &Host,
    key: &IdentityKey,
) -> Result<Vec<Elsewhere>, PresenceError> {
    let here = host.gateway.node_id();
    let mut nodes = nodes_of(host, key).await?;
    nodes.retain(|on| on.node_id != *here);
    let elsewhere = nodes.into_iter().map(|on| Elsewhere {
        page: host.pages.of(&on.node_id),
        on,
    });
    Ok(elsewhere.collect())
}
