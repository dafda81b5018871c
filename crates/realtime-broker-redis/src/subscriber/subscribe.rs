//! A connection is made, and all is subscribed to that this node receives.

use std::sync::Arc;

use realtime_core::broker::{BrokerError, Topic, TopicName, stream::ANSWER_TIMEOUT};
use tokio::{
    sync::oneshot,
    time::{Instant, timeout, timeout_at},
};

use super::{Change, Subscriber};
use crate::{
    connection::STEP,
    error::{duplicate, too_slow, unavailable},
    line::{Awaited, Line, Told},
    resp,
};

/// How many channels one command names.
const AT_ONCE: usize = 512;

/// How often a node that starts asks for another of its name, while somebody listens under it.
const QUESTIONS: usize = 3;

impl Subscriber {
    /// Connects, and subscribes to all that this node receives: first to what is for all, so that
    /// another node of this name can be heard. Returns which topics are among it.
    pub(super) async fn subscribe(&mut self) -> Result<(Line, Vec<TopicName>), BrokerError> {
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

    /// Who left a topic while the link was made could say so to nobody.
    pub(super) fn leave_what_is_left(&self, line: &mut Line, topics: Vec<TopicName>) {
        let joined = self.incoming.topics();
        for topic in topics.into_iter().filter(|topic| !joined.contains(topic)) {
            let (done, _nobody_waits) = oneshot::channel();
            self.change(line, Change { topic, done });
        }
    }
}
