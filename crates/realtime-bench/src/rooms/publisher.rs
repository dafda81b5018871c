//! Who sends the numbers to the room: over connections that nobody cuts.

use std::{io, net::SocketAddr, time::Duration};

use serde::Deserialize;
use serde_json::json;
use tokio::{
    sync::watch,
    time::{Interval, interval},
};

use super::{ROOM, link::Link, member::OWN_ADDRESS};

/// Sends the numbers, in turn over each node. Each waits for the answer to the one before, so that
/// the history has them in their order.
#[derive(Debug)]
pub(super) struct Publisher {
    links: Vec<Link>,
    sent: u64,
}

#[derive(Deserialize)]
struct Answer<'a> {
    id: u64,
    #[serde(borrow)]
    route: &'a str,
}

impl Publisher {
    /// Connects to these nodes. The next number is the one after `sent`.
    pub(super) async fn connect(nodes: &[SocketAddr], sent: u64) -> io::Result<Self> {
        let mut links = Vec::with_capacity(nodes.len());
        for node in nodes {
            links.push(Link::open(OWN_ADDRESS, *node, "publisher").await?);
        }
        Ok(Self { links, sent })
    }

    /// How many numbers were sent.
    pub(super) fn sent(&self) -> u64 {
        self.sent
    }

    /// Sends the next number.
    pub(super) async fn publish(&mut self) -> io::Result<()> {
        let number = self.sent + 1;
        let turn = number as usize % self.links.len().max(1);
        let link = self
            .links
            .get_mut(turn)
            .ok_or(io::ErrorKind::NotConnected)?;
        let message =
            json!({"id": number, "route": "room", "data": {"room": ROOM, "data": number}});
        link.send(&message.to_string()).await?;
        let text = link.answer().await?;
        let answer: Answer<'_> = serde_json::from_str(&text)?;
        if answer.id != number || answer.route != "room" {
            let error = format!("expected the answer to the message {number}; got {text}");
            return Err(io::Error::other(error));
        }
        self.sent = number;
        Ok(())
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
