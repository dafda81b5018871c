//! The names of what is stored in Redis.

use realtime_core::RoomName;

/// Makes the keys of one namespace.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    prefix: String,
}

/// The keys of a room, on one node of a cluster.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct RoomKeys {
    pub(crate) meta: String,
    pub(crate) log: String,
}

impl Keys {
    pub(crate) fn new(namespace: &str) -> Self {
        Self {
            prefix: format!("rt:{namespace}:history"),
        }
    }

    /// A letter stands before the name: a hash tag that is empty, as before a name that begins with
    /// a closing brace, would be none.
    pub(crate) fn of(&self, room: &RoomName) -> RoomKeys {
        RoomKeys::under(&format!("{}:{{r:{room}}}", self.prefix))
    }

    /// What the keys of a probe with this hash tag begin with. No room has it.
    pub(crate) fn probe(&self, tag: &str) -> String {
        format!("{}:{{{tag}}}", self.prefix)
    }
}

impl RoomKeys {
    pub(crate) fn under(tagged: &str) -> Self {
        Self {
            meta: format!("{tagged}:meta"),
            log: format!("{tagged}:log"),
        }
    }

    /// In the order in which the scripts want them.
    pub(crate) fn all(&self) -> Vec<&str> {
        vec![&self.meta, &self.log]
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    const NAMES: [&str; 16] = [
        "a", "{", "}", "{}", "}{", "{a}", "a}", "a}:meta", "a}:log", ":meta", ":log", "a:log",
        "r:a", "\0", " ", "{r:a}",
    ];

    fn keys(name: &str) -> RoomKeys {
        Keys::new("n").of(&name.parse().unwrap())
    }

    #[test]
    fn no_two_rooms_share_a_key() {
        let all: HashSet<_> = NAMES
            .map(keys)
            .into_iter()
            .flat_map(|keys| [keys.meta, keys.log])
            .collect();
        assert_eq!(all.len(), 2 * NAMES.len());
        assert!(all.iter().all(|key| key.starts_with("rt:n:history:{")));
    }

    #[test]
    fn both_keys_of_a_room_have_one_hash_tag() {
        for name in NAMES {
            let RoomKeys { meta, log } = keys(name);
            // What is between the first brace and the first closing one after it is hashed.
            let tag = |key: &str| {
                let (_, rest) = key.split_once('{').unwrap();
                rest.split_once('}').unwrap().0.to_owned()
            };
            assert_eq!(tag(&meta), tag(&log), "{name:?}");
            assert!(!tag(&meta).is_empty(), "{name:?}");
            assert_ne!(tag(&meta), tag(&Keys::new("n").probe("probe-0")));
        }
    }
}
