//! A shop that was there before: orders over REST, a login with a cookie, a page for each order.
//!
//! What was added so that an order's page changes with the order is `live.rs`, `live.js`, and the
//! lines that end with `// realtime`. See the README.
//!
//! `axum-existing-app [--listen ADDR] [--login-life SECONDS]`. In the environment `SHOP_PASSWORD` is
//! everybody's password; without it one is made up.

mod live; // realtime
mod login;
mod orders;
mod page;

use std::{env, error::Error, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, routing::any};
use login::Logins;
use orders::Orders;
use realtime::{Gateway, bind, serve, shutdown_signal}; // realtime
use tracing_subscriber::EnvFilter;
use uuid::Uuid;

/// What the handlers share.
#[derive(Clone)]
struct Shop {
    gateway: Gateway, // realtime
    logins: Logins,
    orders: Orders,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .init();
    let password = env::var("SHOP_PASSWORD").unwrap_or_else(|_| made_up());
    let life = Duration::from_secs(argument("--login-life", "43200").parse()?);

    let orders = Orders::with_samples();
    let gateway = live::gateway(orders.clone())?; // realtime
    let shop = Shop {
        gateway: gateway.clone(), // realtime
        logins: Logins::new(&password, life),
        orders,
    };
    let app = Router::new()
        .merge(login::router())
        .merge(orders::router())
        .merge(page::router())
        .route("/ws", any(live::socket)) // realtime
        .layer(DefaultBodyLimit::max(4096))
        .with_state(shop);

    let listener = bind(argument("--listen", "127.0.0.1:8083")).await?; // realtime
    let shutdown = shutdown_signal(); // realtime
    println!("listening on http://{}", listener.local_addr()?);
    println!("sign in as ada or bob, who order, or as sam, who packs; the password is {password}");
    let served = serve(listener, app, gateway); // realtime: it was `axum::serve(listener, app)`
    served.with_graceful_shutdown(shutdown).await?;
    Ok(())
}

/// 48 bits that nobody can guess, for as long as the process lives.
fn made_up() -> String {
    let mut password = Uuid::new_v4().simple().to_string();
    password.truncate(12);
    password
}

fn argument(name: &str, default: &str) -> String {
    let mut arguments = env::args().skip_while(|argument| argument != name);
    arguments.nth(1).unwrap_or_else(|| default.to_owned())
}
