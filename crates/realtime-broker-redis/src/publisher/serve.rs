//! One connection that publishes, for as long as it is of use.

use std::time::Duration;

use futures::{FutureExt, StreamExt};
use realtime_core::broker::{
    Topic,
    stream::{Announcement, Due},
};
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;

use super::{Publisher, Request};
use crate::{
    connection::Connection,
    health::Half,
    traffic::{Traffic, What, write_some},
};

/// How often it is looked at whether Redis answers.
const LOOK: Duration = Duration::from_millis(250);
/// How often the server is asked whether it is still a master.
const ASK_ROLE: Duration = Duration::from_secs(3);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

impl Publisher {
    /// Runs until the connection is of no use any more, and says why; or nothing when it is
    /// stopped.
    pub(super) async fn serve(
        &mut self,
        mut connection: Connection,
        stop: &CancellationToken,
    ) -> Option<String> {
        let mut traffic = Traffic::default();
        let mut subscribed = self.member.subscribed.subscribe();
        if *subscribed.borrow_and_update() > 0 && self.member.health.is_up(Half::Receiving) {
            self.begin(&mut traffic);
        }
        let mut look = interval(LOOK);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask_role = interval(ASK_ROLE);
        ask_role.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if traffic.ending.is_some() && traffic.pending.is_empty() {
                return traffic.ending;
            }
            let (has_to_write, has_room) = (traffic.has_to_write(), traffic.has_room());
            let Connection { frames, writes, .. } = &mut connection;
            let Traffic { out, unflushed, .. } = &mut traffic;
            tokio::select! {
                biased;
                () = stop.cancelled() => {
                    if subscribed.has_changed().unwrap_or(false) {
                        // Who came for a moment only has come, too.
                        self.begin(&mut traffic);
                    }
                    self.leave(connection, traffic).await;
                    return None;
                }
                frame = frames.next() => {
                    let mut next = Some(frame);
                    while let Some(frame) = next {
                        match frame {
                            Some(Ok(frame)) => self.settle(&mut traffic, frame, &connection),
                            Some(Err(error)) => return Some(format!("reading failed: {error}")),
                            None => return Some("Redis has ended the connection".to_owned()),
                        }
                        next = connection.frames.next().now_or_never();
                    }
                }
                written = write_some(writes, out, unflushed), if has_to_write => {
                    if let Err(error) = written {
                        return Some(format!("writing failed: {error}"));
                    }
                }
                _ = look.tick() => {
                    if let Some(waited) = traffic.is_overdue() {
                        return Some(format!("Redis did not answer for {waited:?}"));
                    }
                }
                _ = ask_role.tick(), if has_room => traffic.put(&[b"HELLO"], What::Role),
                _ = subscribed.changed() => self.begin(&mut traffic),
                due = self.outgoing.next(), if has_room => self.say(&mut traffic, due),
                Some(waits) = self.questions.recv(), if has_room => {
                    let question = self.outgoing.question();
                    self.put(&mut traffic, &question.topic, &question.data, What::Question(waits));
                }
                Some(request) = self.requests.recv(), if has_room => {
                    let mut next = Some(request);
                    while let Some(request) = next {
                        self.publish(&mut traffic, request);
                        next = match traffic.has_room() {
                            true => self.requests.try_recv().ok(),
                            false => None,
                        };
                    }
                }
            }
        }
    }

    /// This node receives from now on, or can publish again: the others are to know.
    fn begin(&mut self, traffic: &mut Traffic) {
        self.outgoing.begin();
        // First, since who waits to join waits for what is said behind it.
        let config = &self.member.config;
        let channel = config.channels.of_no_topic();
        let words: [&[u8]; 3] = [config.words().publish, channel.as_bytes(), b""];
        traffic.put(&words, What::Topic);
        let hello = self.outgoing.hello();
        self.announce(traffic, hello);
    }

    fn say(&mut self, traffic: &mut Traffic, due: Due) {
        match due {
            Due::Say(announcement) => self.announce(traffic, announcement),
            Due::LinkDown { cause, .. } => {
                let subscription = *self.member.subscribed.borrow();
                if self.member.health.is_up(Half::Receiving) {
                    tracing::debug!(target: realtime_core::log_targets::BROKER, cause, "deaf");
                    self.member.set_deaf(subscription);
                }
                // What receives is made anew; until then nothing can come back.
                self.outgoing.begin();
            }
            _ => {}
        }
    }

    fn announce(&mut self, traffic: &mut Traffic, announcement: Announcement) {
        let what = What::Announcement {
            topic: announcement.topic.clone(),
            subscription: self.subscription(),
        };
        self.put(traffic, &announcement.topic, &announcement.data, what);
    }

    fn publish(&mut self, traffic: &mut Traffic, request: Request) {
        let Request {
            topic,
            data,
            outcome,
            room,
        } = request;
        let data = self.outgoing.message(&topic, &data);
        let what = What::Message {
            topic: topic.clone(),
            subscription: self.subscription(),
            outcome,
            _room: room,
        };
        self.put(traffic, &topic, &data, what);
    }

    fn put(&self, traffic: &mut Traffic, topic: &Topic, data: &[u8], waits: What) {
        let config = &self.member.config;
        let channel = config.channels.name(topic);
        traffic.put(&[config.words().publish, channel.as_bytes(), data], waits);
    }

    /// Which subscription of this node Redis should know by now; 0 for none.
    fn subscription(&self) -> u64 {
        match self.member.health.is_up(Half::Receiving) {
            true => *self.member.subscribed.borrow(),
            false => 0,
        }
    }

    /// The last word, with a bound.
    async fn leave(&mut self, mut connection: Connection, mut traffic: Traffic) {
        let goodbye = self.outgoing.goodbye();
        self.announce(&mut traffic, goodbye);
        let said = timeout(GOODBYE, async {
            while traffic.has_to_write() {
                let Traffic { out, unflushed, .. } = &mut traffic;
                write_some(&mut connection.writes, out, unflushed).await?;
            }
            while !traffic.pending.is_empty() {
                match connection.frames.next().await {
                    Some(Ok(frame)) => self.settle(&mut traffic, frame, &connection),
                    _ => break,
                }
            }
            std::io::Result::Ok(())
        });
        let _best_effort = said.await;
    }
}
