//! Signing in, staying in, and signing out, over HTTP.
//!
//! The page gets the access token in the answer and keeps it in memory. The refresh token is in a
//! cookie that no script sees, and that no page of another site sends.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use axum::{
    Json, Router,
    extract::{DefaultBodyLimit, Request, State},
    http::{HeaderMap, HeaderName, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::post,
};
use cookie::Cookie;
use realtime::{
    Gateway, Identity, IdentityKey,
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
) -> Result<Response, StatusCode> {
    match door.accounts.know(&name, password).await {
        Ok(true) => {
            let (login, refresh) = door.logins.begin(name);
            Ok(door.signed_in(&login, login.since, refresh))
        }
        Ok(false) => Err(StatusCode::UNAUTHORIZED),
        Err(Busy) => Err(StatusCode::SERVICE_UNAVAILABLE),
    }
}

async fn refresh(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
) -> Result<Response, StatusCode> {
    let rotated = door.logins.rotate(&shown(&headers)?);
    let (login, now, refresh) = door.unless_wrong(rotated).await?;
    // It may have been ended on another node.
    let whose = Identity::new(login.user.clone())
        .with_issued_at(login.since)
        .with_token_id(login.id.to_string());
    match door.revocations.is_revoked(&whose).await {
        Ok(false) => Ok(door.signed_in(&login, now, refresh)),
        Ok(true) => {
            door.logins.end(&login);
            Err(StatusCode::UNAUTHORIZED)
        }
        // With the next token all the same: the one that was shown is used up.
        Err(error) => Ok((unavailable(error), keep(refresh)).into_response()),
    }
}

/// Ends this login: its connections, in whatever tab, and its tokens.
async fn logout(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, StatusCode> {
    let login = door.logins.whose(&shown(&headers)?);
    let login = door.unless_wrong(login).await?;
    door.end(&login).await?;
    Ok((StatusCode::NO_CONTENT, cookie("", Duration::ZERO)))
}

/// Ends all logins of this user, on all nodes. What is issued later is believed again.
async fn logout_everywhere(
    State(door): State<Arc<Door>>,
    headers: HeaderMap,
) -> Result<impl IntoResponse, StatusCode> {
    let login = door.logins.whose(&shown(&headers)?);
    let login = door.unless_wrong(login).await?;
    // Before the moment from which on tokens are believed, so that none is renewed past it. This
    // one is left for the case that the store fails, and it has to be done again.
    door.logins.end_others(&login);
    let user = IdentityKey::new(login.user.clone());
    let everywhere = Revocation::identity(user, SystemTime::now());
    door.gateway.revoke(everywhere).await.map_err(unavailable)?;
    door.logins.end(&login);
    Ok((StatusCode::NO_CONTENT, cookie("", Duration::ZERO)))
}

impl Door {
    fn signed_in(&self, login: &Login, now: SystemTime, refresh: String) -> Response {
        let token = self.signer.sign(login, now);
        let body = json!({ "name": login.user, "token": token });
        (keep(refresh), Json(body)).into_response()
    }

    async fn unless_wrong<T>(&self, found: Result<T, Wrong>) -> Result<T, StatusCode> {
        if let Err(Wrong::Reused(login)) = &found {
            tracing::warn!(user = login.user, "a refresh token came twice");
            self.end(login).await?;
        }
        found.map_err(|_| StatusCode::UNAUTHORIZED)
    }

    /// The sessions of a login are closed with 3500 on all nodes, and its tokens are refused.
    async fn end(&self, login: &Login) -> Result<(), StatusCode> {
        let ended = Revocation::token(login.id.to_string());
        self.gateway.revoke(ended).await.map_err(unavailable)?;
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

/// The refresh token.
fn shown(headers: &HeaderMap) -> Result<String, StatusCode> {
    let lines = headers.get_all(header::COOKIE).iter();
    let mut cookies = lines
        .filter_map(|line| line.to_str().ok())
        .flat_map(Cookie::split_parse)
        .flatten();
    let ours = cookies.find(|cookie| cookie.name() == COOKIE);
    ours.map(|cookie| cookie.value().to_owned())
        .ok_or(StatusCode::UNAUTHORIZED)
}

/// For as long as the login lives.
fn keep(refresh: String) -> [(HeaderName, String); 2] {
    let [set] = cookie(&refresh, logins::LIFE);
    [set, (header::CACHE_CONTROL, "no-store".to_owned())]
}

fn cookie(value: &str, life: Duration) -> [(HeaderName, String); 1] {
    let attributes = "Path=/; Secure; HttpOnly; SameSite=Strict";
    let life = life.as_secs();
    let set = format!("{COOKIE}={value}; Max-Age={life}; {attributes}");
    [(header::SET_COOKIE, set)]
}

/// It can't be found out or done now: the page tries again.
fn unavailable(error: impl std::error::Error) -> StatusCode {
    tracing::warn!(%error, "revocations are away");
    StatusCode::SERVICE_UNAVAILABLE
}
