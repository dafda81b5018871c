//! One connection that receives, for as long as it is of use.

use std::time::Duration;

use futures::FutureExt;
use realtime_core::broker::{BrokerError, Topic};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::{Change, Subscriber};
use crate::{
    error::unavailable,
    line::{Awaited, Line},
    resp::{self, Frame},
};

/// How many frames are taken at once.
const TOGETHER: usize = 64;

/// After how long of silence Redis is asked whether it is there, and after how long it isn't.
const QUIET: Duration = Duration::from_secs(3);
const SILENT: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(500);

/// For how long a connection that is given up is still read, and after how long without anything
/// it isn't.
const REST: Duration = Duration::from_millis(500);
const NOTHING_MORE: Duration = Duration::from_millis(20);

impl Subscriber {
    /// Receives until the connection is of no use any more, and says why.
    pub(super) async fn serve(&mut self, line: &mut Line) -> BrokerError {
        let own = *self.member.subscribed.borrow();
        let mut deaf = self.member.deaf.subscribe();
        let mut ticks = interval(LOOK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                biased;
                true = async { deaf.wait_for(|deaf| *deaf >= own).await.is_ok() } => {
                    self.take_the_rest(line).await;
                    return unavailable("what this node publishes for itself doesn't come back");
                }
                _ = ticks.tick() => {
                    if line.is_in_the_middle() {
                        // Nothing that stands behind it can have come, such as what this node says.
                        drop(self.incoming.stall());
                    }
                    let quiet = line.last_byte().elapsed();
                    if quiet > SILENT {
                        return unavailable(format!("Redis said nothing for {SILENT:?}"));
                    }
                    if quiet > QUIET && !line.asked {
                        line.asked = true;
                        line.put(&[b"PING"]);
                    }
                }
                Some(change) = self.changes.recv() => self.change(line, change),
                frame = line.next() => {
                    if let Err(failure) = self.take_what_is_there(line, frame).await {
                        return failure;
                    }
                }
            }
        }
    }

    /// Takes what has come already, which would be lost with the connection.
    async fn take_the_rest(&mut self, line: &mut Line) {
        let deadline = Instant::now() + REST;
        while Instant::now() < deadline
            && let Ok(Ok(frame)) = timeout(NOTHING_MORE, line.next()).await
            && self.take(line, frame).await.is_ok()
        {}
    }

    /// Takes a frame and those that have come with it.
    async fn take_what_is_there(
        &mut self,
        line: &mut Line,
        first: Result<Frame, BrokerError>,
    ) -> Result<(), BrokerError> {
        let mut next = Some(first);
        for _ in 0..TOGETHER {
            let Some(frame) = next else {
                break;
            };
            self.take(line, frame?).await?;
            next = line.next().now_or_never();
        }
        match next {
            // Taken, though others are to have their turn first.
            Some(frame) => self.take(line, frame?).await.map(drop),
            None => Ok(()),
        }
    }

    pub(super) fn change(&self, line: &mut Line, change: Change) {
        let Change { topic, done } = change;
        let config = &self.member.config;
        let joins = self.incoming.topics().contains(&topic);
        let channel = config.channels.name(&Topic::Named(topic));
        let word = match joins {
            true => config.words().subscribe,
            false => config.words().unsubscribe,
        };
        resp::put(&mut line.out, &[word, channel.as_bytes()]);
        line.awaited.push_back(Awaited {
            answers: 1,
            leaves: (!joins).then_some(channel),
            done: Some(done),
        });
    }
}
