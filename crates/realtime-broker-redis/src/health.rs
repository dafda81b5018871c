//! What the two connections of a node are like, for those who publish and those who listen.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use realtime_core::{
    Causes, Events,
    broker::{BrokerError, BrokerEvent},
};

use crate::error::{closed, unavailable};

/// One of the two connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Half {
    Publishing,
    Receiving,
}

impl Half {
    const fn what(self) -> &'static str {
        match self {
            Self::Publishing => "publishing",
            Self::Receiving => "receiving",
        }
    }
}

/// The link is up while both connections are. Each lives and dies by itself.
#[derive(Debug)]
pub(crate) struct Health {
    events: Arc<Events<BrokerEvent>>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    publishing: bool,
    receiving: bool,
    /// What was told last; nothing before the link was up for the first time.
    told: Option<bool>,
    /// What was told of this outage: attempts fail in turn for different reasons.
    causes: Causes,
    is_over: bool,
}

impl State {
    fn half(&mut self, half: Half) -> &mut bool {
        match half {
            Half::Publishing => &mut self.publishing,
            Half::Receiving => &mut self.receiving,
        }
    }
}

impl Health {
    pub(crate) fn new(events: Arc<Events<BrokerEvent>>) -> Self {
        Self {
            events,
            state: Mutex::default(),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Events are sent while the state is locked, so that they come in its order.
    pub(crate) fn up(&self, half: Half) {
        let mut state = self.state();
        *state.half(half) = true;
        if state.publishing && state.receiving && state.told != Some(true) && !state.is_over {
            state.told = Some(true);
            state.causes.clear();
            self.events.send(BrokerEvent::Up);
        }
    }

    /// A connection ended, or could not be made.
    pub(crate) fn down(&self, half: Half, cause: &str) {
        let mut state = self.state();
        *state.half(half) = false;
        if state.told.is_none() || state.is_over || !state.causes.is_new(cause) {
            return;
        }
        state.told = Some(false);
        let what = half.what();
        // Before the log, whose layers are the program's and may panic.
        self.events
            .send(BrokerEvent::down(format!("{what}: {cause}")));
        // Whoever hears the event says it louder.
        tracing::debug!(target: realtime_core::log_targets::BROKER, what, cause, "no link to Redis");
    }

    /// Nothing is told any more.
    pub(crate) fn end(&self) {
        let mut state = self.state();
        state.is_over = true;
        (state.publishing, state.receiving) = (false, false);
    }

    pub(crate) fn is_up(&self, half: Half) -> bool {
        *self.state().half(half)
    }

    /// Why nothing can be done over this connection now.
    pub(crate) fn refusal(&self, half: Half) -> Option<BrokerError> {
        let mut state = self.state();
        if state.is_over {
            return Some(closed());
        }
        (!*state.half(half)).then(|| unavailable("the link to Redis is down"))
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt;

    use super::*;

    #[tokio::test]
    async fn it_is_up_while_both_are_and_says_each_cause_once() {
        let events = Arc::new(Events::new());
        let heard = events.subscribe();
        let health = Health::new(Arc::clone(&events));
        health.down(Half::Receiving, "not yet");
        health.up(Half::Publishing);
        health.up(Half::Receiving);
        health.down(Half::Receiving, "a");
        for _ in 0..3 {
            health.down(Half::Publishing, "b");
            health.down(Half::Receiving, "a");
        }
        health.up(Half::Receiving);
        health.up(Half::Publishing);
        health.up(Half::Publishing);
        health.end();
        health.down(Half::Receiving, "over");
        events.close();
        let heard: Vec<_> = heard.collect().await;
        let down = |cause: &str| BrokerEvent::down(cause);
        let expected = [
            BrokerEvent::Up,
            down("receiving: a"),
            down("publishing: b"),
            BrokerEvent::Up,
        ];
        assert_eq!(heard, expected);
    }
}
