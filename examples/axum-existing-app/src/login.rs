//! Who is signed in: a cookie that no script sees, and what the server knows of it.
//!
//! Whatever changes something is JSON, or a method that forms don't have: a page of another origin
//! can't send it with the cookie.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{FromRequestParts, State},
    http::{HeaderName, StatusCode, header, request::Parts},
    response::IntoResponse,
    routing::{get, post},
};
use cookie::Cookie;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::{Shop, live};

/// With this prefix browsers take it from this host alone, and over TLS or from their own machine.
const COOKIE: &str = "__Host-login";
/// How often somebody may be signed in: of more, the oldest login ends.
const MOST: usize = 20;
/// Who there is. A shop has them in its database.
const USERS: [(&str, bool); 3] = [("ada", false), ("bob", false), ("sam", true)];

/// Somebody who has an account.
#[derive(Clone, Serialize)]
pub(crate) struct User {
    pub(crate) name: String,
    pub(crate) is_staff: bool,
}

impl User {
    pub(crate) fn new(name: &str, is_staff: bool) -> Self {
        let name = name.to_owned();
        Self { name, is_staff }
    }
}

/// One browser in which somebody has signed in. As an extractor it is that of the request's cookie;
/// without one the answer is 401.
#[derive(Clone, Serialize)]
pub(crate) struct Login {
    /// It is no secret: that is what stands in the cookie.
    pub(crate) id: Uuid,
    #[serde(flatten)]
    pub(crate) user: User,
    #[serde(skip)]
    pub(crate) until: SystemTime,
}

/// Of this process, by what is in their cookies. Where there is a database, that has a hash of it.
#[derive(Clone)]
pub(crate) struct Logins {
    kept: Arc<Mutex<HashMap<Uuid, Login>>>,
    /// Digests are compared, so how long it takes says nothing of the password.
    password: [u8; 32],
    life: Duration,
}

impl Logins {
    pub(crate) fn new(password: &str, life: Duration) -> Self {
        Self {
            kept: Arc::default(),
            password: Sha256::digest(password).into(),
            life,
        }
    }

    /// What to put into the cookie, and the logins that have ended by it.
    fn begin(&self, name: &str, password: &str) -> Option<(Uuid, Vec<Login>)> {
        let (name, is_staff) = *USERS.iter().find(|(known, _)| *known == name)?;
        if <[u8; 32]>::from(Sha256::digest(password)) != self.password {
            return None;
        }
        let (secret, now) = (Uuid::new_v4(), SystemTime::now());
        let login = Login {
            id: Uuid::new_v4(),
            user: User::new(name, is_staff),
            until: now + self.life,
        };
        let mut kept = self.lock();
        kept.retain(|_, other| other.until > now);
        let mine = kept.iter().filter(|(_, other)| other.user.name == name);
        let mut mine: Vec<_> = mine.map(|(secret, other)| (other.until, *secret)).collect();
        mine.sort_unstable();
        let too_many = (mine.len() + 1).saturating_sub(MOST);
        let oldest = mine.into_iter().take(too_many);
        let ended = oldest.filter_map(|(_, secret)| kept.remove(&secret));
        let ended = ended.collect();
        kept.insert(secret, login);
        Some((secret, ended))
    }

    fn find(&self, secret: Uuid) -> Option<Login> {
        let login = self.lock().get(&secret).cloned();
        login.filter(|login| login.until > SystemTime::now())
    }

    fn end(&self, login: &Login) {
        self.lock().retain(|_, other| other.id != login.id);
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Uuid, Login>> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl FromRequestParts<Shop> for Login {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, shop: &Shop) -> Result<Self, StatusCode> {
        let lines = parts.headers.get_all(header::COOKIE).iter();
        let mut cookies = lines
            .filter_map(|line| line.to_str().ok())
            .flat_map(Cookie::split_parse)
            .flatten();
        let ours = cookies.find(|cookie| cookie.name() == COOKIE);
        let secret = ours.and_then(|cookie| Uuid::try_parse(cookie.value()).ok());
        let login = secret.and_then(|secret| shop.logins.find(secret));
        login.ok_or(StatusCode::UNAUTHORIZED)
    }
}

pub(crate) fn router() -> Router<Shop> {
    Router::new()
        .route("/api/login", post(sign_in).delete(sign_out))
        .route("/api/me", get(me))
}

#[derive(Deserialize)]
struct SignIn {
    name: String,
    password: String,
}

async fn sign_in(
    State(shop): State<Shop>,
    Json(SignIn { name, password }): Json<SignIn>,
) -> Result<impl IntoResponse, StatusCode> {
    let begun = shop.logins.begin(&name, &password);
    let (secret, ended) = begun.ok_or(StatusCode::UNAUTHORIZED)?;
    live::end(&shop.gateway, ended).await; // realtime
    let cookie = set_cookie(&secret.to_string(), shop.logins.life);
    Ok((StatusCode::NO_CONTENT, cookie))
}

async fn sign_out(State(shop): State<Shop>, login: Login) -> impl IntoResponse {
    shop.logins.end(&login);
    live::end(&shop.gateway, [login]).await; // realtime
    (StatusCode::NO_CONTENT, set_cookie("", Duration::ZERO))
}

async fn me(login: Login) -> impl IntoResponse {
    ([(header::CACHE_CONTROL, "no-store")], Json(login))
}

fn set_cookie(value: &str, life: Duration) -> [(HeaderName, String); 1] {
    let life = life.as_secs();
    let attributes = "Path=/; Secure; HttpOnly; SameSite=Lax";
    let set = format!("{COOKIE}={value}; Max-Age={life}; {attributes}");
    [(header::SET_COOKIE, set)]
}
