//! Those who live on the servers of a cluster.

use std::collections::HashSet;

use realtime_core::{IdentityKey, presence::Presence};
use realtime_presence_redis::RedisPresence;
use realtime_testkit::servers::redis::{Redis, RedisCluster};

use crate::support::{LONG, register, renew, session, unregister};

/// Somebody in each part of the cluster.
pub(crate) fn people() -> Vec<IdentityKey> {
    (0..15).map(|n| IdentityKey::new(format!("p{n}"))).collect()
}

/// Everything that presence does with somebody, one call after the other.
pub(crate) async fn lives(presence: &RedisPresence, who: &IdentityKey) {
    let info = session(who);
    let (all, key) = ([info.clone()], [info.key()]);
    register(presence, &all, LONG).await;
    assert!(presence.is_online(who).await.unwrap());
    assert_eq!(renew(presence, &key, LONG).await, []);
    let found = presence.sessions(who).await.unwrap();
    assert!(found.iter().any(|f| f.session_id == info.session_id));
    unregister(presence, &key).await;
    assert_eq!(renew(presence, &key, LONG).await, key);
}

/// The slot of somebody, and which node has it.
pub(crate) async fn home(cluster: &mut RedisCluster, who: &IdentityKey) -> (String, usize) {
    let key = format!("rt:realtime:presence:{{0::{}}}:leases", who.id());
    let nodes = cluster.nodes();
    let slot = nodes[0].command(&["CLUSTER", "KEYSLOT", &key]).await;
    let slot = slot.unwrap();
    let number: u32 = slot.parse().unwrap();
    for (n, node) in nodes.iter().enumerate() {
        let all = node.command(&["CLUSTER", "NODES"]).await.unwrap();
        let own = all.lines().find(|line| line.contains("myself")).unwrap();
        let mut ranges = own
            .split(' ')
            .skip(8)
            .filter(|range| !range.starts_with('['));
        let has = |range: &str| {
            let (first, last) = range.split_once('-').unwrap_or((range, range));
            (first.parse().unwrap()..=last.parse().unwrap()).contains(&number)
        };
        if ranges.any(has) {
            return (slot, n);
        }
    }
    panic!("nobody has slot {slot}");
}

/// The connections of presence: those of the cluster and of the tests have other last commands.
pub(crate) async fn connections(nodes: &mut [Redis]) -> HashSet<String> {
    let mut all = HashSet::new();
    for (n, node) in nodes.iter().enumerate() {
        let list = node.command(&["CLIENT", "LIST"]).await.unwrap();
        let own = list.lines().filter(|line| !line.contains("cmd=client"));
        all.extend(own.map(|line| format!("{n} {}", line.split(' ').next().unwrap())));
    }
    all
}
