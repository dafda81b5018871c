//! What is asked of a server, and how it sends one on to another server.

use fred::{
    clients::{Client, Pipeline},
    error::Error,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};
use tokio::time::Instant;

use crate::{error::says, keys::IdentityKeys, scripts::Script, server::options};

/// A command, which can be sent again where it has to go elsewhere.
#[derive(Debug)]
pub(crate) enum Command<'c> {
    /// How many sessions a sorted set has; an error where the key is of another type.
    Count(&'c str),
    /// Runs a script.
    Run(&'c Script, &'c IdentityKeys, Vec<Value>),
}

impl Command<'_> {
    /// What decides which server has the keys.
    pub(crate) fn key(&self) -> &str {
        match self {
            Self::Count(key) => key,
            Self::Run(_, keys, _) => &keys.leases,
        }
    }

    /// Sends it. A command that waits longer isn't sent.
    ///
    /// With `asking`, to a server that is about to get the keys' slot, and after the one that has
    /// it said that none of the keys is there any more. Then only the first key is declared: of
    /// several the server would want all to be there already.
    pub(crate) async fn send(
        &self,
        client: &Client,
        deadline: Instant,
        asking: bool,
    ) -> Result<Value, Error> {
        match self {
            Self::Count(key) => once(client, deadline, asking, "ZCARD", vec![(*key).into()]).await,
            Self::Run(script, keys, arguments) => {
                let run = async |name, script: &str| {
                    let mut words: Vec<Value> = vec![script.into()];
                    match asking {
                        true => words.extend([1.into(), keys.leases.as_str().into()]),
                        false => words.extend([
                            3.into(),
                            keys.leases.as_str().into(),
                            keys.sessions.as_str().into(),
                            keys.nodes.as_str().into(),
                        ]),
                    }
                    words.extend(arguments.iter().cloned());
                    once(client, deadline, asking, name, words).await
                };
                match run("EVALSHA", script.hash()).await {
                    Err(error) if says(&error, "NOSCRIPT") => run("EVAL", script.source()).await,
                    answer => answer,
                }
            }
        }
    }
}

async fn once(
    client: &Client,
    deadline: Instant,
    asking: bool,
    name: &'static str,
    words: Vec<Value>,
) -> Result<Value, Error> {
    let left = deadline.saturating_duration_since(Instant::now());
    let client = client.with_options(&options(left));
    let command = |name| CustomCommand::new_static(name, ClusterHash::FirstKey, false);
    if !asking {
        return client.custom(command(name), words).await;
    }
    // Nothing comes between the two.
    let both = Pipeline::from(client);
    let _queued: () = both.custom(command("ASKING"), Vec::<Value>::new()).await?;
    let _queued: () = both.custom(command(name), words).await?;
    both.last().await
}

/// Where a server is, as a cluster names it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Address {
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// What a server of a cluster says when a command isn't for it, or not now.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Redirect {
    /// Another one has the slot from now on.
    Moved(Address),
    /// Another one has this key already.
    Ask(Address),
    /// The keys are on their way.
    Again,
}

impl Redirect {
    /// Reads an answer such as `MOVED 3999 127.0.0.1:6381` from this server.
    pub(crate) fn of(error: &Error, from: &Address) -> Option<Self> {
        let text = error.details();
        let mut words = text.split_whitespace();
        let address = |written: Option<&str>| {
            let (host, port) = written?.rsplit_once(':')?;
            // Without a host it is the one that was asked.
            let host = if host.is_empty() { &from.host } else { host };
            Some(Address {
                host: host.trim_matches(['[', ']']).to_owned(),
                port: port.parse().ok()?,
            })
        };
        match words.next()? {
            "MOVED" => address(words.nth(1)).map(Self::Moved),
            "ASK" => address(words.nth(1)).map(Self::Ask),
            "TRYAGAIN" => Some(Self::Again),
            // A script has removed the last of a key whose slot is on its way.
            _ if text.contains("non local key") => Some(Self::Again),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use fred::error::ErrorKind;

    use super::*;

    #[test]
    fn redirects_are_read() {
        let from = Address {
            host: "10.0.0.1".to_owned(),
            port: 1,
        };
        let at = |host: &str, port| Address {
            host: host.to_owned(),
            port,
        };
        let rows = [
            (
                "MOVED 3999 10.0.0.2:6381",
                Some(Redirect::Moved(at("10.0.0.2", 6381))),
            ),
            (
                "ASK 1 redis-2.example:7",
                Some(Redirect::Ask(at("redis-2.example", 7))),
            ),
            (
                "ASK 1 2001:db8::1:7",
                Some(Redirect::Ask(at("2001:db8::1", 7))),
            ),
            ("MOVED 1 :7", Some(Redirect::Moved(at("10.0.0.1", 7)))),
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
            let error = Error::new(ErrorKind::Cluster, text);
            assert_eq!(Redirect::of(&error, &from), redirect, "{text}");
        }
    }
}
