//! A room with a login.
//!
//! Start it, open <http://127.0.0.1:8080> in two windows, and sign in with `token-of-ann` in one and
//! with `token-of-bob` in the other.

use std::{error::Error, time::Duration};

use axum::{
    http::{header::CONTENT_TYPE, request::Parts},
    response::Html,
    routing::get,
};
use realtime::{
    BoxError, Gateway, Identity, Json, Router,
    auth::{AuthError, Authenticator, Credentials, Token},
    bind,
    error::DeliverError,
    history::Retention,
    middleware::LoggerLayer,
    room::RoomRule,
    serve, shutdown_signal,
};
use tracing_subscriber::filter::LevelFilter;

const PAGE: &str = include_str!("../page/index.html");
const CLIENT: &str = include_str!("../page/realtime-client.js");

/// Finds out whose a token is. Yours asks a database, or is `realtime::auth::jwt`.
struct Users(Credentials);

impl Authenticator for Users {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        self.0
            .try_each(request, |token| self.authenticate_token(token))
            .await
    }

    async fn authenticate_token(&self, token: Token) -> Result<Identity, AuthError> {
        match token.expose() {
            "token-of-ann" => Ok(Identity::new("ann")),
            "token-of-bob" => Ok(Identity::new("bob")),
            _ => Err(AuthError::unauthorized("nobody has this token")),
        }
    }

    fn accepts_tokens(&self) -> bool {
        true
    }

    fn credentials(&self) -> Option<&Credentials> {
        Some(&self.0)
    }
}

/// A handler's arguments are what it needs: the gateway, the sender, and what was sent.
async fn say(
    gateway: Gateway,
    who: Identity,
    Json(text): Json<String>,
) -> Result<(), DeliverError> {
    gateway
        .room("tea")
        .send("line", Json((who.id(), text)))
        .await?;
    Ok(())
}

/// The room's last lines, for a page that has just joined: offset, sender and text of each.
async fn lines(gateway: Gateway) -> Result<Json<Vec<(u64, String, String)>>, BoxError> {
    let mut lines = Vec::new();
    for message in gateway.room("tea").history(None, 100).await?.messages {
        let (who, text) = message.decode()?;
        lines.push((message.offset().unwrap_or_default(), who, text));
    }
    Ok(Json(lines))
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .init();

    // Anyone who is signed in may join. The room keeps its last 100 lines, each for an hour.
    let tea = RoomRule::open().history(Retention::new(100, Duration::from_secs(3600))?);
    let router = Router::new()
        .room("tea", tea)
        .route("say", say)
        .route("lines", lines);
    let gateway = realtime::builder()
        // A page can set no headers, so the client shows its token in a subprotocol.
        .authenticator(Users(Credentials::bearer().from_subprotocol("token.")))
        // A page can't see a 401, so a refusal reaches it as a close frame.
        .accept_then_close(true)
        .router(router)
        .layer(LoggerLayer::new())
        .build()?;

    let app = axum::Router::new()
        .route("/", get(Html(PAGE)))
        .route(
            "/realtime-client.js",
            get(([(CONTENT_TYPE, "text/javascript")], CLIENT)),
        )
        .route_service("/ws", gateway.clone());
    let address = std::env::args().nth(1);
    let listener = bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
