//! Keeps the publishing half of a link up, for as long as the other half consumes.

use std::{
    collections::VecDeque,
    pin::pin,
    sync::{Arc, Mutex, PoisonError},
};

use futures::{StreamExt, stream::FuturesUnordered};
use realtime_core::broker::{BrokerEvent, stream::Outgoing};
use tokio::sync::mpsc;

use crate::{
    AmqpConfig,
    connection::Patience,
    limit::{Limit, Sizes},
    link::BINDINGS,
    publisher::{Fault, Publisher, Queue, bind},
    publishing::Publishing,
    request::{Request, refuse},
    retry::{Attempts, Pauses, Report},
    routes::Routes,
    state::State,
};

/// Everything that outlives a publishing connection.
pub(crate) struct Speaker<'s> {
    pub(crate) config: &'s Arc<AmqpConfig>,
    pub(crate) outgoing: &'s mut Outgoing,
    pub(crate) requests: &'s mut mpsc::Receiver<Request>,
    pub(crate) report: Report<'s>,
    pub(crate) limit: &'s Limit,
    /// How many links were tried: which URL is next.
    pub(crate) attempts: &'s mut usize,
    pub(crate) queue: Queue<'s>,
    /// Why the connection that publishes was last given up.
    pub(crate) told: &'s Mutex<String>,
    /// Between two connections that publish.
    pub(crate) pauses: Pauses,
}

impl Speaker<'_> {
    /// Runs until the link as a whole is of no use any more, and says why. A connection that is of
    /// no use is made anew meanwhile.
    pub(crate) async fn run(&mut self, publishing: &mut Option<Publishing>) -> String {
        loop {
            let current = match publishing {
                Some(current) => current,
                None => match self.anew().await {
                    Some(anew) => {
                        self.report.turn(State::Up, BrokerEvent::Up);
                        publishing.insert(anew)
                    }
                    None => return "this node's queue is bound to its own name no more".to_owned(),
                },
            };
            self.pauses.begin();
            let fault = self.speak(current).await;
            self.pauses.end();
            let cause = match fault {
                Fault::Publishing(cause) if *self.report.state.borrow() != State::Down => cause,
                Fault::Publishing(cause) | Fault::Link(cause) => return cause,
            };
            // Whoever hears the event says it louder.
            tracing::debug!(
                target: realtime_core::log_targets::BROKER, cause,
                "the connection that publishes to RabbitMQ is down; the other one consumes",
            );
            self.tell(cause);
            if let Some(broken) = publishing.take() {
                broken.connected.close().await;
            }
        }
    }

    fn tell(&self, cause: String) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        told.clone_from(&cause);
        self.report.turn(State::Receiving, BrokerEvent::down(cause));
    }

    /// Runs until the connection is of no use any more.
    async fn speak(&mut self, publishing: &mut Publishing) -> Fault {
        // It may be another server.
        self.limit.forget();
        self.outgoing.begin();
        let mut notices = pin!(publishing.connected.watched());
        let publisher = Publisher {
            config: self.config,
            channel: &publishing.channel,
            routes: Routes::new(&publishing.routes),
            there: VecDeque::new(),
            limit: self.limit,
            sizes: Sizes::new(self.limit, &publishing.connected.connection, self.config),
            queue: self.queue,
            outgoing: self.outgoing,
            state: self.report.state,
        };
        let report = self.report;
        let watch = async {
            while let Some(notice) = notices.next().await {
                if let Some(cause) = report.on_notice(notice) {
                    return Fault::Publishing(cause);
                }
            }
            Fault::Publishing("the connection ended".to_owned())
        };
        tokio::select! {
            fault = watch => fault,
            fault = publisher.run(self.requests) => fault,
        }
    }

    /// Another connection, whatever it takes, unless the queue is no more what it was. Meanwhile
    /// topics are joined and left as ever.
    async fn anew(&mut self) -> Option<Publishing> {
        let (config, node, report) = (self.config, self.outgoing.node(), self.report);
        let (urls, attempts) = (&config.urls, &mut *self.attempts);
        let (topics, pauses) = (self.outgoing.topics(), &mut self.pauses);
        let on_notice = |notice| drop(report.on_notice(notice));
        let patience = Patience::Again(&on_notice);
        let opened = async {
            let mut outage = Attempts::new(report, State::Receiving, pauses);
            loop {
                outage.pause().await;
                let url = &urls[*attempts % urls.len()];
                *attempts += 1;
                match Publishing::anew(config, url, node, &patience).await {
                    Ok(opened) => return opened,
                    Err(error) => outage.failed(&error),
                }
            }
        };
        let mut opened = pin!(opened);
        let mut bindings = FuturesUnordered::new();
        loop {
            tokio::select! {
                opened = &mut opened => return opened,
                Some(()) = bindings.next() => {}
                Some(request) = self.requests.recv(), if bindings.len() < BINDINGS => match request {
                    Request::Bind(binding) => {
                        bindings.push(bind(binding, config, topics, self.queue));
                    }
                    request => refuse(request, report.state),
                },
            }
        }
    }
}
