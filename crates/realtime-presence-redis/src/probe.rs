//! Whether a server can be used: all that presence does, done once with keys of our own.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering::Relaxed},
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    types::Value,
};
use futures::{FutureExt, future::BoxFuture};
use realtime_redis::pool::{Command, Work};
use tokio::time::Instant;

use crate::{
    keys::{IdentityKeys, Keys},
    scripts::{NODES, REGISTER, RENEW, SESSIONS, SPARE, UNREGISTER, roster},
};

/// What is registered ends soon, where it can't be unregistered.
const LEASE_MS: i64 = 5_000;

/// Does what it vouches for: registers, renews, reads and unregisters; and what a roster does, where
/// somebody has asked for one.
#[derive(Debug)]
pub(crate) struct Probe {
    keys: Keys,
    has_roster: Arc<AtomicBool>,
}

impl Work for Probe {
    fn run<'w>(
        &'w self,
        client: &'w Client,
        tag: &'w str,
        deadline: Instant,
    ) -> BoxFuture<'w, Result<(), Error>> {
        async move {
            if self.has_roster.load(Relaxed) {
                let key = self.keys.probe_of_rosters(tag);
                let roster = Command::run(&roster::PROBE, vec![&key], Vec::new());
                roster.send(client, deadline, false).await?;
            }
            Self::all(client, &self.keys.probe(tag), deadline).await
        }
        .boxed()
    }
}

impl Probe {
    /// It does what a roster does once `has_roster` says so.
    pub(crate) const fn new(keys: Keys, has_roster: Arc<AtomicBool>) -> Self {
        Self { keys, has_roster }
    }

    async fn all(client: &Client, keys: &IdentityKeys, deadline: Instant) -> Result<(), Error> {
        // Others do the same at the same time under the same keys: what is removed with the last
        // session would hide behind theirs, so it is done by itself.
        let sessions = [(); 2].map(|()| format!("probe-{:016x}", fastrand::u64(..)));
        let session = |n: usize| sessions.get(n).map(String::as_str).unwrap_or_default();
        let value = |n: usize| Value::from(session(n));
        let record = |n: usize| {
            let session = session(n);
            format!(r#"{{"session_id":"{session}","node_id":"probe","incarnation":"0"}}"#)
        };
        let run = async |script, arguments| {
            let command = Command::run(script, keys.all(), arguments);
            command.send(client, deadline, false).await
        };
        let spare = keys.spare();
        let mut registered = vec![LEASE_MS.into()];
        for n in 0..sessions.len() {
            registered.extend([value(n), record(n).into()]);
        }
        run(&REGISTER, registered).await?;
        // Together, so that a connection is ready after few round trips.
        let count = Command::plain("ZCARD", &keys.leases);
        let spare = Command::run(&SPARE, spare.all(), Vec::new());
        let (unknown, found, nodes, count, spare) = futures::join!(
            run(&RENEW, vec![LEASE_MS.into(), value(0)]),
            run(&SESSIONS, Vec::new()),
            run(&NODES, Vec::new()),
            count.send(client, deadline, false),
            spare.send(client, deadline, false),
        );
        spare?;
        let (unknown, nodes, count) = (unknown?, nodes?.into_array(), count?);
        // This one's own may be on a later page.
        let found = found?.into_array().into_iter().nth(1);
        let found = found.map(Value::into_array).unwrap_or_default();
        // One that leaves another behind, and one that may be the last.
        let (first, last) = futures::join!(
            run(&UNREGISTER, vec![value(0)]),
            run(&UNREGISTER, vec![value(1)]),
        );
        first?;
        last?;
        let is_known = unknown.into_array().is_empty() && !found.is_empty();
        if is_known && !nodes.is_empty() && count.as_u64() > Some(0) {
            return Ok(());
        }
        let lost = "what was registered a moment ago is not there";
        Err(Error::new(ErrorKind::Unknown, lost))
    }
}
