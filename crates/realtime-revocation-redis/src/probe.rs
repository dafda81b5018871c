//! Whether a server can be used: all that revocations do, done once with keys of our own.

use std::time::{Duration, SystemTime};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    types::Value,
};
use futures::{FutureExt, future::BoxFuture};
use realtime_core::Namespace;
use realtime_redis::pool::{Command, Work};
use tokio::time::Instant;

use crate::{
    answer, commands,
    keys::{self, Keys},
};

/// What is written ends soon.
const ENDS: Duration = Duration::from_secs(5);

/// Does what it vouches for: revokes, twice so that something is replaced, and reads. All probes with
/// one hash tag share two keys, so that they don't add up.
#[derive(Debug)]
pub(crate) struct Probe {
    namespace: Namespace,
}

impl Work for Probe {
    fn run<'w>(
        &'w self,
        client: &'w Client,
        tag: &'w str,
        deadline: Instant,
    ) -> BoxFuture<'w, Result<(), Error>> {
        let keys = Keys::probe(self.namespace.as_str(), tag);
        async move { all(client, &keys, deadline).await }.boxed()
    }
}

impl Probe {
    pub(crate) const fn new(namespace: Namespace) -> Self {
        Self { namespace }
    }
}

async fn all(client: &Client, keys: &Keys, deadline: Instant) -> Result<(), Error> {
    let name = keys::token("probe");
    let (key, log) = (keys.of(&name), keys.log());
    let run = async |command: Command<'_>| command.send(client, deadline, false).await;
    let mut at = SystemTime::now();
    for _ in 0..2 {
        at += Duration::from_nanos(1);
        let answer = run(commands::revoke(&key, at, ENDS)).await?;
        let (before, known) = answer::revoked(answer).ok_or_else(not_there)?;
        run(commands::tell(&log, &name, before.as_ref(), &known)).await?;
    }
    let (known, lines) = futures::join!(run(commands::look(&key)), run(commands::since(&log, 0)));
    let known = answer::known(known?).map_err(|()| not_there())?;
    let is_known = known.is_some_and(|known| known.issued_before() >= at);
    let has_lines = matches!(lines?, Value::Array(lines) if !lines.is_empty());
    match is_known && has_lines {
        true => Ok(()),
        false => Err(not_there()),
    }
}

fn not_there() -> Error {
    Error::new(
        ErrorKind::Unknown,
        "what was revoked a moment ago is not there",
    )
}
