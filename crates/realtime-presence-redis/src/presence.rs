//! The store itself: what the gateway calls.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use fred::interfaces::KeysInterface;
use futures::{StreamExt, TryStreamExt, stream};
use realtime_core::{
    Events, IdentityKey, SessionId,
    presence::{
        Presence, PresenceError, PresenceErrorKind, PresenceEvent, PresenceEvents, Registered,
        SessionInfo, SessionKey,
    },
};
use tokio::task::JoinHandle;

use crate::{
    RedisConfig,
    error::{closed, failed},
    keys,
    pool::Pool,
    record,
    scripts::{self, REGISTER, RENEW, SESSIONS, SESSIONS_PER_CALL, UNREGISTER},
    watchdog,
};

/// How many identities of one batch are under way at once.
const AT_ONCE: usize = 256;

/// Presence in Redis: one server, Sentinel or Cluster.
///
/// Making one opens no connection: the first call does. While Redis is away every call fails
/// within a second, and connections are tried again every 2 s at the most.
#[derive(Debug)]
pub struct RedisPresence {
    config: RedisConfig,
    events: Arc<Events<PresenceEvent>>,
    link: Mutex<Link>,
}

#[derive(Debug)]
enum Link {
    Idle,
    Open {
        pool: Arc<Pool>,
        watchdog: JoinHandle<()>,
    },
    Closed,
}

impl RedisPresence {
    /// A store that is not connected yet.
    ///
    /// # Errors
    /// Kind [`Config`](PresenceErrorKind::Config), naming the setting.
    pub fn new(config: RedisConfig) -> Result<Self, PresenceError> {
        config.validate()?;
        Ok(Self {
            config,
            events: Arc::default(),
            link: Mutex::new(Link::Idle),
        })
    }

    fn link(&self) -> MutexGuard<'_, Link> {
        self.link.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn pool(&self) -> Result<Arc<Pool>, PresenceError> {
        let mut link = self.link();
        match &*link {
            Link::Open { pool, .. } => Ok(Arc::clone(pool)),
            Link::Closed => Err(closed()),
            Link::Idle => {
                let (pool, connected) = Pool::open(&self.config)?;
                let events = Arc::clone(&self.events);
                let watched = watchdog::watch(Arc::clone(&pool), connected, events);
                *link = Link::Open {
                    pool: Arc::clone(&pool),
                    watchdog: tokio::spawn(watched),
                };
                Ok(pool)
            }
        }
    }

    /// Runs a script for each identity of a batch, and collects what they return.
    async fn each<T: Send, R: fred::types::FromValue + Send>(
        &self,
        what: &'static str,
        script: &fred::types::scripts::Script,
        batches: Vec<(IdentityKey, Vec<T>)>,
        arguments: impl Fn(&[T]) -> Result<Vec<String>, PresenceError>,
    ) -> Result<Vec<(IdentityKey, Vec<T>, R)>, PresenceError> {
        let pool = self.pool()?;
        let calls = batches.into_iter().map(|(identity, batch)| {
            let arguments = arguments(&batch);
            let pool = &pool;
            async move {
                let arguments = arguments?;
                let (client, _place) = pool.client(&identity).await?;
                let keys = keys::of(&self.config.namespace, &identity);
                let result = scripts::run(script, client, keys, arguments).await;
                Ok((identity, batch, result.map_err(|e| failed(what, e))?))
            }
        });
        stream::iter(calls)
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await
    }
}

/// Milliseconds, where 0 means that there is no lease.
fn ms(ttl: Option<Duration>) -> String {
    let ms = ttl.map_or(0, |ttl| ttl.as_millis().max(1));
    ms.to_string()
}

/// What one call may name, by identity and in order.
fn batches<T>(all: impl IntoIterator<Item = (IdentityKey, T)>) -> Vec<(IdentityKey, Vec<T>)> {
    let mut full = Vec::new();
    let mut open: HashMap<IdentityKey, Vec<T>> = HashMap::new();
    for (identity, one) in all {
        let batch = open.entry(identity.clone()).or_default();
        batch.push(one);
        if batch.len() == SESSIONS_PER_CALL {
            full.push((identity, std::mem::take(batch)));
        }
    }
    full.extend(open.into_iter().filter(|(_, batch)| !batch.is_empty()));
    full
}

fn ids(keys: &[SessionKey]) -> Vec<(IdentityKey, SessionId)> {
    keys.iter()
        .map(|key| (key.identity.clone(), key.session))
        .collect()
}

impl Presence for RedisPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Vec<Registered>, PresenceError> {
        let infos = sessions.iter().map(|info| (info.identity(), info));
        let arguments = |batch: &[&SessionInfo]| {
            let mut arguments = vec![ms(ttl)];
            for info in batch {
                arguments.push(info.session_id.to_string());
                arguments.push(record::write(info).map_err(|e| {
                    let context = "a session could not be written as JSON";
                    PresenceError::new(PresenceErrorKind::Corrupt, context).with_source(e)
                })?);
            }
            Ok(arguments)
        };
        let what = "register sessions";
        let done: Vec<(_, _, i64)> = self
            .each(what, &REGISTER, batches(infos), arguments)
            .await?;
        let ends: HashMap<SessionId, i64> = done
            .into_iter()
            .flat_map(|(_, batch, ends)| batch.into_iter().map(move |i| (i.session_id, ends)))
            .collect();
        let registered = |info: &SessionInfo| {
            let ends = ends.get(&info.session_id).copied();
            let ends = ends.and_then(|ends| u64::try_from(ends).ok());
            Registered::new(info.session_id, ends.map(record::time))
        };
        Ok(sessions.iter().map(registered).collect())
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<(), PresenceError> {
        let arguments = |batch: &[SessionId]| Ok(batch.iter().map(ToString::to_string).collect());
        let (what, batches) = ("unregister sessions", batches(ids(sessions)));
        let _done: Vec<(_, _, i64)> = self.each(what, &UNREGISTER, batches, arguments).await?;
        Ok(())
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Vec<SessionKey>, PresenceError> {
        let arguments = |batch: &[SessionId]| {
            let ids = batch.iter().map(ToString::to_string);
            Ok(std::iter::once(ms(ttl)).chain(ids).collect())
        };
        let (what, batches) = ("renew leases", batches(ids(sessions)));
        let done: Vec<(_, _, Vec<String>)> = self.each(what, &RENEW, batches, arguments).await?;
        let unknown = done.into_iter().flat_map(|(identity, _, unknown)| {
            let ids = unknown.into_iter().filter_map(|id| id.parse().ok());
            ids.map(move |session| SessionKey {
                identity: identity.clone(),
                session,
            })
        });
        Ok(unknown.collect())
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        let one = vec![(identity.clone(), Vec::<()>::new())];
        let what = "tell who is online";
        let found: Vec<(_, _, Vec<String>)> =
            self.each(what, &SESSIONS, one, |_| Ok(Vec::new())).await?;
        let mut sessions = Vec::new();
        for pair in found.iter().flat_map(|(_, _, found)| found.chunks_exact(2)) {
            match record::read(&pair[0], &pair[1]) {
                Some(info) => sessions.push(info),
                None => tracing::warn!(
                    target: "realtime::presence", bytes = pair[0].len(),
                    "skipped a record that is not a session of this version",
                ),
            }
        }
        sessions.sort_by_key(|info| (info.connected_at, info.session_id));
        Ok(sessions)
    }

    async fn is_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        let pool = self.pool()?;
        let (client, _place) = pool.client(identity).await?;
        let [leases, _] = keys::of(&self.config.namespace, identity);
        let found: Result<u64, _> = client.exists(leases).await;
        Ok(found.map_err(|e| failed("tell who is online", e))? > 0)
    }

    fn events(&self) -> PresenceEvents {
        PresenceEvents::new(self.events.subscribe())
    }

    async fn close(&self) {
        let link = std::mem::replace(&mut *self.link(), Link::Closed);
        if let Link::Open { pool, watchdog } = link {
            watchdog.abort();
            pool.close().await;
        }
        self.events.close();
    }
}

impl Drop for RedisPresence {
    fn drop(&mut self) {
        if let Link::Open { watchdog, .. } = &*self.link() {
            watchdog.abort();
        }
    }
}
