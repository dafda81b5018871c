//! Whether a server can be used: all that presence does, done once with keys of our own.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};
use realtime_redis::{
    Address, Redirect,
    reply::{self, Reply},
};
use tokio::time::Instant;

use crate::{
    address,
    command::Command,
    config::RedisConfig,
    keys::{IdentityKeys, Keys, probe_tag},
    scripts::{NODES, REGISTER, RENEW, SESSIONS, SPARE, UNREGISTER},
    server::options,
};

/// What is registered ends soon, where it can't be unregistered.
const LEASE_MS: i64 = 5_000;
/// How many names are tried for a key in a certain slot. There are 16,384 slots.
const NAMES: u32 = 200_000;

/// What is said of a cluster that serves nobody, in place of its own answer.
const CLUSTER_DOWN: &str = "CLUSTERDOWN the cluster is down";

/// Does what it vouches for: registers, renews, reads and unregisters.
#[derive(Clone)]
pub(crate) struct Probe {
    keys: Keys,
    slot: Option<Arc<dyn Fn() -> Option<u16> + Send + Sync>>,
    /// The slot that was looked at last, and what has a key there: found by trying.
    last: Arc<Mutex<Option<(u16, u32)>>>,
}

impl Probe {
    /// For a server that has all keys.
    pub(crate) fn of_a_server(config: &RedisConfig) -> Self {
        Self {
            keys: Keys::new(config.namespace().as_str()),
            slot: None,
            last: Arc::default(),
        }
    }

    /// For a master of a cluster, one of whose slots is found each time.
    pub(crate) fn of_a_master(
        config: &RedisConfig,
        slot: impl Fn() -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        Self {
            slot: Some(Arc::new(slot)),
            ..Self::of_a_server(config)
        }
    }

    /// Whether the server is of the kind that it is taken for.
    pub(crate) async fn is_of_this_kind(
        &self,
        client: &Client,
        limit: Duration,
    ) -> Result<(), Error> {
        if self.slot.is_some() {
            return Ok(());
        }
        let hello = CustomCommand::new_static("HELLO", ClusterHash::FirstKey, false);
        let client = client.with_options(&options(limit));
        // Who may not ask, or gets no answer, goes on: the first redirect tells as well.
        let answer = client.custom::<Value, Value>(hello, Vec::new()).await;
        let answer = answer.map_or(Reply::Null, address::reply);
        match reply::not_a_server(answer.named("mode")) {
            Some(what) => Err(Error::new(ErrorKind::Config, what)),
            None => Ok(()),
        }
    }

    /// Does everything, within a limit.
    pub(crate) async fn run(&self, client: &Client, limit: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + limit;
        if self.is_of_a_cluster_that_is_down(client, limit).await {
            return Err(Error::new(ErrorKind::Cluster, CLUSTER_DOWN));
        }
        let Some(keys) = self.probe_keys() else {
            // It has no slot, or its slots aren't known yet.
            return client.with_options(&options(limit)).ping::<()>(None).await;
        };
        match Self::all(client, &keys, deadline).await {
            // The slot has moved: that it answers is enough, and its slots are looked at again.
            Err(error) if self.slot.is_some() && redirected(&error) => Ok(()),
            Err(error) if redirected(&error) => {
                Err(Error::new(ErrorKind::Config, reply::A_CLUSTER))
            }
            done => done,
        }
    }

    /// Whether a master's cluster serves nobody. It says so where it is asked for its state; the
    /// client ends a connection on which a command is answered with `CLUSTERDOWN`.
    async fn is_of_a_cluster_that_is_down(&self, client: &Client, limit: Duration) -> bool {
        if self.slot.is_none() {
            return false;
        }
        let cluster = CustomCommand::new_static("CLUSTER", ClusterHash::FirstKey, false);
        let client = client.with_options(&options(limit));
        // Who may not ask goes on.
        let info = client.custom::<Value, _>(cluster, vec!["INFO"]).await;
        let info = info.ok().and_then(Value::into_string);
        info.is_some_and(|info| info.contains("cluster_state:fail"))
    }

    fn probe_keys(&self) -> Option<IdentityKeys> {
        let Some(slot) = &self.slot else {
            return Some(self.keys.probe(0));
        };
        let slot = slot()?;
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let number = match *last {
            Some((known, number)) if known == slot => number,
            _ => (0..NAMES).find(|n| realtime_redis::slot(probe_tag(*n).as_bytes()) == slot)?,
        };
        *last = Some((slot, number));
        Some(self.keys.probe(number))
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
            let command = Command::Run(script, keys, arguments);
            command.send(client, deadline, false).await
        };
        let spare = keys.spare();
        let mut registered = vec![LEASE_MS.into()];
        for n in 0..sessions.len() {
            registered.extend([value(n), record(n).into()]);
        }
        run(&REGISTER, registered).await?;
        // Together, so that a connection is ready after few round trips.
        let count = Command::Count(&keys.leases);
        let spare = Command::Run(&SPARE, &spare, Vec::new());
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

fn redirected(error: &Error) -> bool {
    let anyone = Address::new("", 0);
    Redirect::of(error.details(), &anyone).is_some()
}
