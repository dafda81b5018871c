//! The trait, on commands of one key each.

use std::{
    fmt,
    time::{Duration, SystemTime},
};

use futures::{FutureExt, future::OptionFuture};
use realtime_core::{
    Identity, log_targets,
    revocation::{MAX_NAMES, Page, Revocation, RevocationError, RevocationErrorKind, Revocations},
};
use realtime_redis::pool::{Change, Pool};
use tokio::time::timeout;

use crate::{
    answer, commands,
    config::RedisConfig,
    error::{is_corrupt, revocation_error, unreadable, unreadable_revocation},
    keys::{self, Keys},
    probe::Probe,
};

/// How much longer than it must a revocation is remembered, 5 minutes: clocks differ, and who checks
/// tokens may allow for that.
pub const KEPT_LONGER: Duration = Duration::from_secs(300);

/// Keeps revocations in Redis, for all nodes, and for those that are started later.
///
/// Building one opens no connection: the first call does, and the connections live on the runtime of
/// that call. They end with [`close`](Self::close), or when this is dropped. See the
/// [crate's page](crate) for what is stored, and for what happens when Redis fails.
pub struct RedisRevocations {
    pool: Pool,
    config: RedisConfig,
    keys: Keys,
}

impl RedisRevocations {
    /// Revocations in the Redis of this configuration.
    #[must_use]
    pub fn new(config: RedisConfig) -> Self {
        let namespace = config.namespace().clone();
        Self {
            keys: Keys::new(namespace.as_str()),
            pool: Pool::new(config.0.clone(), Probe::new(namespace), tell),
            config,
        }
    }

    /// Revocations in the Redis at this URL; see [`RedisConfig::from_url`] for its forms.
    ///
    /// # Errors
    /// When the URL can't be read.
    pub fn from_url(url: impl Into<String>) -> Result<Self, RevocationError> {
        RedisConfig::from_url(url).map(Self::new)
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// Ends the connections, within 2 s. What was revoked stays; calls afterwards fail with kind
    /// [`Unavailable`](RevocationErrorKind::Unavailable). It is idempotent.
    pub async fn close(&self) {
        if !self.pool.close().await {
            tracing::warn!(target: log_targets::REVOCATION, "a connection to Redis ends late");
        }
    }

    async fn remember(
        &self,
        name: &str,
        issued_before: SystemTime,
        keep: Duration,
    ) -> Result<(), RevocationError> {
        let key = self.keys.of(name);
        let revoke = commands::revoke(&key, issued_before, keep);
        let answer = self.pool.run(&name, revoke).await;
        let answer = answer::revoked(answer.map_err(revocation_error)?);
        let (before, known) = answer.ok_or_else(unreadable)?;
        let log = self.keys.log();
        let tell = commands::tell(&log, name, before.as_ref(), &known);
        self.pool.run(&name, tell).await.map_err(revocation_error)?;
        Ok(())
    }

    /// Before when tokens were issued that the revocation with this name concerns, where there is one.
    async fn look(
        &self,
        identity: &Identity,
        name: &str,
        whose: &str,
    ) -> Result<Option<SystemTime>, RevocationError> {
        let key = self.keys.of(name);
        // Over one connection, so that they go out together.
        let answer = self.pool.run(identity.key(), commands::look(&key)).await;
        let known = match answer {
            Ok(answer) => answer::known(answer),
            Err(error) if is_corrupt(&error) => Err(()),
            Err(error) => return Err(revocation_error(error)),
        };
        let known = known.map_err(|()| unreadable_revocation(whose))?;
        Ok(known.map(|known| known.issued_before()))
    }
}

impl Revocations for RedisRevocations {
    async fn revoke(
        &self,
        revocation: &Revocation,
        until: SystemTime,
    ) -> Result<(), RevocationError> {
        RevocationError::check_length(revocation)?;
        let name = keys::name(&revocation.scope).ok_or_else(|| {
            RevocationError::new(
                RevocationErrorKind::InvalidOption,
                "expected a scope that this version of the store knows; got another one",
            )
        })?;
        // Without a runtime there is no timeout either.
        self.pool.start().map_err(revocation_error)?;
        // By how long and not until when: Redis's clock may differ from ours.
        let left = until.duration_since(SystemTime::now()).unwrap_or_default();
        let keep = left.saturating_add(KEPT_LONGER);
        let remember = self.remember(&name, revocation.issued_before, keep);
        let limit = self.pool.config().command_timeout();
        timeout(limit, remember).await.unwrap_or_else(|late| {
            let context = "Redis did not confirm it in time; the same call may succeed later";
            Err(RevocationError::new(RevocationErrorKind::Unavailable, context).with_source(late))
        })
    }

    async fn is_revoked(&self, identity: &Identity) -> Result<bool, RevocationError> {
        let key = keys::identity(identity.key());
        let tenant = keys::tenant(identity.tenant());
        // A longer one can't be revoked.
        let token = identity.token_id().filter(|id| id.len() <= MAX_NAMES);
        let token = token.map(keys::token);
        // Boxed: together they are large, and who asks holds this beside much else.
        let look = |name, whose| self.look(identity, name, whose).boxed();
        let (token, key, tenant, everybody) = futures::join!(
            OptionFuture::from(token.as_deref().map(|name| look(name, "this token"))),
            look(&key, "this identity"),
            look(&tenant, "this tenant"),
            look(keys::EVERYBODY, "everybody"),
        );
        let is_old = |before| identity.issued_at().is_none_or(|issued| issued < before);
        let answers = [
            token.unwrap_or(Ok(None)).map(|before| before.is_some()),
            key.map(|before| before.is_some_and(is_old)),
            tenant.map(|before| before.is_some_and(is_old)),
            everybody.map(|before| before.is_some_and(is_old)),
        ];
        // One that is known is enough, whatever became of the others.
        if answers.iter().any(|answer| matches!(answer, Ok(true))) {
            return Ok(true);
        }
        let mut failed = answers.into_iter().filter_map(Result::err);
        failed.next().map_or(Ok(false), Err)
    }

    async fn since(&self, after: u64) -> Result<Page, RevocationError> {
        let log = self.keys.log();
        let answer = self.pool.run(&"log", commands::since(&log, after)).await;
        answer::since(answer.map_err(revocation_error)?, after).ok_or_else(unreadable)
    }

    fn is_shared(&self) -> bool {
        true
    }
}

impl fmt::Debug for RedisRevocations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisRevocations")
            .field("config", &self.config)
            .finish_non_exhaustive()
    }
}

/// The gateway finds it out by its calls, every few seconds, and says it louder.
fn tell(change: Change) {
    match change {
        Change::Up => {
            tracing::debug!(target: log_targets::REVOCATION, "Redis is up");
        }
        Change::Down { cause, .. } => {
            tracing::debug!(target: log_targets::REVOCATION, cause, "Redis is down");
        }
    }
}
