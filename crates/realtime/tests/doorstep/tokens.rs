//! Whose tokens are names, and an issuer that may be away, slow, or broken.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime},
};

use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Credentials, Token},
};

/// Every token is the name of its bearer, but for those that say what becomes of them.
#[derive(Clone)]
pub(crate) struct Tokens {
    credentials: Credentials,
    /// How often it was asked about a request.
    pub(crate) asked: Arc<AtomicUsize>,
    /// How many are asked about now.
    pub(crate) asking: Arc<AtomicUsize>,
}

impl Default for Tokens {
    fn default() -> Self {
        Self {
            credentials: Credentials::bearer()
                .from_query("token")
                .from_cookie("auth"),
            asked: Arc::default(),
            asking: Arc::default(),
        }
    }
}

/// Somebody is being asked about.
struct Asking(Arc<AtomicUsize>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.fetch_sub(1, SeqCst);
    }
}

impl Authenticator for Tokens {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        self.asked.fetch_add(1, SeqCst);
        let check = |token| self.authenticate_token(token);
        self.credentials.try_each(request, check).await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        self.asking.fetch_add(1, SeqCst);
        let _asking = Asking(Arc::clone(&self.asking));
        match token.expose() {
            "wrong" => Err(AuthError::unauthorized("nobody has this token")),
            "expired" => Err(AuthError::expired("it has ended")),
            "away" => Err(AuthError::unavailable("the issuer is away")),
            "panics" => panic!("on purpose: an authenticator that panics"),
            "hangs" => std::future::pending().await,
            "over" => {
                let end = SystemTime::now() - Duration::from_secs(3600);
                Ok(Identity::new("ann").with_expires_at(end))
            }
            "an-hour" => {
                let end = SystemTime::now() + Duration::from_secs(3600);
                Ok(Identity::new("ann").with_expires_at(end))
            }
            name => Ok(Identity::new(name).with_token_id(name)),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.credentials)
    }
}
