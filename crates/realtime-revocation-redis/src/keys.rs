//! The names of what is stored in Redis.

use realtime_core::{IdentityKey, revocation::RevocationScope};

/// Makes the keys of one namespace, all of which are in one hash slot.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

impl Keys {
    /// Letters stand before the namespace in the hash tag, so that a broker over the same cluster has
    /// another slot.
    pub(crate) fn new(namespace: &str) -> Self {
        Self::tagged(namespace, &format!("revoked-{namespace}"))
    }

    /// The keys of a probe, with its hash tag.
    pub(crate) fn probe(namespace: &str, tag: &str) -> Self {
        Self::tagged(namespace, tag)
    }

    fn tagged(namespace: &str, tag: &str) -> Self {
        Self {
            prefix: format!("rt:{namespace}:revocation:{{{tag}}}"),
        }
    }

    /// The key of the revocation with this name.
    pub(crate) fn of(&self, name: &str) -> String {
        format!("{}:{name}", self.prefix)
    }

    pub(crate) fn log(&self) -> String {
        format!("{}:log", self.prefix)
    }
}

pub(crate) const EVERYBODY: &str = "everybody";

pub(crate) fn tenant(tenant: &str) -> String {
    format!("tenant:{tenant}")
}

/// The length of the tenant stands before it, so that no two identities share a name.
pub(crate) fn identity(key: &IdentityKey) -> String {
    let (tenant, id) = (key.tenant(), key.id());
    format!("identity:{}:{tenant}:{id}", tenant.len())
}

pub(crate) fn token(id: &str) -> String {
    format!("token:{id}")
}

/// The name of a scope; `None` for one that this version doesn't know.
pub(crate) fn name(scope: &RevocationScope) -> Option<String> {
    match scope {
        RevocationScope::Everybody => Some(EVERYBODY.to_owned()),
        RevocationScope::Tenant(name) => Some(tenant(name)),
        RevocationScope::Identity(key) => Some(identity(key)),
        RevocationScope::Token(id) => Some(token(id)),
        _ => None,
    }
}

/// The scope with this name.
pub(crate) fn scope(name: &str) -> Option<RevocationScope> {
    if name == EVERYBODY {
        return Some(RevocationScope::Everybody);
    }
    let (sort, rest) = name.split_once(':')?;
    match sort {
        "tenant" => Some(RevocationScope::Tenant(rest.to_owned())),
        "token" => Some(RevocationScope::Token(rest.to_owned())),
        "identity" => {
            let (length, rest) = rest.split_once(':')?;
            let (tenant, id) = rest.split_at_checked(length.parse().ok()?)?;
            let key = IdentityKey::new(id.strip_prefix(':')?).with_tenant(tenant);
            Some(RevocationScope::Identity(key))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const PARTS: [&str; 10] = ["", "a", ":", "1:a", "{", "}", "{}", "\0", "log", "é:"];

    fn scopes() -> Vec<RevocationScope> {
        let mut scopes = vec![RevocationScope::Everybody];
        for one in PARTS {
            scopes.push(RevocationScope::Tenant(one.to_owned()));
            scopes.push(RevocationScope::Token(one.to_owned()));
            for other in PARTS {
                let key = IdentityKey::new(other).with_tenant(one);
                scopes.push(RevocationScope::Identity(key));
            }
        }
        scopes
    }

    #[test]
    fn no_two_scopes_share_a_key_and_each_is_found_by_its_name() {
        let keys = Keys::new("n");
        let mut all = HashSet::from([keys.log()]);
        for scope in scopes() {
            let name = name(&scope).unwrap();
            assert_eq!(super::scope(&name), Some(scope));
            assert!(all.insert(keys.of(&name)), "{name:?}");
        }
        for key in all {
            assert!(key.starts_with("rt:n:revocation:{revoked-n}:"), "{key}");
        }
    }

    #[test]
    fn what_is_no_name_has_no_scope() {
        for name in [
            "",
            "log",
            "everybody:",
            "identity:",
            "identity:a:b:c",
            "identity:9:a:b",
        ] {
            assert_eq!(scope(name), None, "{name}");
        }
        assert_eq!(scope("identity:1:é:b"), None, "in the middle of a letter");
        assert_eq!(scope("identity:1:ab"), None);
    }
}
