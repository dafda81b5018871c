//! The names of what rosters keep in Redis: groups spread over shards, and identities in them.

use fred::types::Value;
use realtime_core::{IdentityKey, Namespace, RoomName, presence::Group};

/// Over how many hash slots groups are spread. All nodes of a cluster have to have the same.
pub(crate) const SHARDS: usize = 16;

/// Makes the keys of the shards of one namespace.
#[derive(Debug)]
pub(crate) struct Shards {
    keys: [ShardKeys; SHARDS],
}

/// The keys by which the scripts know a shard.
#[derive(Debug)]
pub(crate) struct ShardKeys {
    version: String,
    moves: String,
}

impl Shards {
    pub(crate) fn new(namespace: &Namespace) -> Self {
        // The namespace is part of the hash tag, so that those of several lie elsewhere.
        let keys = std::array::from_fn(|number| {
            let shard = format!("rt:{namespace}:roster:{{{namespace}:{number}}}");
            ShardKeys {
                version: format!("{shard}:version"),
                moves: format!("{shard}:moves"),
            }
        });
        Self { keys }
    }

    /// The keys that a script wants, where there is such a shard.
    pub(crate) fn keys(&self, shard: usize) -> Vec<&str> {
        let keys = self.keys.get(shard).into_iter();
        keys.flat_map(|keys| [&*keys.version, &*keys.moves])
            .collect()
    }
}

/// Where a group is kept: by the sum that Redis Cluster has, the same on every node and for ever.
pub(crate) fn shard_of(group: &str) -> usize {
    usize::from(realtime_redis::slot(group.as_bytes())) % SHARDS
}

/// The name of a group, which no other one has.
pub(crate) fn group_name(group: &Group) -> Option<String> {
    match group {
        Group::Room(room) => Some(format!("r:{}", room.as_str())),
        Group::Tenant(tenant) => Some(format!("t:{}", tenant.as_str())),
        _ => None,
    }
}

/// The group that has this name.
pub(crate) fn group_named(name: &Value) -> Option<Group> {
    let name = std::str::from_utf8(name.as_bytes()?).ok()?;
    match name.split_once(':')? {
        ("r", room) => RoomName::try_from(room).ok().map(Group::Room),
        ("t", tenant) => Some(Group::Tenant(tenant.into())),
        _ => None,
    }
}

/// The length of the tenant stands before it, so that no two identities share a name.
pub(crate) fn identity_name(identity: &IdentityKey) -> String {
    let (tenant, id) = (identity.tenant(), identity.id());
    format!("{}:{tenant}:{id}", tenant.len())
}

/// The identity that has this name.
pub(crate) fn identity_named(name: &Value) -> Option<IdentityKey> {
    let name = std::str::from_utf8(name.as_bytes()?).ok()?;
    let (length, rest) = name.split_once(':')?;
    let (tenant, id) = rest.split_at_checked(length.parse().ok()?)?;
    let identity = IdentityKey::new(id.strip_prefix(':')?).with_tenant(tenant);
    // What has another way to be written isn't ours.
    (identity_name(&identity) == name).then_some(identity)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn names_are_read_as_they_were_written(tenant in ".{0,20}", id in ".{0,20}") {
            let identity = IdentityKey::new(&id).with_tenant(&tenant);
            let name = Value::from(identity_name(&identity));
            prop_assert_eq!(identity_named(&name), Some(identity));
            let group = Group::Tenant(tenant.into());
            let name = Value::from(group_name(&group).unwrap());
            prop_assert_eq!(group_named(&name), Some(group));
        }

        #[test]
        fn garbage_has_one_name_at_the_most(name in any::<Vec<u8>>()) {
            let value = Value::Bytes(name.clone().into());
            if let Some(identity) = identity_named(&value) {
                prop_assert_eq!(identity_name(&identity).into_bytes(), name.clone());
            }
            if let Some(group) = group_named(&value) {
                prop_assert_eq!(group_name(&group).unwrap().into_bytes(), name);
            }
        }
    }

    #[test]
    fn what_is_not_ours_has_no_name() {
        for name in [
            "",
            "1",
            "1:",
            "1:a",
            "2:a:b",
            "01:a:b",
            "+1:a:b",
            "-1:a:b",
            "1:\u{e4}:b",
        ] {
            assert_eq!(identity_named(&name.into()), None, "{name}");
        }
        for name in ["", "r", "r:", "x:a", "rt:a"] {
            assert_eq!(group_named(&name.into()), None, "{name}");
        }
        for value in [Value::Null, Value::Integer(1), Value::Array(Vec::new())] {
            assert_eq!(identity_named(&value), None);
            assert_eq!(group_named(&value), None);
        }
    }

    #[test]
    fn rooms_and_tenants_of_one_name_are_apart_and_all_shards_have_some() {
        let room = Group::Room("a".parse().unwrap());
        assert_ne!(group_name(&room), group_name(&Group::Tenant("a".into())));
        let mut counts = [0; SHARDS];
        for n in 0..16_000 {
            counts[shard_of(&format!("r:order:{n}"))] += 1;
        }
        assert!(
            counts.iter().all(|count| (800..1_200).contains(count)),
            "{counts:?}"
        );
    }

    #[test]
    fn every_shard_has_one_slot_of_its_own() {
        let shards = Shards::new(&"shop".parse().unwrap());
        let mut slots = HashSet::new();
        for shard in 0..SHARDS {
            let keys = shards.keys(shard);
            assert!(keys.iter().all(|key| key.starts_with("rt:shop:roster:{")));
            let tag = |key: &str| {
                let (_, tag) = key.split_once('{').unwrap();
                realtime_redis::slot(tag.split_once('}').unwrap().0.as_bytes())
            };
            assert_eq!(tag(keys[0]), tag(keys[1]));
            slots.insert(tag(keys[0]));
        }
        assert_eq!(slots.len(), SHARDS);
        assert!(shards.keys(SHARDS).is_empty());
    }
}
