//! Which server of a cluster has which slot.

use std::collections::HashMap;

use crate::{Address, reply::Reply};

/// As `CLUSTER SLOTS` tells it, and as redirects have told since.
#[derive(Debug, Clone, Default)]
pub struct Slots {
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
    #[must_use]
    pub fn read(answer: &Reply, asked: &Address) -> Self {
        let mut slots = Self::default();
        for range in answer.as_array() {
            // The first slot, the last one, the master, and its replicas.
            let mut parts = range.as_array().iter();
            let mut number = || parts.next()?.as_number()?.try_into().ok();
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

    /// Who has a slot.
    #[must_use]
    pub fn owner(&self, slot: u16) -> Option<&Address> {
        let within = |range: &&Range| (range.first..=range.last).contains(&slot);
        let by_range = || self.ranges.iter().find(within).map(|range| &range.master);
        self.moved.get(&slot).or_else(by_range)
    }

    /// Takes note of a redirect.
    pub fn moved(&mut self, slot: u16, to: &Address) {
        self.moved.insert(slot, to.clone());
    }

    /// A slot of this server.
    #[must_use]
    pub fn one_of(&self, server: &Address) -> Option<u16> {
        let mut own = self.ranges.iter().filter(|range| range.master == *server);
        own.find_map(|range| (range.first..=range.last).find(|slot| !self.moved.contains_key(slot)))
    }

    /// All that have slots, some of them several times.
    pub fn masters(&self) -> impl Iterator<Item = &Address> {
        self.ranges.iter().map(|range| &range.master)
    }

    /// The host name that a server says it has.
    #[must_use]
    pub fn name(&self, server: &Address) -> Option<&str> {
        self.names.get(server).map(String::as_str)
    }
}

/// The slot of a key's hash tag: what is between its first braces, or all of it.
#[must_use]
pub fn slot(tag: &[u8]) -> u16 {
    // CRC16/XMODEM, as Redis Cluster has it.
    let step = |crc: u16, byte: &u8| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc, _| match crc & 0x8000 {
            0 => crc << 1,
            _ => (crc << 1) ^ 0x1021,
        })
    };
    tag.iter().fold(0, step) % 16_384
}

/// A host, a port, an id, and more by name and value since Redis 7, among it a host name.
fn server(written: &Reply, asked: &Address) -> Option<(Address, Option<String>)> {
    let mut parts = written.as_array().iter();
    let host = match parts.next()? {
        Reply::Null => "",
        host => host.as_text()?,
    };
    let port = parts.next()?.as_number()?.try_into().ok()?;
    let name = parts.nth(1).and_then(|more| more.named("hostname"));
    let name = name.filter(|name| !name.is_empty()).map(str::to_owned);
    let host = match host {
        // A server that doesn't know its own address.
        "" => &asked.host,
        // One that was to have a name, and has none.
        "?" => return None,
        _ => host,
    };
    Some((Address::new(host, port), name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn array(values: impl IntoIterator<Item = Reply>) -> Reply {
        Reply::Array(values.into_iter().collect())
    }

    fn text(text: &str) -> Reply {
        Reply::Text(text.to_owned())
    }

    fn range(first: i64, last: i64, host: Reply, port: i64, more: Reply) -> Reply {
        let master = array([host, Reply::Number(port), text("id"), more]);
        let replica = array([text("10.0.0.9"), Reply::Number(9), text("other")]);
        array([Reply::Number(first), Reply::Number(last), master, replica])
    }

    #[test]
    fn slots_are_as_redis_has_them() {
        assert_eq!(slot(b"123456789"), 0x31c3);
        assert_eq!((slot(b"foo"), slot(b"")), (12_182, 0));
    }

    #[test]
    fn an_answer_is_read() {
        let named = array([text("hostname"), text("redis-1.example")]);
        let none = || array([]);
        let answer = array([
            range(0, 99, text("10.0.0.1"), 1, named),
            range(100, 199, Reply::Null, 2, none()),
            range(200, 299, text(""), 3, none()),
            range(300, 399, text("?"), 4, none()),
            range(-1, 399, text("h"), 4, none()),
            array([text("x")]),
            text("garbage"),
        ]);
        let at = Address::new;
        let mut slots = Slots::read(&answer, &at("asked", 7));
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
