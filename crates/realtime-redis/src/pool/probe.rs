//! Whether a server can be used: all that its backend does, done once with keys of our own.

use std::{sync::Arc, time::Duration};

use fred::{
    clients::Client,
    error::{Error, ErrorKind},
    interfaces::ClientLike,
    types::{ClusterHash, CustomCommand, Value},
};
use futures::future::BoxFuture;
use tokio::time::Instant;

use super::{address, server::options, tags};
use crate::{
    Address, Redirect,
    reply::{self, Reply},
};

/// What is said of a cluster that serves nobody, in place of its own answer.
const CLUSTER_DOWN: &str = "CLUSTERDOWN the cluster is down";

/// What a backend does to see whether a server can be used: all that it does otherwise, so that a
/// user who may not do one of it is noticed, with keys that nothing else has.
pub trait Work: Send + Sync + 'static {
    /// Does everything with keys of this hash tag. Others may do the same at the same time,
    /// with the same tag.
    ///
    /// # Errors
    /// What was wrong with one of the commands, or with its answer.
    fn run<'w>(
        &'w self,
        client: &'w Client,
        tag: &'w str,
        deadline: Instant,
    ) -> BoxFuture<'w, Result<(), Error>>;
}

/// Does the work of a backend with one server.
#[derive(Clone)]
pub(crate) struct Probe {
    work: Arc<dyn Work>,
    slot: Option<Arc<dyn Fn() -> Option<u16> + Send + Sync>>,
}

impl Probe {
    /// For a server that has all keys.
    pub(crate) fn of_a_server(work: &Arc<dyn Work>) -> Self {
        Self {
            work: Arc::clone(work),
            slot: None,
        }
    }

    /// For a master of a cluster, one of whose slots is found each time.
    pub(crate) fn of_a_master(
        work: &Arc<dyn Work>,
        slot: impl Fn() -> Option<u16> + Send + Sync + 'static,
    ) -> Self {
        Self {
            slot: Some(Arc::new(slot)),
            ..Self::of_a_server(work)
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
        let Some(tag) = self.tag() else {
            // It has no slot, or its slots aren't known yet.
            return client.with_options(&options(limit)).ping::<()>(None).await;
        };
        match self.work.run(client, &tag, deadline).await {
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

    fn tag(&self) -> Option<String> {
        match &self.slot {
            Some(slot) => slot().and_then(tags::of),
            None => Some(tags::any()),
        }
    }
}

fn redirected(error: &Error) -> bool {
    let anyone = Address::new("", 0);
    Redirect::of(error.details(), &anyone).is_some()
}
