//! Tokens that say everything about their bearers, and an issuer that may be away.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use realtime::{
    Identity,
    auth::{AuthError, Authenticator, Token as Shown},
};

/// A token: `tenant/id,roles,expires,issued,jti`, times in milliseconds.
#[derive(Clone, Default)]
pub(crate) struct Token {
    who: String,
    roles: String,
    expires: Option<SystemTime>,
    issued: Option<SystemTime>,
    id: String,
}

impl Token {
    pub(crate) fn of(who: &str) -> Self {
        let (who, issued) = (who.to_owned(), Some(SystemTime::now()));
        Self {
            who,
            issued,
            ..Self::default()
        }
    }

    pub(crate) fn roles(mut self, roles: &str) -> Self {
        self.roles = roles.to_owned();
        self
    }

    pub(crate) fn ends_in(mut self, left: Duration) -> Self {
        self.expires = Some(SystemTime::now() + left);
        self
    }

    pub(crate) fn issued(mut self, ago: Duration) -> Self {
        self.issued = Some(SystemTime::now() - ago);
        self
    }

    pub(crate) fn id(mut self, id: &str) -> Self {
        self.id = id.to_owned();
        self
    }
}

fn ms(time: Option<SystemTime>) -> String {
    let since = time.map(|time| time.duration_since(UNIX_EPOCH).unwrap());
    since.map_or(String::new(), |since| since.as_millis().to_string())
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (expires, issued) = (ms(self.expires), ms(self.issued));
        write!(
            f,
            "{},{},{expires},{issued},{}",
            self.who, self.roles, self.id
        )
    }
}

/// Believes every token, while its issuer is there, but one of nobody.
#[derive(Clone, Default)]
pub(crate) struct Tokens {
    pub(crate) away: Arc<AtomicBool>,
    /// It takes its time for a token in a message.
    pub(crate) slow: Arc<AtomicBool>,
    asking: Arc<AtomicUsize>,
    /// About how many it was asked at once, while it was slow.
    pub(crate) most: Arc<AtomicUsize>,
}

impl Tokens {
    fn read(&self, token: &str) -> Result<Identity, AuthError> {
        if self.away.load(SeqCst) {
            return Err(AuthError::unavailable("the issuer is away"));
        }
        let fields: Vec<&str> = token.split(',').collect();
        let [who, roles, expires, issued, id] = fields[..] else {
            return Err(AuthError::unauthorized("not a token"));
        };
        if who == "nobody" {
            return Err(AuthError::unauthorized("nobody's"));
        }
        let (tenant, name) = who.split_once('/').unwrap_or(("", who));
        let mut identity = Identity::new(name).with_tenant(tenant);
        for role in roles.split('+').filter(|role| !role.is_empty()) {
            identity = identity.with_role(role);
        }
        let time = |ms: &str| Some(UNIX_EPOCH + Duration::from_millis(ms.parse().ok()?));
        if let Some(at) = time(expires) {
            if at + Duration::from_millis(100) < SystemTime::now() {
                return Err(AuthError::expired("it has ended"));
            }
            identity = identity.with_expires_at(at);
        }
        if let Some(at) = time(issued) {
            identity = identity.with_issued_at(at);
        }
        Ok(match id {
            "" => identity,
            id => identity.with_token_id(id),
        })
    }
}

impl Authenticator for Tokens {
    async fn authenticate(
        &self,
        request: &axum::http::request::Parts,
    ) -> Result<Identity, AuthError> {
        self.read(request.uri.query().unwrap_or_default())
    }

    async fn authenticate_token(&self, token: Shown) -> Result<Identity, AuthError> {
        if self.slow.load(SeqCst) {
            let asking = self.asking.fetch_add(1, SeqCst) + 1;
            self.most.fetch_max(asking, SeqCst);
            tokio::time::sleep(Duration::from_millis(10)).await;
            self.asking.fetch_sub(1, SeqCst);
        }
        if token.expose() == "hangs" {
            return std::future::pending().await;
        }
        self.read(token.expose())
    }

    fn accepts_tokens(&self) -> bool {
        true
    }
}
