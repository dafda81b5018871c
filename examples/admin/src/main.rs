//! A server with a page for its operators, behind a password.
//!
//! `ADMIN_PASSWORD="correct horse" cargo run -p admin`, open <http://127.0.0.1:8080/login>, and see who
//! is there. Clients are whoever they say, for the sake of something to look at:
//! `/ws?tenant/name`, which joins the room `lobby`. What the operator does is in the log, by
//! whom. `BROKER_URL` and `PRESENCE_URL` make several nodes of it.

mod login;

use std::{env, error::Error};

use axum::http::request::Parts;
use realtime::{
    Gateway, Identity, Json, Router, Session,
    admin::Admin,
    auth::{AuthError, Authenticator},
    bind, connect,
    error::{DeliverError, JoinError},
    serve, shutdown_signal,
};
use serde_json::Value;
use tracing_subscriber::EnvFilter;

/// Everybody is who they say. Not for production: see the example `auth-jwt`.
struct ByName;

impl Authenticator for ByName {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        let name = request.uri.query().unwrap_or("somebody");
        let (tenant, id) = name.split_once('/').unwrap_or(("", name));
        Ok(Identity::new(id).with_tenant(tenant))
    }
}

async fn enter(session: Session) -> Result<(), JoinError> {
    session.join("lobby").await
}

/// Whatever is said goes to all in the lobby.
async fn say(gateway: Gateway, Json(said): Json<Value>) -> Result<(), DeliverError> {
    gateway.room("lobby").send("said", Json(&said)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let password = env::var("ADMIN_PASSWORD").map_err(|_| "set ADMIN_PASSWORD")?;
    let gateway = realtime::builder()
        .authenticator(ByName)
        .broker(connect::broker(&url("BROKER_URL"))?)
        .presence(connect::presence(&url("PRESENCE_URL"))?)
        .on_connect(enter)
        .router(Router::new().route("say", say))
        .build()?;
    let (login, operators) = login::router(&password)?;
    let admin = Admin::of(&gateway).guard(operators, |who| who.has_role("admin"))?;
    let app = axum::Router::new()
        .merge(login)
        .nest_service("/admin", admin)
        .route_service("/ws", gateway.clone());
    let listener = bind(listen_address()).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}

fn url(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| "local:".to_owned())
}

fn listen_address() -> String {
    let mut arguments = env::args()
        .skip_while(|argument| argument != "--listen")
        .skip(1);
    arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}
