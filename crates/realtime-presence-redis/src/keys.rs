//! The names of what is stored in Redis.

use realtime_core::IdentityKey;

/// Makes the keys of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

/// The keys of an identity, on one node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct IdentityKeys {
    pub(crate) leases: String,
    pub(crate) sessions: String,
    pub(crate) nodes: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            prefix: format!("rt:{namespace}:presence"),
        }
    }

    /// The length of the tenant stands before it, so that no two identities share a name. It also
    /// keeps the hash tag from being empty, which a cluster wouldn't take for one.
    pub(crate) fn of(&self, identity: &IdentityKey) -> IdentityKeys {
        let (prefix, tenant, id) = (&self.prefix, identity.tenant(), identity.id());
        IdentityKeys::under(&format!("{prefix}:{{{}:{tenant}:{id}}}", tenant.len()))
    }

    /// Keys by which it is seen whether everything works, with the hash tag of a probe. No identity
    /// has them: its tag begins with a digit.
    pub(crate) fn probe(&self, tag: &str) -> IdentityKeys {
        IdentityKeys::under(&format!("{}:{{{tag}}}", self.prefix))
    }

    /// The same for rosters.
    pub(crate) fn probe_of_rosters(&self, tag: &str) -> String {
        format!("{}:{{{tag}}}:roster", self.prefix)
    }
}

impl IdentityKeys {
    /// In the order in which the scripts want them.
    pub(crate) fn all(&self) -> Vec<&str> {
        vec![&self.leases, &self.sessions, &self.nodes]
    }

    /// Another key of the same slot, in place of all of them.
    pub(crate) fn spare(&self) -> Self {
        let spare = self.leases.replace(":leases", ":spare");
        Self {
            leases: spare.clone(),
            sessions: spare.clone(),
            nodes: spare,
        }
    }

    fn under(tagged: &str) -> Self {
        Self {
            leases: format!("{tagged}:leases"),
            sessions: format!("{tagged}:sessions"),
            nodes: format!("{tagged}:nodes"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn no_two_identities_share_a_key() {
        let pairs = [
            ("a|b", "c"),
            ("a", "b|c"),
            ("a:b", "c"),
            ("a", "b:c"),
            ("", "a:b:c"),
            ("1:a", "b"),
            ("}", "{"),
            ("", "}:leases"),
            ("", "}:sessions"),
            ("", "}:nodes"),
        ];
        let keys = Keys::new("n");
        let all: HashSet<_> = pairs
            .iter()
            .map(|(tenant, id)| keys.of(&IdentityKey::new(*id).with_tenant(*tenant)))
            .flat_map(|keys| [keys.leases, keys.sessions, keys.nodes])
            .collect();
        assert_eq!(all.len(), 3 * pairs.len());
        assert!(all.iter().all(|key| key.starts_with("rt:n:presence:{")));
    }

    #[test]
    fn all_keys_of_an_identity_have_one_hash_tag() {
        for (tenant, id) in [("a", "b"), ("", ""), ("}", "{"), ("{", "}"), ("{}", "x")] {
            let keys = Keys::new("n").of(&IdentityKey::new(id).with_tenant(tenant));
            // What is between the first brace and the first closing one after it is hashed.
            let tag = |key: &str| {
                let (_, rest) = key.split_once('{').unwrap();
                rest.split_once('}').unwrap().0.to_owned()
            };
            assert_eq!(tag(&keys.leases), tag(&keys.sessions));
            assert_eq!(tag(&keys.leases), tag(&keys.nodes));
            assert!(!tag(&keys.leases).is_empty());
        }
    }
}
