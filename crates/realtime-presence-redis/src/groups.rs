//! The sessions of one identity, which go in one call.

use std::collections::HashMap;

use fred::types::Value;
use realtime_core::{IdentityKey, presence::SessionKey};

/// How many sessions of one identity a script takes; it blocks the server meanwhile.
const SESSIONS_A_CALL: usize = 100;

/// Sessions of one identity that go in one call, by their place in the question.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) identity: IdentityKey,
    pub(crate) places: Vec<usize>,
}

/// Puts sessions of one identity together, in bounded pieces and in their order.
pub(crate) fn groups(identities: impl Iterator<Item = IdentityKey>) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut open: HashMap<IdentityKey, usize> = HashMap::new();
    for (place, identity) in identities.enumerate() {
        let group = open.get(&identity).and_then(|index| groups.get_mut(*index));
        match group {
            Some(group) if group.places.len() < SESSIONS_A_CALL => group.places.push(place),
            _ => {
                open.insert(identity.clone(), groups.len());
                groups.push(Group {
                    identity,
                    places: vec![place],
                });
            }
        }
    }
    groups
}

pub(crate) fn ids(group: &Group, sessions: &[SessionKey]) -> impl Iterator<Item = Value> {
    let key = |place: &usize| sessions.get(*place);
    let keys = group.places.iter().filter_map(key);
    keys.map(|key| key.session.to_string().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_batch_is_cut_by_identity_and_size() {
        let identity = |n: usize| IdentityKey::new((n % 2).to_string());
        let groups = groups((0..500).map(identity));
        let sizes: Vec<_> = groups.iter().map(|g| g.places.len()).collect();
        assert_eq!(sizes, [100, 100, 100, 100, 50, 50]);
        for group in &groups {
            assert!(group.places.is_sorted());
            assert!(
                group
                    .places
                    .iter()
                    .all(|place| identity(*place) == group.identity)
            );
        }
    }
}
