//! Trying again without end, after growing pauses, with each reason told once.

use std::time::Duration;

use realtime_core::{
    Causes, Events, Pause,
    broker::{BrokerError, BrokerEvent},
};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{connection::Notice, error::with_sources, state::State};

/// How long a connection has to last for the next one to be made soon.
const LASTS: Duration = Duration::from_secs(2);

/// Where everybody learns what the link is like.
#[derive(Clone, Copy)]
pub(crate) struct Report<'r> {
    pub(crate) state: &'r watch::Sender<State>,
    pub(crate) events: &'r Events<BrokerEvent>,
}

impl Report<'_> {
    pub(crate) fn turn(self, state: State, event: BrokerEvent) {
        state.replace_in(self.state);
        self.events.send(event);
    }

    /// Reports a notice. Returns the cause, if the connection is broken.
    pub(crate) fn on_notice(self, notice: Notice) -> Option<String> {
        match notice {
            Notice::Blocked => self.turn(State::Blocked, BrokerEvent::Blocked),
            Notice::Unblocked => self.turn(State::Up, BrokerEvent::Unblocked),
            Notice::Broken(cause) => return Some(cause),
        }
        None
    }
}

/// The pauses of all outages: they go on growing where no connection lasts.
#[derive(Debug, Default)]
pub(crate) struct Pauses {
    pause: Pause,
    since: Option<Instant>,
}

impl Pauses {
    /// There is a connection.
    pub(crate) fn begin(&mut self) {
        self.since = Some(Instant::now());
    }

    /// There is none any more.
    pub(crate) fn end(&mut self) {
        if self
            .since
            .take()
            .is_some_and(|since| since.elapsed() > LASTS)
        {
            self.pause.reset();
        }
    }
}

/// The attempts of one outage.
pub(crate) struct Attempts<'r> {
    report: Report<'r>,
    /// What the state is meanwhile.
    meanwhile: State,
    pauses: &'r mut Pauses,
    known: Causes,
}

impl<'r> Attempts<'r> {
    pub(crate) fn new(report: Report<'r>, meanwhile: State, pauses: &'r mut Pauses) -> Self {
        let known = Causes::default();
        Self {
            report,
            meanwhile,
            pauses,
            known,
        }
    }

    /// Waits before the next one.
    pub(crate) async fn pause(&mut self) {
        sleep(self.pauses.pause.next()).await;
    }

    /// Tells why the last one failed, if that is new.
    pub(crate) fn failed(&mut self, error: &BrokerError) {
        let cause = with_sources(error);
        let is_new = self.known.is_new(&cause);
        if is_new {
            // So that the health and the log show what is wrong now: a password, say.
            tracing::debug!(target: realtime_core::log_targets::BROKER, cause, "no link to RabbitMQ yet");
        }
        // An attempt that waited for memory has ended without it.
        if is_new || *self.report.state.borrow() == State::Blocked {
            self.report.turn(self.meanwhile, BrokerEvent::down(cause));
        }
    }
}
