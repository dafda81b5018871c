//! What is asked of a server.

use fred::{
    clients::{Client, Pipeline},
    error::Error,
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};
use tokio::time::Instant;

use super::{Script, error::says, server::options};

/// A command, which can be sent again where it has to go elsewhere.
#[derive(Debug)]
pub struct Command<'c> {
    what: What<'c>,
    is_repeatable: bool,
}

#[derive(Debug)]
enum What<'c> {
    Plain(&'static str, &'c str),
    Run(&'c Script, Vec<&'c str>, Vec<Value>),
}

impl<'c> Command<'c> {
    /// A command with one key and nothing else, such as `ZCARD`.
    #[must_use]
    pub const fn plain(name: &'static str, key: &'c str) -> Self {
        Self {
            what: What::Plain(name, key),
            is_repeatable: true,
        }
    }

    /// Runs a script. All keys have one hash tag; the first of them is all that a server is told of
    /// while the slot is on its way to it, so the script has to know the others by that.
    #[must_use]
    pub const fn run(script: &'c Script, keys: Vec<&'c str>, arguments: Vec<Value>) -> Self {
        Self {
            what: What::Run(script, keys, arguments),
            is_repeatable: true,
        }
    }

    /// To do it twice is something else than to do it once: it isn't sent again where it may have
    /// been carried out.
    #[must_use]
    pub const fn once(mut self) -> Self {
        self.is_repeatable = false;
        self
    }

    pub(crate) const fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// What decides which server has the keys.
    pub(crate) fn key(&self) -> &str {
        match &self.what {
            What::Plain(_, key) => key,
            What::Run(_, keys, _) => keys.first().copied().unwrap_or_default(),
        }
    }

    /// Sends it. A command that waits longer isn't sent.
    ///
    /// With `asking`, to a server that is about to get the keys' slot, and after the one that has
    /// it said that none of the keys is there any more. Then only the first key is declared: of
    /// several the server would want all to be there already.
    ///
    /// # Errors
    /// Those of the client, and what the server answers.
    pub async fn send(
        &self,
        client: &Client,
        deadline: Instant,
        asking: bool,
    ) -> Result<Value, Error> {
        match &self.what {
            What::Plain(name, key) => {
                once(client, deadline, asking, name, vec![(*key).into()]).await
            }
            What::Run(script, keys, arguments) => {
                let keys = match asking {
                    true => keys.get(..1).unwrap_or_default(),
                    false => keys,
                };
                let run = async |name, script: &str| {
                    let count = i64::try_from(keys.len()).unwrap_or(i64::MAX);
                    let mut words: Vec<Value> = vec![script.into(), count.into()];
                    words.extend(keys.iter().map(|key| Value::from(*key)));
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
