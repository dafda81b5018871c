//! Measurements of a fleet of machines, pushed 30 times a second to whoever looks at them. A page
//! that is too slow for that sees fewer of them, never an old one late, and how many it has missed.
//!
//! `cargo run -p dashboard`, and open both addresses that it prints, side by side: the second is the
//! same server behind a slow link. `--listen ADDR`, `--rate POINTS` a second, `--slow-listen ADDR`,
//! and `--slow BYTES` a second, which is what that link carries.

mod feed;
mod machines;
mod page;
mod slow_link;

use std::{error::Error, time::Duration};

use feed::Feed;
use realtime::{Backpressure, Gateway, Router, bind, room::RoomRule, serve, shutdown_signal};

/// How many messages wait for a slow reader: a quarter of a second.
const QUEUE: usize = 8;
/// What the kernel may hold for each connection, where nothing can be dropped for something newer.
/// (Linux makes 4,608 of it, which is the least it has, and counts its own bookkeeping, too.)
const KERNEL_BYTES: usize = 2 * 1024;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .init();
    let rate: f64 = argument("--rate", "30").parse()?;
    if !(0.1..=1000.0).contains(&rate) {
        return Err(format!("expected --rate to be from 0.1 to 1000; got {rate}").into());
    }
    let slow = argument("--slow", "3000").parse()?;
    let feed = Feed::new(Duration::from_secs_f64(1.0 / rate));
    let gateway = build(feed.clone())?;

    let app = page::router().route_service("/ws", gateway.clone());
    let listener = bind(argument("--listen", "127.0.0.1:8083")).await?;
    // What is accepted has it from the listener.
    socket2::SockRef::from(&listener).set_send_buffer_size(KERNEL_BYTES)?;
    let address = listener.local_addr()?;
    let narrow = bind(argument("--slow-listen", "127.0.0.1:8084")).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{address}");
    println!("behind a slow link on http://{}", narrow.local_addr()?);
    println!("Open both, side by side: the second has fewer points, and none that is old.");

    let measuring = tokio::spawn(feed.run(gateway.clone()));
    let carrying = tokio::spawn(slow_link::carry(narrow, address, slow));
    let served = serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await;
    measuring.abort();
    carrying.abort();
    Ok(served?)
}

/// All but the sockets and the page.
fn build(feed: Feed) -> Result<Gateway, Box<dyn Error>> {
    let router = Router::new()
        // A page that nobody looks at leaves it, and gets nothing.
        .room(feed::ROOM, RoomRule::open())
        .route("recent", feed::recent)
        .with_state(feed);
    let gateway = realtime::builder()
        // A measurement that is late is of no use: the newest ones stay, and the client is told how
        // many it has missed.
        .backpressure(Backpressure::DropOldest)
        .queue_messages(QUEUE)
        .router(router)
        .build()?;
    Ok(gateway)
}

fn argument(name: &str, default: &str) -> String {
    let mut arguments = std::env::args().skip_while(|argument| argument != name);
    arguments.nth(1).unwrap_or_else(|| default.to_owned())
}
