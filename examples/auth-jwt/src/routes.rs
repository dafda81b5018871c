//! Signing in, staying in, and signing out, over HTTP.
//!
//! The page gets the access token in the answer and keeps it in memory. The refresh token is in a
//! cookie that no script sees, and that no page of another site sends.

use std::{sync::Arc, time::SystemTime};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use cookie::{Cookie, SameSite, time};
use realtime::{
    Gateway, Identity, IdentityKey,
    error::ControlError,
    revocation::{AnyRevocations, Revocation, Revocations},
};
use serde::Deserialize;
use serde_json::json;

use crate::{
    access::Signer,
    accounts::{Accounts, Busy},
    logins::{self, Login, Logins, Wrong},
};

/// With this prefix browsers take it from this host alone, and over TLS or from their own machine.
const COOKIE: &str = "__Host-refresh";

pub(crate) struct Door {
    pub(crate) accounts: Accounts,
    pub(crate) gateway: Gateway,
    pub(crate) logins: Logins,
    pub(crate) revocations: AnyRevocations,
    pub(crate) signer: Signer,
}

pub(crate) fn router(door: Door) -> Router {
    Router::new()
        .route("/login", post(login))
        .route("/refresh", post(refresh))
        .route("/logout", post(logout))
        .route("/logout-everywhere", post(logout_everywhere))
        .layer(middleware::from_fn(from_our_page))
        .layer(DefaultBodyLimit::max(4096))
        .with_state(Arc::new(door))
}

#[derive(Deserialize)]
struct SignIn {
    name: String,
    password: String,
}

async fn login(
    State(door): State<Arc<Door>>,
    Json(SignIn { name, password }): Json<SignIn>,
) -> Result<Response, Refused> {
    if !door.accounts.know(&name, password).await? {
        return Err(Refused::WrongPassword);
    }
    let (login, refresh) = door.logins.begin(name);
    Ok(door.signed_in(&login, login.since, refresh))
}

async fn refresh(State(door): State<Arc<Door>>, headers: HeaderMap) -> Result<Response, Refused> {
    let rotated = door.logins.rotate(&shown(&headers)?);
    let (login, now, refresh) = match rotated {
        Ok(rotated) => rotated,
        Err(wrong) => return Err(door.wrong(wrong).await),
    };
    // It may have been ended on another node.
    let whose = Identity::new(login.user.clone())
        .with_issued_at(login.since)
        .with_token_id(login.id.to_string());
    match door.revocations.is_revoked(&whose).await {
        Ok(false) => Ok(door.signed_in(&login, now, refresh)),
        Ok(true) => {
            door.logins.end(&login);
            Err(Refused::SignedOut)
        }
        Err(error) => {
            tracing::warn!(%error, "can't look up what was revoked");
            // With the next token all the same: the one that was shown is used up.
            Ok((StatusCode::SERVICE_UNAVAILABLE, set(refresh)).into_response())
        }
    }
}

/// Ends this login: its connections, in whatever tab, and its tokens.
async fn logout(State(door): State<Arc<Door>>, headers: HeaderMap) -> Result<Response, Refused> {
    let login = door.whose(&headers).await?;
    door.end(&login).await?;
    Ok((StatusCode::NO_CONTENT, unset()).into_response())
}

/// Ends all logins of this user, on all nodes. What is issued later is believed again.
async fn logout_everywhere(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let login = door.whose(&headers).await?;
    // Before the moment from which on tokens are believed, so that none is renewed past it. This
    // one is left for the case that the store fails, and it has to be done again.
    door.logins.end_others(&login);
    let user = IdentityKey::new(login.user.clone());
    let everywhere = Revocation::identity(user, SystemTime::now());
    door.gateway.revoke(everywhere).await?;
    door.logins.end(&login);
    Ok((StatusCode::NO_CONTENT, unset()).into_response())
}

impl Door {
    fn signed_in(&self, login: &Login, now: SystemTime, refresh: String) -> Response {
        let token = self.signer.sign(login, now);
        let body = json!({ "name": login.user, "token": token });
        (
            set(refresh),
            [(header::CACHE_CONTROL, "no-store")],
            Json(body),
        )
            .into_response()
    }

    async fn whose(&self, headers: &HeaderMap) -> Result<Login, Refused> {
        match self.logins.whose(&shown(headers)?) {
            Ok(login) => Ok(login),
            Err(wrong) => Err(self.wrong(wrong).await),
        }
    }

    async fn wrong(&self, wrong: Wrong) -> Refused {
        let Wrong::Reused(login) = wrong else {
            return Refused::SignedOut;
        };
        tracing::warn!(
            user = login.user,
            "a refresh token came twice: its login is ended"
        );
        match self.end(&login).await {
            Ok(()) => Refused::SignedOut,
            Err(error) => error.into(),
        }
    }

    /// The sessions of a login are closed with 3500 on all nodes, and its tokens are refused.
    async fn end(&self, login: &Login) -> Result<(), ControlError> {
        let ended = Revocation::token(login.id.to_string());
        self.gateway.revoke(ended).await?;
        self.logins.end(login);
        Ok(())
    }
}

/// A browser says where a request comes from. That of another site has no cookie; but one of another
/// port of this machine has, and so has that of a subdomain.
async fn from_our_page(request: Request, next: Next) -> Response {
    match request.headers().get("sec-fetch-site") {
        Some(site) if site != "same-origin" => StatusCode::FORBIDDEN.into_response(),
        _ => next.run(request).await,
    }
}

fn shown(headers: &HeaderMap) -> Result<String, Refused> {
    let all = headers.get_all(header::COOKIE).iter();
    let mut all = all
        .filter_map(|value| value.to_str().ok())
        .flat_map(Cookie::split_parse)
        .flatten();
    let ours = all.find(|cookie| cookie.name() == COOKIE);
    Ok(ours.ok_or(Refused::SignedOut)?.value().to_owned())
}

fn set(refresh: String) -> [(header::HeaderName, String); 1] {
    let life = i64::try_from(logins::LIFE.as_secs()).unwrap_or(i64::MAX);
    let cookie = Cookie::build((COOKIE, refresh))
        .http_only(true)
        .secure(true)
        .same_site(SameSite::Strict)
        .path("/")
        .max_age(time::Duration::seconds(life));
    [(header::SET_COOKIE, cookie.to_string())]
}

fn unset() -> [(header::HeaderName, String); 1] {
    let cookie = Cookie::build((COOKIE, "")).secure(true).path("/");
    let cookie = cookie.max_age(time::Duration::ZERO);
    [(header::SET_COOKIE, cookie.to_string())]
}

enum Refused {
    WrongPassword,
    SignedOut,
    /// It can't be found out or done now: try again.
    Unavailable,
}

impl From<Busy> for Refused {
    fn from(Busy: Busy) -> Self {
        Self::Unavailable
    }
}

impl From<ControlError> for Refused {
    fn from(error: ControlError) -> Self {
        tracing::warn!(%error, "could not revoke");
        Self::Unavailable
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        match self {
            Self::WrongPassword => StatusCode::UNAUTHORIZED.into_response(),
            Self::SignedOut => (StatusCode::UNAUTHORIZED, unset()).into_response(),
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        }
    }
}
