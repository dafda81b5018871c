//! One node: what a program of your own is on many nodes. But for the three URLs, and its name, it
//! is the one that runs alone.

use std::{env, error::Error, process, time::Duration};

use realtime::{
    ClientError, Gateway, Json, Router, Session, bind, connect,
    error::{DeliverError, DeliverErrorKind, SendError},
    history::Retention,
    node::NodeId,
    room::RoomRule,
    serve, shutdown_signal,
};
use serde::{Deserialize, Serialize};
use tokio::time::MissedTickBehavior;

use crate::{child::parent_gone, page};

/// Where a node finds the URL of the Redis that all share. It has a password in it.
pub(crate) const REDIS_URL: &str = "REDIS_URL";
const ROOM: &str = "hall";
const LINE: usize = 500;
/// How often a node counts.
const BEAT: Duration = Duration::from_secs(1);

pub(crate) async fn run(name: &str) -> Result<(), Box<dyn Error>> {
    let redis = env::var(REDIS_URL)?;
    let gateway = build(name.parse()?, &redis)?;
    let app = page::router().route_service("/ws", gateway.clone());
    let listener = bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let signal = shutdown_signal();
    let shutdown = async {
        tokio::select! {
            () = signal => {}
            () = parent_gone() => {}
        }
    };
    // By itself `serve` would do it as well; here nobody is to be sent to a node before it is one.
    gateway.start().await?;
    let counting = tokio::spawn(count(gateway.clone()));
    println!("http://{address}");
    let served = serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await;
    counting.abort();
    Ok(served?)
}

fn build(name: NodeId, redis: &str) -> Result<Gateway, Box<dyn Error>> {
    // What was said in ten minutes, for those who come back.
    let rule = RoomRule::open().history(Retention::new(3_000, Duration::from_secs(600))?);
    let router = Router::new()
        .room(ROOM, rule)
        .route("say", say)
        .route("crash", crash);
    let gateway = realtime::builder()
        .node_id(name)
        .broker(connect::broker(redis)?)
        .history(connect::history(redis)?)
        .presence(connect::presence(redis)?)
        .on_connect(greet)
        .router(router)
        .build()?;
    Ok(gateway)
}

/// Who is connected learns to which node.
async fn greet(gateway: Gateway, session: Session) -> Result<(), SendError> {
    session.send("node", Json(gateway.node_id()))
}

/// Ends the process as a crash does, without a goodbye to anybody. It is for this example alone.
async fn crash() {
    process::exit(1)
}

/// What a page says: the same key is the same line, though it came twice.
#[derive(Deserialize)]
struct Say {
    key: String,
    text: String,
}

/// A line, and the node where it was said.
#[derive(Serialize)]
struct Line<'l> {
    node: &'l NodeId,
    text: &'l str,
}

async fn say(gateway: Gateway, Json(Say { key, text }): Json<Say>) -> Result<(), ClientError> {
    if text.trim().is_empty() || text.chars().count() > LINE {
        let message = format!("A line has 1 to {LINE} characters.");
        return Err(ClientError::new("bad_line", message));
    }
    let key = key
        .parse()
        .map_err(|_| ClientError::new("bad_key", "A key has 1 to 128 bytes."))?;
    let line = Line {
        node: gateway.node_id(),
        text: &text,
    };
    let room = gateway.room(ROOM).idempotency_key(key);
    room.send("line", Json(&line)).await.map_err(not_sent)?;
    Ok(())
}

/// A page says it again, with the same key, until it knows.
fn not_sent(error: DeliverError) -> ClientError {
    tracing::warn!(%error, "a line was not sent");
    ClientError::new("not_sent", "The line was not sent. Say it again.").temporary()
}

/// How it is with a node, and by how much its count has grown: with that a page sees whether it has
/// all of it.
#[derive(Serialize)]
struct Beat<'b> {
    node: &'b NodeId,
    /// Another one after each start.
    process: u32,
    count: u64,
    tabs: u64,
}

/// Counts, for everybody on every node.
async fn count(gateway: Gateway) {
    let mut beats = tokio::time::interval(BEAT);
    beats.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (process, mut count) = (process::id(), 0);
    loop {
        beats.tick().await;
        let beat = Beat {
            node: gateway.node_id(),
            process,
            count,
            tabs: gateway.stats().open,
        };
        let mut room = gateway.room(ROOM);
        if let Ok(key) = format!("{process}-{count}").parse() {
            room = room.idempotency_key(key);
        }
        match room.send("beat", Json(&beat)).await {
            Ok(_) => count += 1,
            Err(error) if error.kind() == DeliverErrorKind::Closed => return,
            // The same once more: the room takes it once.
            Err(error) => tracing::warn!(%error, "a count was not sent"),
        }
    }
}
