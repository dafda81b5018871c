//! Publishes, in order, and waits for what Redis answers.
//!
//! One task stamps and sends, so that numbers arrive in their order. What was under way when the
//! connection ended is never sent again: it may have been published.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::{FutureExt, StreamExt};
use realtime_core::{
    Pause,
    broker::{
        BrokerError, Published, Topic,
        stream::{Announcement, Due, Outgoing},
    },
};
use realtime_redis::caught;
use tokio::{
    sync::{OwnedSemaphorePermit, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::{ANSWER, Connection, is_replica, reply},
    error::{refused, unavailable, unknown},
    health::Half,
    locate::Locator,
    member::{Member, Question, with_sources},
    resp::Frame,
    traffic::{Pending, Traffic, What, write_some},
};

/// How long a connection has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);
/// How often that is looked at.
const LOOK: Duration = Duration::from_millis(250);
/// How often the server is asked whether it is still a master.
const ASK_ROLE: Duration = Duration::from_secs(3);
/// How long saying goodbye may take.
const GOODBYE: Duration = Duration::from_millis(500);

/// A publication, and who waits for its outcome.
pub(crate) struct Request {
    pub(crate) topic: Topic,
    pub(crate) data: Bytes,
    pub(crate) outcome: oneshot::Sender<Result<Published, BrokerError>>,
    /// Its share of what may be under way, in bytes.
    pub(crate) room: OwnedSemaphorePermit,
}

pub(crate) struct Publisher {
    pub(crate) member: Arc<Member>,
    pub(crate) locator: Locator,
    pub(crate) outgoing: Outgoing,
    pub(crate) requests: mpsc::Receiver<Request>,
    pub(crate) questions: mpsc::Receiver<Question>,
    /// Who waits for Redis to accept what this node says first. Before that it may say nothing.
    pub(crate) joining: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

/// What runs as long as the subscription does.
struct Link {
    /// The first connection, until it is used.
    first: Option<Connection>,
    pause: Pause,
    /// Why the task was started again.
    panicked: Option<String>,
}

impl Publisher {
    /// The first connection.
    pub(crate) async fn connect(&mut self) -> Result<Connection, BrokerError> {
        let name = self.member.name("publish");
        self.locator.connect(&name, ANSWER).await
    }

    /// Runs until it is stopped, and says goodbye.
    pub(crate) async fn run(mut self, first: Connection, stop: CancellationToken) {
        let mut link = Link {
            first: Some(first),
            pause: Pause::default(),
            panicked: None,
        };
        while let Err(panicked) = caught(self.keep(&mut link, &stop)).await {
            link.panicked = Some(panicked);
        }
        self.requests.close();
        while let Ok(request) = self.requests.try_recv() {
            self.refuse(request);
        }
    }

    /// Makes connections and uses them, until it is stopped.
    async fn keep(&mut self, link: &mut Link, stop: &CancellationToken) {
        if let Some(cause) = link.panicked.take() {
            self.member.health.down(Half::Publishing, &cause);
        }
        loop {
            let current = match link.first.take() {
                Some(current) => current,
                None => match stop
                    .run_until_cancelled(self.connect_again(&mut link.pause))
                    .await
                {
                    Some(current) => current,
                    None => return,
                },
            };
            let since = Instant::now();
            let Some(cause) = self.serve(current, stop).await else {
                return;
            };
            if since.elapsed() > LASTS {
                link.pause.reset();
            }
            self.member.health.down(Half::Publishing, &cause);
        }
    }

    /// Whatever it takes. Nobody who has just handed a message over waits in vain.
    async fn connect_again(&mut self, pause: &mut Pause) -> Connection {
        loop {
            self.refuse_for(pause.next()).await;
            let name = self.member.name("publish");
            let connecting = self.locator.connect(&name, ANSWER);
            let mut connecting = std::pin::pin!(connecting);
            let connected = loop {
                tokio::select! {
                    connected = &mut connecting => break connected,
                    Some(request) = self.requests.recv() => refuse(&self.member, request),
                    Some(nobody_knows) = self.questions.recv() => drop(nobody_knows),
                }
            };
            match connected {
                Ok(connection) => return connection,
                Err(error) => {
                    let cause = with_sources(&error);
                    self.member.health.down(Half::Publishing, &cause);
                }
            }
        }
    }

    async fn refuse_for(&mut self, time: Duration) {
        let mut done = std::pin::pin!(sleep(time));
        loop {
            tokio::select! {
                () = &mut done => return,
                Some(request) = self.requests.recv() => refuse(&self.member, request),
                Some(nobody_knows) = self.questions.recv() => drop(nobody_knows),
            }
        }
    }

    fn refuse(&self, request: Request) {
        refuse(&self.member, request);
    }

    /// Runs until the connection is of no use any more, and says why; or nothing when it is
    /// stopped.
    async fn serve(
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

    /// An answer has come, to what waits longest.
    fn settle(&mut self, traffic: &mut Traffic, frame: Frame, connection: &Connection) {
        let Some(Pending { what, .. }) = traffic.pending.pop_front() else {
            traffic
                .ending
                .get_or_insert("Redis said something that was not asked for".to_owned());
            return;
        };
        let count = match frame {
            Frame::Number(count) => Ok(u64::try_from(count).unwrap_or(0)),
            Frame::Error(said) => Err(said),
            other => match what {
                What::Role if is_replica(&reply(other)) => {
                    let gone = "this Redis is a replica now; the master is looked for";
                    traffic.ending.get_or_insert(gone.to_owned());
                    return;
                }
                What::Role => {
                    self.accepted(traffic);
                    return;
                }
                _ => Err("something else than a number".to_owned()),
            },
        };
        if count.is_ok() {
            self.accepted(traffic);
        }
        if let Err(said) = &count
            && !matches!(what, What::Role)
        {
            self.locator.note(said, connection.address());
            let is_of_the_message = matches!(what, What::Message { .. }) && !is_of_the_server(said);
            if !is_of_the_message {
                let cause = with_sources(&refused("publishing", said));
                traffic.ending.get_or_insert(cause);
            }
        }
        match what {
            What::Role => {}
            What::Topic => {
                if let Err(said) = count
                    && let Some(joining) = self.joining.take()
                {
                    let _nobody_waits = joining.send(Err(refused("publishing", &said)));
                }
            }
            What::Question(waits) => {
                let count = count.map_err(|said| refused("publishing", &said));
                let _nobody_waits = waits.send(count);
            }
            What::Announcement {
                topic,
                subscription,
            } => {
                if let Ok(count) = count {
                    self.heard(&topic, subscription, count);
                }
                if let Some(joining) = self.joining.take() {
                    let accepted = count.map(drop);
                    let accepted = accepted.map_err(|said| refused("publishing", &said));
                    let _nobody_waits = joining.send(accepted);
                }
            }
            What::Message {
                topic,
                subscription,
                outcome,
                ..
            } => {
                let result = match count {
                    Ok(count) => {
                        self.heard(&topic, subscription, count);
                        match (count, &topic) {
                            (0, Topic::Node(_)) => {
                                self.outgoing.forget(&topic);
                                Ok(Published::NoRoute)
                            }
                            _ => Ok(Published::Routed),
                        }
                    }
                    Err(said) => Err(refused("publishing", &said)),
                };
                let _nobody_waits = outcome.send(result);
            }
        }
    }

    /// Redis has accepted what was sent first, so the connection is of use.
    fn accepted(&self, traffic: &mut Traffic) {
        if !traffic.is_accepted && traffic.ending.is_none() {
            traffic.is_accepted = true;
            self.member.health.up(Half::Publishing);
        }
    }

    /// What is for all is for this node, too, and so is what it says on its own topic. Where nobody
    /// was counted, this node's subscription is gone, or elsewhere than the master: with a replica,
    /// which passes on what the master gets, while the master tells everybody that nobody is there.
    fn heard(&self, topic: &Topic, subscription: u64, count: u64) {
        let is_for_this_node = match topic {
            Topic::All => true,
            Topic::Node(id) => *id == self.member.node.id,
            _ => false,
        };
        if is_for_this_node && subscription > 0 && count == 0 {
            self.member.set_deaf(subscription);
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

fn refuse(member: &Member, request: Request) {
    let refusal = member.health.refusal(Half::Publishing);
    let refusal = refusal.unwrap_or_else(|| unavailable("the link to Redis is down"));
    let _nobody_waits = request.outcome.send(Err(refusal));
}

/// Whether an error is about the server, so that another one is to be found.
fn is_of_the_server(said: &str) -> bool {
    [
        "MOVED",
        "ASK",
        "CLUSTERDOWN",
        "READONLY",
        "LOADING",
        "MASTERDOWN",
    ]
    .iter()
    .any(|code| said.starts_with(code))
}

/// That a publication got no answer.
pub(crate) fn unanswered() -> BrokerError {
    unknown("the link to Redis broke before it had answered")
}
