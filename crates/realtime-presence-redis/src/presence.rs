//! The trait, on scripts and one `ZCARD`.

use std::{
    collections::{HashMap, HashSet},
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use fred::{
    error::{Error, ErrorKind},
    types::Value,
};
use realtime_core::{
    Events, IdentityKey,
    presence::{
        AnyRoster, NodeSessions, Online, Presence, PresenceError, PresenceEvent, PresenceEvents,
        Registered, Renewed, SessionInfo, SessionKey, Unregistered,
    },
};
use realtime_redis::pool::{Change, Command, Pool, Script};
use tokio::time::Instant;

use crate::{
    batch::{each, lease, sort_out},
    config::RedisConfig,
    corrupt::Corrupt,
    error::presence_error,
    groups::{Group, groups, ids},
    keys::Keys,
    probe::Probe,
    records::{decode, decode_node, encode},
    roster::{RedisRoster, Shards},
    scripts::{NODES, REGISTER, RENEW, SESSIONS, UNREGISTER},
};

/// How long reading all sessions of one identity may take, as so many times the command timeout.
/// They are read in pages, each of which is a command.
const PAGES_TIMEOUTS: u32 = 10;

/// Remembers in Redis which sessions are online.
///
/// Building one opens no connection: the first call does, [`events`](Presence::events) on a Tokio
/// runtime included, and the connections live on the runtime of that call. They end with
/// [`close`](Presence::close), or when this and its rosters are dropped. See the
/// [crate's page](crate) for what is stored, and for what happens when Redis fails.
pub struct RedisPresence {
    pool: Arc<Pool>,
    config: RedisConfig,
    keys: Keys,
    corrupt: Arc<Corrupt>,
    has_roster: Arc<AtomicBool>,
    events: Arc<Events<PresenceEvent>>,
}

impl RedisPresence {
    /// Presence in the Redis of this configuration.
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        let keys = Keys::new(config.namespace().as_str());
        let events = Arc::new(Events::new());
        let tell = {
            let events = Arc::clone(&events);
            move |change| tell(change, &events)
        };
        let has_roster = Arc::new(AtomicBool::new(false));
        let probe = Probe::new(keys.clone(), Arc::clone(&has_roster));
        Self {
            pool: Arc::new(Pool::new(config.0.clone(), probe, tell)),
            corrupt: Arc::new(Corrupt::new(config.namespace().clone())),
            config,
            keys,
            has_roster,
            events,
        }
    }

    /// Presence in the Redis at this URL; see [`RedisConfig::from_url`] for its forms.
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, PresenceError> {
        RedisConfig::from_url(url).map(Self::new)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// How many records were skipped since the start because they couldn't be read: something
    /// else wrote under the keys of this namespace.
    #[must_use]
    pub fn corrupt_records(&self) -> u64 {
        self.corrupt.count()
    }

    fn error(&self, error: Error) -> PresenceError {
        presence_error(self.pool.error(error))
    }

    async fn script(
        &self,
        script: &Script,
        identity: &IdentityKey,
        arguments: Vec<Value>,
    ) -> Result<Value, PresenceError> {
        let keys = self.keys.of(identity);
        let command = Command::run(script, keys.all(), arguments);
        let answer = self.pool.run(identity, command).await;
        answer.map_err(presence_error)
    }

    async fn register_group(
        &self,
        group: &Group,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<(), PresenceError> {
        let mut arguments = vec![lease(ttl)];
        for info in group.places.iter().filter_map(|place| sessions.get(*place)) {
            arguments.push(info.session_id.to_string().into());
            arguments.push(encode(info).map_err(|e| self.error(e))?);
        }
        self.script(&REGISTER, &group.identity, arguments).await?;
        Ok(())
    }

    async fn unregister_group(
        &self,
        group: &Group,
        sessions: &[SessionKey],
    ) -> Result<(), PresenceError> {
        let arguments = ids(group, sessions).collect();
        self.script(&UNREGISTER, &group.identity, arguments).await?;
        Ok(())
    }

    /// The places of those that are not there any more.
    async fn renew_group(
        &self,
        group: &Group,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Vec<usize>, PresenceError> {
        let mut arguments = vec![lease(ttl)];
        arguments.extend(ids(group, sessions));
        let answer = self.script(&RENEW, &group.identity, arguments).await?;
        let unknown = answer.convert::<Vec<usize>>();
        let unknown = unknown.map_err(|e| self.error(e))?;
        let place = |position: usize| group.places.get(position.checked_sub(1)?).copied();
        Ok(unknown.into_iter().filter_map(place).collect())
    }

    async fn is_one_online(&self, identity: &IdentityKey) -> Result<bool, PresenceError> {
        let leases = self.keys.of(identity).leases;
        let count = Command::plain("ZCARD", &leases);
        let count = self.pool.run(identity, count).await;
        let count = count.map_err(presence_error)?;
        let count = count.convert::<i64>().map_err(|e| self.error(e))?;
        Ok(count > 0)
    }

    /// Reads a session with its lease's end, where it is one.
    fn read(&self, identity: &IdentityKey, found: &[Value]) -> Option<SessionInfo> {
        let info = decode(identity, found);
        if info.is_none() {
            self.corrupt.found(1);
        }
        info
    }
}

impl fmt::Debug for RedisPresence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisPresence")
            .field("config", self.config())
            .field("corrupt_records", &self.corrupt_records())
            .finish_non_exhaustive()
    }
}

impl Presence for RedisPresence {
    async fn register(
        &self,
        sessions: &[SessionInfo],
        ttl: Option<Duration>,
    ) -> Result<Registered, PresenceError> {
        let groups = groups(sessions.iter().map(|s| s.identity.clone()));
        let call = |group: Group| async move {
            let answer = self.register_group(&group, sessions, ttl).await;
            (group.places, answer)
        };
        let answers = each(groups.into_iter().map(call).collect()).await;
        let key = |place: usize| sessions.get(place).map(SessionInfo::key);
        let (_done, failed) = sort_out(answers, key)?;
        Ok(Registered::new(failed))
    }

    async fn unregister(&self, sessions: &[SessionKey]) -> Result<Unregistered, PresenceError> {
        let groups = groups(sessions.iter().map(|key| key.identity.clone()));
        let call = |group: Group| async move {
            let answer = self.unregister_group(&group, sessions).await;
            (group.places, answer)
        };
        let answers = each(groups.into_iter().map(call).collect()).await;
        let (_done, failed) = sort_out(answers, |place| sessions.get(place).cloned())?;
        Ok(Unregistered::new(failed))
    }

    async fn renew(
        &self,
        sessions: &[SessionKey],
        ttl: Option<Duration>,
    ) -> Result<Renewed, PresenceError> {
        let groups = groups(sessions.iter().map(|key| key.identity.clone()));
        let call = |group: Group| async move {
            let answer = self.renew_group(&group, sessions, ttl).await;
            (group.places, answer)
        };
        let answers = each(groups.into_iter().map(call).collect()).await;
        let key = |place: usize| sessions.get(place).cloned();
        let (unknown, failed) = sort_out(answers, key)?;
        let unknown = unknown.into_iter().flatten().filter_map(key);
        Ok(Renewed::new(unknown.collect(), failed))
    }

    async fn sessions(&self, identity: &IdentityKey) -> Result<Vec<SessionInfo>, PresenceError> {
        let mut infos = HashMap::new();
        let mut page = Vec::new();
        let deadline = Instant::now() + self.config.0.command_timeout() * PAGES_TIMEOUTS;
        loop {
            let answer = self.script(&SESSIONS, identity, page).await?;
            let mut answer = answer.into_array().into_iter().map(Value::into_array);
            page = answer.next().unwrap_or_default();
            let found = answer.next().unwrap_or_default();
            // One that was renewed meanwhile is met again.
            let read = found
                .chunks(3)
                .filter_map(|found| self.read(identity, found));
            infos.extend(read.map(|info| (info.session_id, info)));
            if page.is_empty() {
                break;
            }
            if Instant::now() > deadline {
                let late = "there are more sessions than could be read in time";
                return Err(self.error(Error::new(ErrorKind::Timeout, late)));
            }
        }
        let mut infos: Vec<_> = infos.into_values().collect();
        infos.sort_by_key(|info| (info.connected_at, info.session_id));
        Ok(infos)
    }

    async fn nodes(&self, identity: &IdentityKey) -> Result<Vec<NodeSessions>, PresenceError> {
        let answer = self.script(&NODES, identity, Vec::new()).await?;
        let found = answer.into_array();
        // What doesn't name a node was never written by one.
        Ok(found.chunks(2).filter_map(decode_node).collect())
    }

    async fn online(&self, identities: &[IdentityKey]) -> Result<Online, PresenceError> {
        let groups = groups(identities.iter().cloned());
        let call = |group: Group| async move {
            let online = self.is_one_online(&group.identity).await;
            let online = online.map(|online| online.then(|| group.identity.clone()));
            (group.places, online)
        };
        let answers = each(groups.into_iter().map(call).collect()).await;
        let (online, failed) = sort_out(answers, |place| identities.get(place).cloned())?;
        let online: HashSet<_> = online.into_iter().flatten().collect();
        Ok(Online::new(online, failed))
    }

    fn roster(&self) -> Option<AnyRoster> {
        // From now on the server has to be able to do that, too.
        self.has_roster.store(true, Relaxed);
        let (pool, corrupt) = (Arc::clone(&self.pool), Arc::clone(&self.corrupt));
        let shards = Shards::new(self.config.namespace());
        Some(AnyRoster::new(RedisRoster::new(pool, shards, corrupt)))
    }

    fn events(&self) -> PresenceEvents {
        let events = PresenceEvents::new(self.events.subscribe());
        // Elsewhere than on a runtime, the first call starts it.
        let _started = self.pool.start();
        events
    }

    async fn close(&self) {
        self.events.close();
        if !self.pool.close().await {
            tracing::warn!(target: realtime_core::log_targets::PRESENCE, "a connection to Redis ends late");
        }
    }
}

/// Tells the listeners, and then the log, whose layers are the program's and may panic.
fn tell(change: Change, events: &Events<PresenceEvent>) {
    match change {
        Change::Up => {
            events.send(PresenceEvent::Up);
            tracing::debug!(target: realtime_core::log_targets::PRESENCE, "Redis is up");
        }
        Change::Down { cause, .. } => {
            events.send(PresenceEvent::down(cause.as_str()));
            // Whoever hears the event says it louder.
            tracing::debug!(target: realtime_core::log_targets::PRESENCE, cause, "Redis is down");
        }
    }
}
