//! How a server of a cluster sends a command on to another one.

use crate::Address;

/// What a server of a cluster says when a command isn't for it, or not now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Redirect {
    /// Another one has the slot from now on.
    Moved(Address),
    /// Another one has this key already.
    Ask(Address),
    /// The keys are on their way, or with a server that has no name.
    Again,
}

impl Redirect {
    /// Reads an error such as `MOVED 3999 127.0.0.1:6381` from this server.
    #[must_use]
    pub fn of(text: &str, from: &Address) -> Option<Self> {
        let mut words = text.split_whitespace();
        match words.next()? {
            word @ ("MOVED" | "ASK") => {
                let (host, port) = words.nth(1)?.rsplit_once(':')?;
                let port = port.parse().ok()?;
                let host = match host {
                    // It is the one that was asked.
                    "" => &*from.host,
                    // One that was to have a name, and has none: nobody can go there.
                    "?" => return Some(Self::Again),
                    host => host.trim_matches(['[', ']']),
                };
                let to = Address::new(host, port);
                Some(match word {
                    "MOVED" => Self::Moved(to),
                    _ => Self::Ask(to),
                })
            }
            "TRYAGAIN" => Some(Self::Again),
            // A script has removed the last of a key whose slot is on its way.
            _ if text.contains("non local key") => Some(Self::Again),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_are_read() {
        let from = Address::new("10.0.0.1", 1);
        let moved = |host: &str, port| Some(Redirect::Moved(Address::new(host, port)));
        let ask = |host: &str, port| Some(Redirect::Ask(Address::new(host, port)));
        let rows = [
            ("MOVED 3999 10.0.0.2:6381", moved("10.0.0.2", 6381)),
            ("ASK 1 redis-2.example:7", ask("redis-2.example", 7)),
            ("ASK 1 2001:db8::1:7", ask("2001:db8::1", 7)),
            ("ASK 1 [2001:db8::1]:7", ask("2001:db8::1", 7)),
            ("MOVED 1 :7", moved("10.0.0.1", 7)),
            ("MOVED 3999 ?:6381", Some(Redirect::Again)),
            ("ASK 1 ?:7", Some(Redirect::Again)),
            (
                "TRYAGAIN Multiple keys request during rehashing",
                Some(Redirect::Again),
            ),
            (
                "ERR Script attempted to access a non local key in a cluster node script: x",
                Some(Redirect::Again),
            ),
            ("MOVED", None),
            ("ASK 1 h", None),
            ("ASK 1 h:x", None),
            ("ERR something", None),
            ("", None),
        ];
        for (text, redirect) in rows {
            assert_eq!(Redirect::of(text, &from), redirect, "{text}");
        }
    }
}
