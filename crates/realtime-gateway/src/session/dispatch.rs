//! One message at a time through the session's stack.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{BoxError, Text, extract::Reply};

use crate::{
    Inbound,
    middleware::{MessageService, panicked},
};

/// The stack, and the message that is in it.
pub(crate) struct Dispatch {
    stack: Box<dyn MessageService>,
    doing: Doing,
    request: Option<Request>,
}

/// What of a message its answer needs.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) id: Option<Text>,
    pub(crate) route: Text,
}

enum Doing {
    Nothing,
    /// The stack isn't ready yet.
    Waiting(Inbound),
    Running(BoxFuture<'static, Result<Reply, BoxError>>),
}

/// A message that was handled.
pub(crate) struct Done {
    pub(crate) request: Option<Request>,
    pub(crate) result: Result<Reply, BoxError>,
    /// The handler panicked and nothing recovered it.
    pub(crate) panicked: bool,
}

impl Dispatch {
    pub(crate) fn new(stack: Box<dyn MessageService>) -> Self {
        Self {
            stack,
            doing: Doing::Nothing,
            request: None,
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
    }

    /// Lets go of a message that no handler has begun with: a layer still holds it back.
    pub(crate) fn forget_waiting(&mut self) {
        if matches!(self.doing, Doing::Waiting(_)) {
            self.doing = Doing::Nothing;
        }
    }

    /// Begins with a message. Only while idle.
    pub(crate) fn start(&mut self, inbound: Inbound) {
        let (id, route) = (
            inbound.message.id_text().cloned(),
            inbound.message.route_text().clone(),
        );
        self.request = Some(Request { id, route });
        self.doing = Doing::Waiting(inbound);
    }

    /// Goes on with the message that was begun.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        let step = catch_unwind(AssertUnwindSafe(|| self.step(cx)));
        let (result, panicked) = match step {
            Ok(step) => (ready!(step), false),
            Err(panic) => (Err(panicked(panic)), true),
        };
        self.doing = Doing::Nothing;
        Poll::Ready(Done {
            request: self.request.take(),
            result,
            panicked,
        })
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, BoxError>> {
        loop {
            match std::mem::replace(&mut self.doing, Doing::Nothing) {
                Doing::Nothing => return Poll::Pending,
                Doing::Waiting(inbound) => match self.stack.poll_ready(cx)? {
                    Poll::Ready(()) => self.doing = Doing::Running(self.stack.call(inbound)),
                    Poll::Pending => {
                        self.doing = Doing::Waiting(inbound);
                        return Poll::Pending;
                    }
                },
                Doing::Running(mut running) => {
                    let polled = running.poll_unpin(cx);
                    if polled.is_pending() {
                        self.doing = Doing::Running(running);
                    }
                    return polled;
                }
            }
        }
    }
}
