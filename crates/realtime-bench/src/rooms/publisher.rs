//! Who sends the numbers to the room: over connections that nobody cuts.

use std::{io, net::SocketAddr, time::Duration};

use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Instant, Interval, interval, sleep},
};

use super::{
    ROOM,
    link::{Link, PATIENCE},
    member::OWN_ADDRESS,
};

/// How soon a message is sent again.
const AGAIN: Duration = Duration::from_millis(100);

/// Sends the numbers, in turn over each node. Each waits for the answer to the one before, so that
/// the history has them in their order.
#[derive(Debug)]
pub(super) struct Publisher {
    links: Vec<Link>,
    sent: u64,
    repeated: u64,
}

#[derive(Deserialize)]
struct Answer {
    id: u64,
    route: String,
    data: Option<Failure>,
}

#[derive(Deserialize)]
struct Failure {
    temporary: bool,
}

impl Publisher {
    /// Connects to these nodes. The next number is the one after `sent`.
    pub(super) async fn connect(nodes: &[SocketAddr], sent: u64) -> io::Result<Self> {
        let mut links = Vec::with_capacity(nodes.len());
        for node in nodes {
            links.push(Link::open(OWN_ADDRESS, *node, "publisher").await?);
        }
        Ok(Self {
            links,
            sent,
            repeated: 0,
        })
    }

    /// How many numbers were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// How many times a number was sent again, because it was answered by an error.
    pub(super) fn repeated(&self) -> u64 {
        self.repeated
    }

    /// Sends the next number, again and again with one key where the room is not available, so that
    /// it is there once.
    pub(super) async fn publish(&mut self) -> io::Result<()> {
        let until = Instant::now() + PATIENCE;
        while !self.try_publish().await? {
            if Instant::now() > until {
                let error = format!("expected the room to take a message within {PATIENCE:?}");
                return Err(io::Error::new(io::ErrorKind::TimedOut, error));
            }
            self.repeated += 1;
            sleep(AGAIN).await;
        }
        self.sent += 1;
        Ok(())
    }

    /// Returns whether it is sent, or may be tried again.
    async fn try_publish(&mut self) -> io::Result<bool> {
        let number = self.sent + 1;
        let turn = number as usize % self.links.len().max(1);
        let link = self
            .links
            .get_mut(turn)
            .ok_or(io::ErrorKind::NotConnected)?;
        let key = format!("number-{number}");
        let message = json!({"id": number, "route": "room",
            "data": {"room": ROOM, "data": number, "key": key}});
        link.send(&message.to_string()).await?;
        let text = link.answer().await?;
        let answer: Answer = serde_json::from_str(&text)?;
        if answer.id == number && answer.route == "room" {
            return Ok(true);
        }
        if answer.id == number && answer.data.is_some_and(|error| error.temporary) {
            return Ok(false);
        }
        let error = format!("expected the answer to the message {number}; got {text}");
        Err(io::Error::other(error))
    }

    /// Sends so many numbers a second until it is told to stop.
    pub(super) async fn publish_until(
        &mut self,
        rate: f64,
        mut stop: watch::Receiver<bool>,
    ) -> io::Result<()> {
        let mut ticks = ticks(rate)?;
        loop {
            tokio::select! {
                biased;
                _ = stop.wait_for(|stop| *stop) => return Ok(()),
                _ = ticks.tick() => {}
            }
            self.publish().await?;
        }
    }

    /// Sends so many numbers a second, so many in all. It catches up where an answer was late.
    pub(super) async fn publish_at(&mut self, rate: f64, count: u64) -> io::Result<()> {
        let mut ticks = ticks(rate)?;
        for _ in 0..count {
            ticks.tick().await;
            self.publish().await?;
        }
        Ok(())
    }
}

fn ticks(rate: f64) -> io::Result<Interval> {
    let every = Duration::try_from_secs_f64(1.0 / rate).map_err(io::Error::other)?;
    Ok(interval(every))
}
