//! The names of subjects, on which messages for all and for one node stay in line.
//!
//! NATS's client has a queue for each subscription, so a node takes both by one, with a pattern.
//! Their subjects have 24 lanes. What is for all has 0 in each; what is for one node has 1 in the
//! lanes of that node, which itself asks for any sign in its lanes, and for 0 in the others. All
//! nodes have as many lanes as each other, so no node's are all among another's.

use bytes::Bytes;
use realtime_core::{NodeId, broker::Topic};

/// What is for a node alone, or for all.
pub(crate) fn of(prefix: &str, topic: &Topic) -> String {
    match topic {
        Topic::All => in_lanes(prefix, 0, ".1"),
        Topic::Node(node) => in_lanes(prefix, lanes(node), ".1"),
        // Any text is a name, but not of a subject.
        other => format!("{prefix}.{:x}", Bytes::from(other.to_string())),
    }
}

/// The pattern of what a node receives: what is for all and what is for it.
pub(crate) fn pattern(prefix: &str, node: &NodeId) -> String {
    in_lanes(prefix, lanes(node), ".*")
}

fn in_lanes(prefix: &str, lanes: u32, sign: &str) -> String {
    let signs = (0..24).map(|lane| [".0", sign][(lanes >> lane & 1) as usize]);
    signs.fold(prefix.to_owned(), |subject, sign| subject + sign)
}

/// 12 lanes that the name chooses, and of 12 more those that it does not. Of 4,096 nodes two may
/// have the same; each drops what is for the other.
fn lanes(node: &NodeId) -> u32 {
    let mix = |hash: u32, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    let hash = node.as_str().bytes().fold(0x811c_9dc5, mix);
    let half = (hash ^ hash >> 12 ^ hash >> 24) & 0xfff;
    half << 12 | !half & 0xfff
}

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, subject: &str) -> bool {
        let (pattern, subject) = (pattern.split('.'), subject.split('.'));
        pattern.clone().count() == subject.clone().count()
            && pattern
                .zip(subject)
                .all(|(one, other)| one == "*" || one == other)
    }

    #[test]
    fn a_node_takes_what_is_for_all_and_for_itself_and_nothing_else() {
        let nodes: Vec<NodeId> = (0..100)
            .map(|n| format!("node-{n}").parse().unwrap())
            .collect();
        let mut shared = 0;
        for node in &nodes {
            let own = pattern("p", node);
            assert!(takes(&own, &of("p", &Topic::All)));
            assert!(takes(&own, &of("p", &Topic::Node(node.clone()))));
            assert!(!takes(&own, &of("p", &Topic::Named("a".parse().unwrap()))));
            let others = nodes.iter().filter(|other| *other != node);
            let taken =
                others.filter(|other| takes(&own, &of("p", &Topic::Node((*other).clone()))));
            shared += taken.count();
        }
        assert!(shared <= 8, "{shared}");
    }
}
