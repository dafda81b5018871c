//! Which server of a cluster has which slot.

use std::collections::HashMap;

use fred::types::Value;

use crate::command::Address;

/// As `CLUSTER SLOTS` tells it, and as redirects have told since.
#[derive(Debug, Clone, Default)]
pub(crate) struct Slots {
    ranges: Vec<Range>,
    /// What has moved since. There are 16,384 slots.
    moved: HashMap<u16, Address>,
    /// Under which names servers say that they are known.
    names: HashMap<Address, String>,
}

#[derive(Debug, Clone)]
struct Range {
    first: u16,
    last: u16,
    master: Address,
}

impl Slots {
    /// Reads the answer of a server. What makes no sense is left out.
    pub(crate) fn read(answer: Value, asked: &Address) -> Self {
        let mut slots = Self::default();
        for range in answer.into_array() {
            // The first slot, the last one, the master, and its replicas.
            let mut parts = range.into_array().into_iter();
            let mut number = || parts.next()?.as_u64()?.try_into().ok();
            let (Some(first), Some(last)) = (number(), number()) else {
                continue;
            };
            let Some((master, name)) = parts.next().and_then(|master| server(master, asked)) else {
                continue;
            };
            if let Some(name) = name {
                slots.names.insert(master.clone(), name);
            }
            slots.ranges.push(Range {
                first,
                last,
                master,
            });
        }
        slots
    }

    pub(crate) fn owner(&self, slot: u16) -> Option<&Address> {
        let within = |range: &&Range| (range.first..=range.last).contains(&slot);
        let by_range = || self.ranges.iter().find(within).map(|range| &range.master);
        self.moved.get(&slot).or_else(by_range)
    }

    pub(crate) fn moved(&mut self, slot: u16, to: &Address) {
        self.moved.insert(slot, to.clone());
    }

    /// A slot of this server.
    pub(crate) fn one_of(&self, server: &Address) -> Option<u16> {
        let mut own = self.ranges.iter().filter(|range| range.master == *server);
        own.find_map(|range| (range.first..=range.last).find(|slot| !self.moved.contains_key(slot)))
    }

    pub(crate) fn masters(&self) -> impl Iterator<Item = &Address> {
        self.ranges.iter().map(|range| &range.master)
    }

    pub(crate) fn name(&self, server: &Address) -> Option<&str> {
        self.names.get(server).map(String::as_str)
    }
}

/// A host, a port, an id, and more by name and value since Redis 7, among it a host name.
fn server(written: Value, asked: &Address) -> Option<(Address, Option<String>)> {
    let mut parts = written.into_array().into_iter();
    let host = match parts.next()? {
        Value::Null => String::new(),
        host => host.into_string()?,
    };
    let port = parts.next()?.as_u64()?.try_into().ok()?;
    let more = parts.nth(1).map(Value::into_array).unwrap_or_default();
    let more: Vec<_> = more.into_iter().map(Value::into_string).collect();
    let mut pairs = more.chunks_exact(2);
    let name = pairs.find_map(|pair| match pair {
        [Some(key), Some(name)] if key == "hostname" && !name.is_empty() => Some(name.clone()),
        _ => None,
    });
    let host = match host.as_str() {
        // A server that doesn't know its own address.
        "" => asked.host.clone(),
        // One that was to have a name, and has none.
        "?" => return None,
        _ => host,
    };
    Some((Address { host, port }, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: impl IntoIterator<Item = Value>) -> Value {
        Value::Array(values.into_iter().collect())
    }

    fn at(host: &str, port: u16) -> Address {
        Address {
            host: host.to_owned(),
            port,
        }
    }

    fn range(first: i64, last: i64, host: Value, port: i64, more: Value) -> Value {
        let master = array([host, port.into(), "id".into(), more]);
        let replica = array(["10.0.0.9".into(), 9.into(), "other".into()]);
        array([first.into(), last.into(), master, replica])
    }

    #[test]
    fn an_answer_is_read() {
        let named = array(["hostname".into(), "redis-1.example".into()]);
        let none = || array([]);
        let answer = array([
            range(0, 99, "10.0.0.1".into(), 1, named),
            range(100, 199, Value::Null, 2, none()),
            range(200, 299, "".into(), 3, none()),
            range(300, 399, "?".into(), 4, none()),
            range(-1, 399, "h".into(), 4, none()),
            array(["x".into()]),
            "garbage".into(),
        ]);
        let mut slots = Slots::read(answer, &at("asked", 7));
        assert_eq!(slots.owner(99), Some(&at("10.0.0.1", 1)));
        assert_eq!(slots.name(&at("10.0.0.1", 1)), Some("redis-1.example"));
        assert_eq!(slots.owner(100), Some(&at("asked", 2)));
        assert_eq!(slots.owner(299), Some(&at("asked", 3)));
        assert_eq!(slots.owner(300), None);
        assert_eq!(slots.masters().count(), 3);
        slots.moved(100, &at("new", 8));
        assert_eq!(slots.owner(100), Some(&at("new", 8)));
        assert_eq!(slots.one_of(&at("asked", 2)), Some(101));
        assert_eq!(slots.one_of(&at("new", 8)), None);
    }
}
