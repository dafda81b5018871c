//! Answers of a (pretended) language model that come token by token, each into a room of its own
//! with a history: a page that is reloaded, or loses its connection, goes on where it was.
//!
//! `cargo run -p llm-stream`, and open what it prints. `--listen ADDR`, `--rate TOKENS` a second,
//! and `--keep MESSAGES`, how many the history of each answer has: with fewer than an answer's
//! tokens, a page that was away for long can't recover and loads afresh.

mod answers;
mod generate;
mod model;
mod page;
#[cfg(test)]
mod tests;

use std::{error::Error, time::Duration};

use answers::Answers;
use realtime::{
    Gateway, Router, bind, extract::RoomParam, history::Retention, room::RoomRule, serve,
    shutdown_signal,
};
use uuid::Uuid;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let rate: f64 = argument("--rate", "20").parse()?;
    let keep = argument("--keep", "1000").parse()?;
    let gateway = build(rate, keep)?;

    let app = page::router().route_service("/ws", gateway.clone());
    let listener = bind(argument("--listen", "127.0.0.1:8081")).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    println!("Open it, ask three questions at once, and reload the page while they are answered.");
    println!("Nothing is lost and nothing comes twice, also when the connection drops.");
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}

/// All but the socket and the page: `rate` tokens a second, and so many messages that are kept of
/// each answer.
fn build(rate: f64, keep: usize) -> Result<Gateway, Box<dyn Error>> {
    let rule = RoomRule::allow(may_follow).history(Retention::new(keep, answers::KEPT)?);
    let every = Duration::try_from_secs_f64(1.0 / rate)?;
    let router = Router::new()
        .room("answer:{id}", rule)
        .route("ask", answers::ask)
        .route("load", answers::load)
        .with_state(Answers::new(every));
    Ok(realtime::builder().router(router).build()?)
}

/// An id is 122 random bits that the page made up: who knows it may read the answer. Where people
/// log in, this is the place to look up whose it is.
async fn may_follow(RoomParam(_): RoomParam<Uuid>) {}

fn argument(name: &str, default: &str) -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).unwrap_or_else(|| default.to_owned())
}
