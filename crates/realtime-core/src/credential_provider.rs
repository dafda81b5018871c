//! What a backend shows its server, asked for again whenever it connects.

use std::{fmt, sync::Arc, time::Duration};

use futures::future::BoxFuture;
use tokio::{task::JoinSet, time::timeout};

use crate::{BoxError, ClientError};

/// How long a provider may take.
const LIMIT: Duration = Duration::from_secs(5);

/// Provides the user name and the password for a backend's server, each time that the backend
/// connects: for tokens that expire, and for passwords that are changed while the program runs.
///
/// Any closure that returns a future of them is one:
///
/// ```
/// use realtime::node::{AnyCredentialProvider, ServerCredentials};
///
/// # async fn token_of_the_cloud() -> std::io::Result<String> { Ok(String::new()) }
/// let provider = AnyCredentialProvider::new(async || {
///     let token = token_of_the_cloud().await?;
///     std::io::Result::Ok(ServerCredentials::new("chat", token))
/// });
/// ```
///
/// One that keeps a token for as long as it is valid implements the trait:
///
/// ```
/// use realtime::{
///     BoxError,
///     node::{CredentialProvider, ServerCredentials},
/// };
///
/// struct Tokens;
///
/// impl Tokens {
///     async fn valid(&self) -> Result<String, BoxError> {
///         Ok("from a cache, or from the cloud".to_owned())
///     }
/// }
///
/// impl CredentialProvider for Tokens {
///     async fn credentials(&self) -> Result<ServerCredentials, BoxError> {
///         Ok(ServerCredentials::new("chat", self.valid().await?))
///     }
/// }
/// ```
pub trait CredentialProvider: Send + Sync + 'static {
    /// What to show now.
    ///
    /// # Behavior
    /// - It is asked before each attempt to connect, which may be every 100 ms while a server
    ///   refuses what it is shown. So what costs much is kept for as long as it is valid.
    /// - It may be called concurrently.
    /// - It is cancel safe: the future is dropped after 5 s, or when nobody waits for it any more.
    /// - It doesn't block its thread.
    ///
    /// # Errors
    /// When there are none to be had. The attempt fails then, with this error as its cause, and
    /// the next one comes after the backend's usual pause. The error is logged: it has nothing
    /// secret in it.
    fn credentials(&self) -> impl Future<Output = Result<ServerCredentials, BoxError>> + Send;
}

impl<F, Fut, E> CredentialProvider for F
where
    F: Fn() -> Fut + Send + Sync + 'static,
    Fut: Future<Output = Result<ServerCredentials, E>> + Send,
    E: Into<BoxError>,
{
    async fn credentials(&self) -> Result<ServerCredentials, BoxError> {
        self().await.map_err(Into::into)
    }
}

/// A user name and a password. `Debug` shows neither.
///
/// ```
/// use realtime::node::ServerCredentials;
///
/// let credentials = ServerCredentials::new("chat", "s3cret");
/// assert_eq!(credentials.user(), Some("chat"));
/// assert_eq!(credentials.expose_password(), "s3cret");
/// assert_eq!(ServerCredentials::password("s3cret").user(), None);
/// assert!(!format!("{credentials:?}").contains("s3cret"));
/// ```
#[derive(Clone)]
pub struct ServerCredentials {
    user: Option<Box<str>>,
    password: Box<str>,
}

impl ServerCredentials {
    /// A user and its password, or whatever a server takes for one, such as a token.
    #[must_use]
    pub fn new(user: impl Into<Box<str>>, password: impl Into<Box<str>>) -> Self {
        Self {
            user: Some(user.into()),
            password: password.into(),
        }
    }

    /// A password for the user that a server has by default.
    #[must_use]
    pub fn password(password: impl Into<Box<str>>) -> Self {
        Self {
            user: None,
            password: password.into(),
        }
    }

    /// The user, unless it is the one that the server has by default.
    #[must_use]
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, to be shown to the server and to nobody else.
    #[must_use]
    pub fn expose_password(&self) -> &str {
        &self.password
    }
}

impl fmt::Debug for ServerCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerCredentials").finish_non_exhaustive()
    }
}

/// Any credential provider behind one type, cheap to clone. Backends hold it, and ask it with a
/// bound.
#[derive(Clone)]
pub struct AnyCredentialProvider(Arc<dyn DynCredentialProvider>);

impl AnyCredentialProvider {
    /// Erases the type of a provider.
    #[must_use]
    pub fn new(provider: impl CredentialProvider) -> Self {
        Self(Arc::new(provider))
    }

    /// Asks, and waits for 5 s at most. Cancel safe. Needs a tokio runtime.
    ///
    /// The provider runs as a task of its own, which ends with this future. So one that panics or
    /// blocks its thread is an error as well.
    ///
    /// # Errors
    /// When the provider fails, panics, or takes longer.
    pub async fn ask(&self) -> Result<ServerCredentials, NoCredentials> {
        let provider = Arc::clone(&self.0);
        let mut asked = JoinSet::new();
        asked.spawn(async move {
            let answer = provider.credentials().await;
            // Its texts are foreign code as well, and are read again where they are logged.
            if let Err(error) = &answer {
                ClientError::__causes(&**error).for_each(|cause| drop(cause.to_string()));
            }
            answer
        });
        match timeout(LIMIT, asked.join_next()).await {
            Ok(Some(Ok(Ok(credentials)))) => Ok(credentials),
            Ok(Some(Ok(Err(error)))) => Err(NoCredentials::Failed(error)),
            Ok(Some(Err(_)) | None) => Err(NoCredentials::Panicked),
            Err(_) => Err(NoCredentials::TooSlow { limit: LIMIT }),
        }
    }
}

impl CredentialProvider for AnyCredentialProvider {
    async fn credentials(&self) -> Result<ServerCredentials, BoxError> {
        self.0.credentials().await
    }
}

impl fmt::Debug for AnyCredentialProvider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AnyCredentialProvider")
            .finish_non_exhaustive()
    }
}

/// Why a [`CredentialProvider`] provided nothing.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoCredentials {
    /// It says itself why.
    #[error("the credential provider failed")]
    Failed(#[source] BoxError),
    /// It has panicked. What it said then is on the standard error.
    #[error("the credential provider panicked")]
    Panicked,
    /// It has not answered in time.
    #[error("the credential provider did not answer within {limit:?}")]
    #[non_exhaustive]
    TooSlow {
        /// How long it was waited for.
        limit: Duration,
    },
}

/// The object-safe twin of [`CredentialProvider`].
trait DynCredentialProvider: Send + Sync {
    fn credentials(&self) -> BoxFuture<'_, Result<ServerCredentials, BoxError>>;
}

impl<T: CredentialProvider> DynCredentialProvider for T {
    fn credentials(&self) -> BoxFuture<'_, Result<ServerCredentials, BoxError>> {
        Box::pin(CredentialProvider::credentials(self))
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io,
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
    };

    use super::*;

    #[tokio::test]
    async fn it_is_asked_anew_each_time() {
        let asked = AtomicUsize::new(0);
        let provider = AnyCredentialProvider::new(move || {
            let password = asked.fetch_add(1, SeqCst).to_string();
            async { io::Result::Ok(ServerCredentials::new("u", password)) }
        });
        // Also where it was erased twice.
        let provider = AnyCredentialProvider::new(provider);
        for password in ["0", "1", "2"] {
            let credentials = provider.ask().await.unwrap();
            assert_eq!(credentials.expose_password(), password);
        }
    }

    #[tokio::test]
    async fn one_that_fails_or_panics_is_an_error() {
        let failing = async || Err::<ServerCredentials, _>(io::Error::other("no token"));
        let error = AnyCredentialProvider::new(failing).ask().await.unwrap_err();
        assert!(matches!(&error, NoCredentials::Failed(why) if why.to_string() == "no token"));
        let panicking = || -> std::future::Ready<io::Result<ServerCredentials>> { panic!("meant") };
        let error = AnyCredentialProvider::new(panicking).ask().await;
        assert!(matches!(error.unwrap_err(), NoCredentials::Panicked));
    }

    #[derive(Debug)]
    struct Unspeakable;

    impl fmt::Display for Unspeakable {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("meant")
        }
    }

    impl std::error::Error for Unspeakable {}

    #[tokio::test]
    async fn an_error_whose_text_panics_is_none_that_is_passed_on() {
        let failing = async || Err::<ServerCredentials, _>(Unspeakable);
        let error = AnyCredentialProvider::new(failing).ask().await;
        assert!(matches!(error.unwrap_err(), NoCredentials::Panicked));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_hangs_is_given_up_and_dropped() {
        let held = Arc::new(());
        let kept = Arc::downgrade(&held);
        let provider = AnyCredentialProvider::new(move || {
            let held = Arc::clone(&held);
            async move {
                std::future::pending::<()>().await;
                drop(held);
                io::Result::Ok(ServerCredentials::password("late"))
            }
        });
        let error = provider.ask().await.unwrap_err();
        assert!(matches!(error, NoCredentials::TooSlow { limit } if limit == LIMIT));
        while kept.strong_count() > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn one_that_blocks_its_thread_takes_nobody_along() {
        let (release, blocked) = std::sync::mpsc::channel::<()>();
        let blocked = std::sync::Mutex::new(blocked);
        let provider = AnyCredentialProvider::new(move || {
            let _until_released = blocked.lock().unwrap().recv();
            std::future::ready(io::Result::Ok(ServerCredentials::password("late")))
        });
        let error = provider.ask().await.unwrap_err();
        assert!(matches!(error, NoCredentials::TooSlow { .. }), "{error}");
        drop(release);
    }
}
