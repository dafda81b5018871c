//! The keys of an issuer, for all who need them at the same time: one fetch, by a task of its own,
//! which ends with the authenticator.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use realtime_core::{auth::AuthError, log_targets};
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    task::AbortHandle,
    time::timeout,
};

use super::{
    Jwks,
    cache::{Begin, Cache, Have, Newer, Turn},
    document,
    fetch::{Fetcher, shown},
};
use crate::{
    Algorithm,
    jwks::Timing,
    keys::{KeySet, Verdict},
};

/// How much later than its time a fetch may say that this is over.
const GRACE: Duration = Duration::from_secs(1);
/// How long a token waits for keys in all: less than the gateway waits for the authenticator.
const PATIENCE: Duration = Duration::from_secs(4);
/// After which a fetch is taken for one that fails: before those who wait for it give up, so that they
/// still get the old keys.
const SLOW: Duration = Duration::from_millis(3_500);
/// For how many fetches one token waits: the one that is under way, and one of its own.
const MOST_WAITS: usize = 3;
/// How many tokens with an unknown key wait at the same time. They may be anybody's, and each has a
/// place with the gateway that those whose key is here need, too.
const MOST_WAITERS: usize = 64;

/// The keys that an issuer publishes.
pub(crate) struct Remote {
    shared: Arc<Shared>,
    /// The task of the last fetch.
    task: Mutex<Option<AbortHandle>>,
}

struct Shared {
    url: String,
    timing: Timing,
    allowed: Vec<Algorithm>,
    fetcher: Fetcher,
    cache: Mutex<Cache>,
    /// Changes with the end of each fetch.
    landed: watch::Sender<()>,
    /// Places of those who wait for a newer key.
    waiters: Semaphore,
}

impl Remote {
    pub(crate) fn new(jwks: Jwks, allowed: Vec<Algorithm>) -> Result<Self, AuthError> {
        jwks.validate()?;
        let shared = Shared {
            url: jwks.shown(),
            timing: Timing {
                slow_after: SLOW,
                lost_after: jwks.timeout + GRACE,
                ..jwks.timing
            },
            allowed,
            fetcher: Fetcher::new(&jwks)?,
            cache: Mutex::new(Cache::default()),
            landed: watch::Sender::new(()),
            waiters: Semaphore::new(MOST_WAITERS),
        };
        Ok(Self {
            shared: Arc::new(shared),
            task: Mutex::new(None),
        })
    }

    /// Fetches the keys if they aren't here, for as long as it takes.
    ///
    /// # Cancel safety
    /// The fetch goes on without the future.
    pub(crate) async fn fetch(&self) -> Result<(), AuthError> {
        let until = Instant::now() + self.shared.timing.lost_after;
        self.keys(until).await.map(drop)
    }

    /// The keys, which are fetched if they aren't here.
    async fn keys(&self, until: Instant) -> Result<Arc<KeySet>, AuthError> {
        for _ in 0..MOST_WAITS {
            let mut landed = self.shared.landed.subscribe();
            let (have, begin) = self
                .shared
                .cache()
                .keys(Instant::now(), &self.shared.timing);
            self.begin(begin)?;
            match have {
                Have::Keys(keys) => return Ok(keys),
                Have::Wait => self.wait(&mut landed, until).await?,
                Have::Nothing => break,
            }
        }
        Err(unavailable())
    }

    /// What the keys say of a token; where they don't know its key, those that the issuer has now,
    /// if it may be asked. Waits for 4 s at the most.
    ///
    /// # Cancel safety
    /// That of [`fetch`](Self::fetch).
    pub(crate) async fn judge(
        &self,
        judge: impl Fn(&KeySet) -> Verdict,
    ) -> Result<Verdict, AuthError> {
        let came = self.shared.cache().begun();
        let until = Instant::now() + PATIENCE;
        for _ in 0..MOST_WAITS {
            let keys = self.keys(until).await?;
            let mut landed = self.shared.landed.subscribe();
            match judge(&keys) {
                Verdict::Unknown => {}
                verdict => return Ok(verdict),
            }
            let now = Instant::now();
            let (newer, begin) = self.shared.cache().newer(came, now, &self.shared.timing);
            self.begin(begin)?;
            match newer {
                Newer::Wait => {
                    let waiters = &self.shared.waiters;
                    let _place = waiters.try_acquire().map_err(|_| unavailable())?;
                    self.wait(&mut landed, until).await?;
                }
                Newer::No => return Ok(Verdict::Unknown),
                Newer::CannotSay => break,
            }
        }
        Err(unavailable())
    }

    /// Until a fetch has ended, or could have. When that time has come already, it is an error.
    async fn wait(
        &self,
        landed: &mut watch::Receiver<()>,
        until: Instant,
    ) -> Result<(), AuthError> {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(unavailable());
        }
        // Whether it has, the cache knows.
        let _either = timeout(left.min(self.shared.timing.lost_after), landed.changed()).await;
        Ok(())
    }

    fn begin(&self, begin: Option<Begin>) -> Result<(), AuthError> {
        let Some(Begin(number)) = begin else {
            return Ok(());
        };
        let flight = Flight {
            shared: Arc::clone(&self.shared),
            number,
            landed: false,
        };
        // Without a runtime it is dropped here, and has failed.
        let runtime = Handle::try_current().map_err(|e| unavailable().with_source(e))?;
        let task = runtime.spawn(flight.fly()).abort_handle();
        let former = lock(&self.task).replace(task);
        if let Some(former) = former {
            // It has ended, or is taken for lost.
            former.abort();
        }
        Ok(())
    }
}

impl Drop for Remote {
    fn drop(&mut self) {
        if let Some(task) = lock(&self.task).take() {
            task.abort();
        }
    }
}

impl fmt::Debug for Remote {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Remote")
            .field("url", &self.shared.url)
            .field("algorithms", &self.shared.allowed)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn cache(&self) -> MutexGuard<'_, Cache> {
        lock(&self.cache)
    }
}

/// Nothing panics while one of ours is locked, and what is behind it would be true all the same.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One fetch. However it ends, its end is noted: those who wait for it would wait for nothing.
struct Flight {
    shared: Arc<Shared>,
    number: u64,
    landed: bool,
}

impl Flight {
    async fn fly(mut self) {
        let fetched = self
            .shared
            .fetcher
            .fetch()
            .await
            .map_err(|error| shown(&error));
        let read = fetched
            .and_then(|text| document::read(&text, &self.shared.allowed).map_err(str::to_owned));
        match read {
            Ok(read) => {
                let turn = self.land(Some(Arc::new(read.keys)));
                let (taken, skipped) = (read.taken, read.skipped);
                self.say(turn, || {
                    format!("{taken} keys were fetched, {skipped} were skipped")
                });
            }
            Err(why) => {
                let turn = self.land(None);
                self.say(turn, || why);
            }
        }
    }

    fn land(&mut self, keys: Option<Arc<KeySet>>) -> Option<Turn> {
        self.landed = true;
        let (now, chance) = (Instant::now(), fastrand::f64());
        let turn = self
            .shared
            .cache()
            .landed(self.number, keys, now, chance, &self.shared.timing);
        self.shared.landed.send_replace(());
        turn
    }

    fn say(&self, turn: Option<Turn>, what: impl FnOnce() -> String) {
        let (url, what) = (&*self.shared.url, what());
        match turn {
            Some(Turn::Away) => tracing::warn!(
                target: log_targets::ADMISSION,
                url, ?what, "the keys of an issuer can't be fetched"
            ),
            Some(Turn::Emptied) => tracing::warn!(
                target: log_targets::ADMISSION,
                url, ?what, "an issuer has withdrawn all of its keys: nobody is let in"
            ),
            Some(Turn::Back) => tracing::info!(
                target: log_targets::ADMISSION,
                url, ?what, "the keys of an issuer can be fetched again"
            ),
            None => tracing::debug!(
                target: log_targets::ADMISSION,
                url, ?what, "the keys of an issuer were asked for"
            ),
        }
    }
}

impl Drop for Flight {
    fn drop(&mut self) {
        if !self.landed {
            self.land(None);
        }
    }
}

fn unavailable() -> AuthError {
    AuthError::unavailable("the keys of the issuer can't be had at present")
}
