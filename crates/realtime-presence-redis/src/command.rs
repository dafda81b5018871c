//! What is asked of a server.

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
