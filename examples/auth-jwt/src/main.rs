//! A login with a password, a short-lived JWT that is renewed on the same connection, and signing
//! out everywhere.
//!
//! `auth-jwt [--listen ADDR] [--token-life SECONDS] [--tick MILLISECONDS]`. In the environment:
//! `AUTH_PASSWORD` is the password of the one user, ada, and `AUTH_KEY` signs the tokens (32 bytes
//! or more); without them both are made up. `REDIS_URL` makes it one of several nodes, which need
//! the same of both. See the README for what is where.

mod access;
mod accounts;
mod feed;
mod logins;
mod page;
mod routes;

use std::{env, error::Error, time::Duration};

use access::Signer;
use accounts::Accounts;
use logins::Logins;
use realtime::{Gateway, bind, connect, revocation::AnyRevocations, serve, shutdown_signal};
use routes::Door;
use tracing_subscriber::EnvFilter;

const USER: &str = "ada";

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();

    let redis = env::var("REDIS_URL").ok();
    let key = secret("AUTH_KEY", redis.is_some())?;
    let password = secret("AUTH_PASSWORD", redis.is_some())?;
    let life = Duration::from_secs(argument("--token-life", "300").parse()?);
    let tick = Duration::from_millis(argument("--tick", "1000").parse()?);

    let revocations = connect::revocations(redis.as_deref().unwrap_or("local:"))?;
    let gateway = build(&key, life, redis.as_deref(), revocations.clone())?;
    let door = Door {
        accounts: Accounts::new(&[(USER, &password)])?,
        gateway: gateway.clone(),
        logins: Logins::default(),
        revocations,
        signer: Signer::new(key.as_bytes(), life)?,
    };
    let app = page::router()
        .merge(routes::router(door))
        .route_service("/ws", gateway.clone());

    let listener = bind(argument("--listen", "127.0.0.1:8082")).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    if env::var("AUTH_PASSWORD").is_err() {
        println!("sign in as {USER} with {password}");
    }
    let ticks = tokio::spawn(feed::tick(gateway.clone(), tick));
    let served = serve(listener, app, gateway).with_graceful_shutdown(shutdown);
    let served = served.await;
    ticks.abort();
    Ok(served?)
}

/// The whole gateway but its socket.
fn build(
    key: &str,
    life: Duration,
    redis: Option<&str>,
    revocations: AnyRevocations,
) -> Result<Gateway, Box<dyn Error>> {
    let mut builder = realtime::builder()
        .authenticator(access::authenticator(key.as_bytes(), life)?)
        .revocations(revocations)
        // What is revoked is whole logins, and their refresh tokens live longer than the others.
        .longest_token(logins::LIFE)
        // A page needs seconds, and no more than half of what it renews.
        .expiry_grace(Some(Duration::from_secs(25).min(life / 2)))
        .router(feed::router());
    if let Some(url) = redis {
        builder = builder
            .broker(connect::broker(url)?)
            .presence(connect::presence(url)?);
    }
    Ok(builder.build()?)
}

/// What the environment says; on a node that is alone, else something that nobody can guess.
fn secret(name: &str, is_shared: bool) -> Result<String, Box<dyn Error>> {
    match env::var(name) {
        Ok(given) => Ok(given),
        Err(_) if is_shared => Err(format!("with REDIS_URL all nodes need the same {name}").into()),
        Err(_) => Ok(access::random()?),
    }
}

fn argument(name: &str, default: &str) -> String {
    let mut arguments = env::args().skip_while(|argument| argument != name);
    arguments.nth(1).unwrap_or_else(|| default.to_owned())
}
