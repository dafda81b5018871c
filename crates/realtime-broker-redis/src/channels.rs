//! The names of the channels.

use realtime_core::broker::Topic;
use realtime_redis::Deployment;

/// Makes the names of one namespace.
///
/// All of them have one hash tag, so that they live on one server of a cluster: the order that is
/// promised is that of one server. All of them begin with `rt:`, for one rule of access.
#[derive(Debug, Clone)]
pub(crate) struct Channels {
    prefix: String,
}

impl Channels {
    /// Pub/sub knows no databases. So that clusters of gateways which a database keeps apart in
    /// everything else don't meet here, its number is a part of the name.
    pub(crate) fn of(deployment: &Deployment) -> Self {
        let namespace = deployment.namespace.as_str();
        let prefix = match deployment.database {
            None | Some(0) => format!("rt:{{{namespace}}}:"),
            Some(number) => format!("rt:{{{namespace}/{number}}}:"),
        };
        Self { prefix }
    }

    /// The channel of a topic.
    pub(crate) fn name(&self, topic: &Topic) -> String {
        format!("{}{topic}", self.prefix)
    }

    /// A channel that is named as those of topics are, and that no topic has, since a topic has a name:
    /// on it is found out whether this node may join topics, and publish there.
    pub(crate) fn of_no_topic(&self) -> String {
        format!("{}t.", self.prefix)
    }

    /// Whether this is that channel.
    pub(crate) fn is_of_no_topic(&self, channel: &[u8]) -> bool {
        channel.strip_prefix(self.prefix.as_bytes()) == Some(b"t.")
    }

    /// What a cluster hashes.
    pub(crate) fn tag(&self) -> &str {
        let tag = self.prefix.strip_prefix("rt:{").unwrap_or_default();
        tag.strip_suffix("}:").unwrap_or_default()
    }
}
