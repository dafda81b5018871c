//! Receives: subscribes to the channels of this node, and hands what comes to the gateway as fast
//! as that takes it. What it doesn't take stays in the socket, and then at Redis.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use futures::FutureExt;
use realtime_core::{
    Incarnation, Pause,
    broker::{
        BrokerError, BrokerEvent, BrokerMessage, Topic, TopicName,
        stream::{ANSWER_TIMEOUT, Incoming, Look, MAX_STAMP, Next, look},
    },
};
use realtime_redis::caught;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at},
};
use tokio_util::sync::CancellationToken;

use crate::{
    connection::STEP,
    error::{duplicate, refused, too_slow, unavailable},
    health::Half,
    line::{Awaited, Line, Told},
    locate::Locator,
    member::{Member, Question, with_sources},
    resp::{self, Frame},
};

/// How many messages may wait for the gateway, and how much memory they may take.
pub(crate) const INBOX: usize = 1_024;
pub(crate) const INBOX_BYTES: usize = 32 << 20;
/// In which pieces memory is counted.
pub(crate) const PIECE: usize = 1 << 10;
/// How many frames are taken at once.
const TOGETHER: usize = 64;
/// How many channels one command names.
const AT_ONCE: usize = 512;
/// How often a node that starts asks for another of its name, while somebody listens under it.
const QUESTIONS: usize = 3;
/// After how long of silence Redis is asked whether it is there, and after how long it isn't.
const QUIET: Duration = Duration::from_secs(3);
const SILENT: Duration = Duration::from_secs(8);
const LOOK: Duration = Duration::from_millis(500);
/// How long a connection has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);
/// For how long a connection that is given up is still read, and after how long without anything
/// it isn't.
const REST: Duration = Duration::from_millis(500);
const NOTHING_MORE: Duration = Duration::from_millis(20);

/// Who has sent a message that is too large is read all the same.
const _: () = assert!(resp::BEGINNING >= MAX_STAMP);

/// A message, with its share of the memory.
pub(crate) type Delivered = (BrokerMessage, OwnedSemaphorePermit);

/// Joins or leaves a topic, as it is in `Topics` by then, and says when Redis has done it.
pub(crate) struct Change {
    pub(crate) topic: TopicName,
    pub(crate) done: oneshot::Sender<Result<(), BrokerError>>,
}

pub(crate) struct Subscriber {
    pub(crate) member: Arc<Member>,
    pub(crate) locator: Locator,
    pub(crate) incoming: Incoming,
    pub(crate) inbox: mpsc::Sender<Delivered>,
    pub(crate) room: Arc<Semaphore>,
    pub(crate) questions: mpsc::Sender<Question>,
    pub(crate) changes: mpsc::Receiver<Change>,
    /// Who waits for the first subscription. Until then nobody reads what is in the inbox.
    pub(crate) joining: Option<oneshot::Sender<Result<(), BrokerError>>>,
}

impl Subscriber {
    /// Runs until it is stopped. Then its connection has ended.
    pub(crate) async fn run(mut self, stop: CancellationToken) {
        stop.run_until_cancelled(async {
            let (mut pause, mut panicked) = (Pause::default(), None);
            while let Err(again) = caught(self.keep(&mut pause, panicked.take())).await {
                if let Some(joining) = self.joining.take() {
                    let _gone = joining.send(Err(unavailable(again)));
                    return;
                }
                panicked = Some(again);
            }
        })
        .await;
    }

    /// Makes connections and receives over them, until who wanted to join has failed to.
    async fn keep(&mut self, pause: &mut Pause, panicked: Option<String>) {
        if let Some(cause) = panicked {
            self.member.health.down(Half::Receiving, &cause);
            self.wait(pause).await;
        }
        loop {
            let failure = match self.subscribe().await {
                Ok((mut line, topics)) => {
                    self.member.health.up(Half::Receiving);
                    self.leave_what_is_left(&mut line, topics);
                    self.member.subscribed.send_modify(|number| *number += 1);
                    if let Some(joining) = self.joining.take() {
                        let _gone = joining.send(Ok(()));
                    }
                    let since = Instant::now();
                    let failure = self.serve(&mut line).await;
                    if since.elapsed() > LASTS {
                        pause.reset();
                    }
                    failure
                }
                Err(failure) => failure,
            };
            if let Some(joining) = self.joining.take() {
                let _gone = joining.send(Err(failure));
                return;
            }
            self.member
                .health
                .down(Half::Receiving, &with_sources(&failure));
            self.wait(pause).await;
        }
    }

    /// Waits before the next attempt.
    async fn wait(&mut self, pause: &mut Pause) {
        let mut over = std::pin::pin!(sleep(pause.next()));
        loop {
            tokio::select! {
                () = &mut over => return,
                // What is left isn't joined again, and what is to be joined fails.
                Some(refused) = self.changes.recv() => drop(refused),
            }
        }
    }

    /// Who left a topic while the link was made could say so to nobody.
    fn leave_what_is_left(&self, line: &mut Line, topics: Vec<TopicName>) {
        let joined = self.incoming.topics();
        for topic in topics.into_iter().filter(|topic| !joined.contains(topic)) {
            let (done, _nobody_waits) = oneshot::channel();
            self.change(line, Change { topic, done });
        }
    }

    /// Connects, and subscribes to all that this node receives: first to what is for all, so that
    /// another node of this name can be heard. Returns which topics are among it.
    async fn subscribe(&mut self) -> Result<(Line, Vec<TopicName>), BrokerError> {
        let member = Arc::clone(&self.member);
        let (config, name) = (&member.config, member.name("subscribe"));
        let connection = self.locator.connect(&name, config.read_limit()).await?;
        let mut line = Line::new(connection);
        self.incoming.begin();
        let all = config.channels.name(&Topic::All);
        let subscribe = config.words().subscribe;
        line.put(&[subscribe, all.as_bytes()]);
        self.until_done(&mut line).await?;
        self.ask_for_a_duplicate(&mut line).await?;
        line.looks = false;
        let own = config.channels.name(&member.node.topic());
        line.put(&[subscribe, own.as_bytes()]);
        let topics = self.incoming.topics().all();
        for some in topics.chunks(AT_ONCE) {
            let named = some.iter().cloned().map(Topic::Named);
            let channels: Vec<_> = named.map(|topic| config.channels.name(&topic)).collect();
            let mut words = vec![subscribe];
            words.extend(channels.iter().map(String::as_bytes));
            line.put(&words);
        }
        self.try_a_topic(&mut line);
        self.until_done(&mut line).await?;
        Ok((line, topics))
    }

    /// Who may join no topic is to know it now, and not room by room.
    fn try_a_topic(&self, line: &mut Line) {
        let (channels, words) = (&self.member.config.channels, self.member.config.words());
        let channel = channels.of_no_topic();
        line.put(&[words.subscribe, channel.as_bytes()]);
        resp::put(&mut line.out, &[words.unsubscribe, channel.as_bytes()]);
        line.awaited.push_back(Awaited {
            answers: 1,
            leaves: Some(channel),
            done: None,
        });
    }

    /// Until nothing is awaited, as long as Redis goes on.
    async fn until_done(&mut self, line: &mut Line) -> Result<(), BrokerError> {
        while !line.awaited.is_empty() {
            let asked = Instant::now();
            while self.take_next(line, asked).await? != Told::Done {}
        }
        Ok(())
    }

    /// Takes the next frame. While bytes come, it may take its time: others stand before it.
    async fn take_next(&mut self, line: &mut Line, asked: Instant) -> Result<Told, BrokerError> {
        loop {
            let deadline = line.last_byte().max(asked) + STEP;
            match timeout_at(deadline, line.next()).await {
                Ok(frame) => return self.take(line, frame?).await,
                Err(_) if line.last_byte() + STEP > deadline => {}
                Err(_) => return Err(too_slow("subscribing", STEP)),
            }
        }
    }

    /// Fails where another node is alive under this node's id.
    ///
    /// Where nobody listens under it, it is free. Who listens and doesn't answer is a leftover: a
    /// connection that was cut without Redis having noticed yet.
    async fn ask_for_a_duplicate(&mut self, line: &mut Line) -> Result<(), BrokerError> {
        let times = if self.joining.is_some() { QUESTIONS } else { 1 };
        for _ in 0..times {
            let (asked, answer) = oneshot::channel();
            if self.questions.try_send(asked).is_err() {
                return Ok(());
            }
            let mut answer = std::pin::pin!(timeout(STEP, answer));
            let listeners = loop {
                tokio::select! {
                    listeners = &mut answer => break listeners,
                    frame = line.next() => {
                        if self.take(line, frame?).await? == Told::Duplicate {
                            return Err(duplicate(&self.member.node.id));
                        }
                    }
                }
            };
            match listeners {
                Ok(Ok(Ok(0))) => return Ok(()),
                Ok(Ok(Ok(_))) => {}
                // Nothing can be published now, so nobody can be asked.
                _ if self.joining.is_none() => return Ok(()),
                Ok(Ok(Err(refused))) => return Err(refused),
                Ok(Err(_)) | Err(_) => return Err(unavailable("Redis did not say who is there")),
            }
            let deadline = Instant::now() + ANSWER_TIMEOUT;
            loop {
                match timeout_at(deadline, line.next()).await {
                    Err(_) => break,
                    Ok(frame) => {
                        if self.take(line, frame?).await? == Told::Duplicate {
                            return Err(duplicate(&self.member.node.id));
                        }
                    }
                }
            }
        }
        Ok(())
    }

    /// Receives until the connection is of no use any more, and says why.
    async fn serve(&mut self, line: &mut Line) -> BrokerError {
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

    fn change(&self, line: &mut Line, change: Change) {
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

    /// Does with a frame what is to be done with it.
    async fn take(&mut self, line: &mut Line, frame: Frame) -> Result<Told, BrokerError> {
        let items = match frame {
            Frame::Array(items) => items,
            Frame::Error(said) => return self.refused(line, &said),
            // PONG, before anything is subscribed.
            _ => return Ok(line.answered()),
        };
        let mut items = items.into_iter();
        let (kind, channel, data) = (items.next(), items.next(), items.next());
        let Some(Frame::Bulk(kind)) = kind else {
            return Err(unavailable("Redis sent something that is not pub/sub"));
        };
        match (&kind[..], data) {
            (b"message" | b"smessage", Some(Frame::Bulk(data)))
                if data.is_empty() && self.is_of_no_topic(channel.as_ref()) =>
            {
                Ok(Told::Other)
            }
            (b"message" | b"smessage", Some(Frame::Bulk(data))) => {
                Ok(self.message(line, data).await)
            }
            (b"message" | b"smessage", Some(Frame::TooLarge { size, beginning })) => {
                let told = self.told_by(line, &beginning);
                let cause = self.too_large(size);
                if let Next::DuplicateNode { incarnation, .. } =
                    self.incoming.refuse(beginning, cause)
                {
                    warn_of_a_duplicate(incarnation);
                }
                Ok(told)
            }
            (b"subscribe" | b"ssubscribe" | b"unsubscribe" | b"pong", _) => Ok(line.answered()),
            (b"sunsubscribe", _) => match (line.awaited.front(), channel) {
                (
                    Some(Awaited {
                        leaves: Some(asked),
                        ..
                    }),
                    Some(Frame::Bulk(left)),
                ) if asked.as_bytes() == left => Ok(line.answered()),
                // Nobody asked for it: the slot is on another server now.
                _ => Err(unavailable(
                    "the cluster has moved the channels of this node",
                )),
            },
            _ => Ok(Told::Other),
        }
    }

    /// Redis has refused a command. One topic that may not be joined is no reason to lose the
    /// others; everything else is.
    fn refused(&mut self, line: &mut Line, said: &str) -> Result<Told, BrokerError> {
        self.locator.note(said, line.connection.address());
        let error = refused("subscribing", said);
        match line.awaited.pop_front() {
            Some(Awaited {
                done: Some(done), ..
            }) if !error.is_transient() => {
                let _nobody_waits = done.send(Err(error));
                Ok(Told::Done)
            }
            _ => Err(error),
        }
    }

    async fn message(&mut self, line: &mut Line, data: Bytes) -> Told {
        // What is read comes from a buffer, and neither this nor an inbox with room waits.
        tokio::task::consume_budget().await;
        let told = self.told_by(line, &data);
        match self.incoming.receive(data) {
            Next::Deliver(message) => self.deliver(line, message).await,
            Next::DuplicateNode { incarnation, .. } => warn_of_a_duplicate(incarnation),
            _ => {}
        }
        told
    }

    /// What a message tells a node that joins.
    fn told_by(&self, line: &Line, data: &Bytes) -> Told {
        let is_double = line.looks && look(&self.member.node, data.clone()) == Look::DuplicateNode;
        match is_double {
            true => Told::Duplicate,
            false => Told::Other,
        }
    }

    async fn deliver(&mut self, line: &mut Line, message: BrokerMessage) {
        let size = message.data.len();
        if size > self.member.config.max_message {
            let cause = self.too_large(size as u64);
            let event = BrokerEvent::invalid_message(cause, 1);
            self.member.events.send(event);
            return;
        }
        let pieces = pieces(size);
        let room = Arc::clone(&self.room);
        let at_once = Arc::clone(&room).try_acquire_many_owned(pieces).ok();
        let at_once = at_once.and_then(|room| Some((self.inbox.try_reserve().ok()?, room)));
        if let Some((place, room)) = at_once {
            place.send((message, room));
            return;
        }
        if self.joining.is_some() {
            // Nobody can read yet, and what is waited for may stand behind it.
            let gap = BrokerEvent::gap(message.source, Some(message.topic), 1);
            self.member.events.send(gap);
            return;
        }
        let stall = self.incoming.stall();
        if let Ok(room) = room.acquire_many_owned(pieces).await {
            let _leaving = self.inbox.send((message, room)).await;
        }
        drop(stall);
        line.heard = Instant::now();
    }

    /// Whether somebody tries there what they may.
    fn is_of_no_topic(&self, channel: Option<&Frame>) -> bool {
        let channels = &self.member.config.channels;
        matches!(channel, Some(Frame::Bulk(name)) if channels.is_of_no_topic(name))
    }

    fn too_large(&self, size: u64) -> String {
        let limit = self.member.config.max_message;
        format!("expected at most {limit} bytes; got {size}")
    }
}

fn warn_of_a_duplicate(incarnation: Incarnation) {
    tracing::error!(
        target: realtime_core::log_targets::BROKER, ?incarnation,
        "another node is alive under this node's id; give each an id of its own",
    );
}

/// The share of a message in the memory of the inbox. One of any size finds room once the others are
/// taken.
pub(crate) fn pieces(bytes: usize) -> u32 {
    let pieces = (bytes + 256).div_ceil(PIECE).min(INBOX_BYTES / PIECE);
    u32::try_from(pieces).unwrap_or(u32::MAX)
}
