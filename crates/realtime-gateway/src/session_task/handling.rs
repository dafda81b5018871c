//! One message at a time through the session's stack.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    task::{Context, Poll, ready},
};

use futures::{FutureExt, future::BoxFuture};
use realtime_core::{BoxError, Message, MessageId, Text, extract::Reply};

use crate::{
    Inbound,
    guarded::handler_panicked,
    handling::middleware::Stack,
    metrics::{Size, Timing},
    quiet::drop_quietly,
    traces::Traced,
};

/// The stack, and the message that is in it.
pub(super) struct Handling {
    stack: Stack,
    doing: Doing,
    /// Of the message that is in it. Boxed, since most are done at once.
    request: Option<Box<Request>>,
    timing: Timing,
    /// That message, until it is answered.
    traced: Traced,
}

/// What of a message with an id its answer needs.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) id: MessageId,
    pub(super) route: Text,
}

impl Request {
    fn of(message: &Message) -> Option<Self> {
        message.message_id().map(|id| Self {
            id: id.clone(),
            route: message.route_text().clone(),
        })
    }
}

enum Doing {
    Nothing,
    /// The stack isn't ready yet. That is rare, so the room for it isn't kept.
    Waiting(Box<Inbound>),
    Running(Running),
}

type Running = BoxFuture<'static, Result<Reply, BoxError>>;

/// A message that was handled.
pub(super) struct Done {
    /// `None` where no answer is wanted.
    pub(super) request: Option<Request>,
    pub(super) result: Result<Reply, BoxError>,
    /// The handler panicked and nothing recovered it.
    pub(super) panicked: bool,
    pub(super) timing: Timing,
}

impl Done {
    /// Of a message that has no need of the stack.
    pub(super) fn at_once(message: &Message, reply: Reply, timing: Timing) -> Self {
        Self {
            request: Request::of(message),
            result: Ok(reply),
            panicked: false,
            timing,
        }
    }
}

/// How a message's way through the stack ended.
struct Ended {
    result: Result<Reply, BoxError>,
    panicked: bool,
}

impl Ended {
    fn answering(self, request: Option<Request>, timing: Timing) -> Done {
        let Self { result, panicked } = self;
        Done {
            request,
            result,
            panicked,
            timing,
        }
    }
}

impl Handling {
    pub(super) fn new(stack: Stack) -> Self {
        Self {
            stack,
            doing: Doing::Nothing,
            request: None,
            timing: Timing::default(),
            traced: Traced::default(),
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        matches!(self.doing, Doing::Nothing)
    }

    /// Whether a layer holds a message back, with which no handler has begun.
    pub(super) fn is_waiting(&self) -> bool {
        matches!(self.doing, Doing::Waiting(_))
    }

    /// The size of a message that a layer still holds back.
    pub(super) fn waiting(&self) -> Option<Size> {
        self.is_waiting().then(|| self.timing.size())
    }

    /// Lets go of such a message. Returns its size, where there was one.
    pub(super) fn forget_waiting(&mut self) -> Option<Size> {
        let waiting = self.waiting();
        if waiting.is_some() {
            self.cut_short();
        }
        waiting
    }

    /// Drops what is in it, as a part of its message. Apart from the stack, which is foreign, too.
    fn cut_short(&mut self) {
        let traced = self.take_traced();
        if !self.is_idle() {
            traced.cancelled();
        }
        let doing = std::mem::replace(&mut self.doing, Doing::Nothing);
        traced.within(|| drop_quietly(doing));
    }

    /// The message with which it begins next is traced.
    #[cold]
    pub(super) fn trace(&mut self, traced: Traced) {
        self.traced = traced;
    }

    /// Whether the message that is in it, or has just been handled, is traced.
    #[inline]
    pub(super) fn is_traced(&self) -> bool {
        self.traced.is_on()
    }

    /// Whoever answers the message says how it ended.
    pub(super) fn take_traced(&mut self) -> Traced {
        std::mem::take(&mut self.traced)
    }

    /// Begins with a message, and polls its handler at once. Only while idle.
    pub(super) fn start(
        &mut self,
        inbound: Inbound,
        timing: Timing,
        cx: &mut Context<'_>,
    ) -> Poll<Done> {
        let request = Request::of(&inbound.message);
        self.enter();
        match self.go(|handling| handling.begin(inbound, cx)) {
            Poll::Ready(ended) => Poll::Ready(ended.answering(request, timing)),
            Poll::Pending => {
                self.timing = timing;
                self.request = request.map(Box::new);
                Poll::Pending
            }
        }
    }

    /// Goes on with the message that was begun.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Done> {
        self.enter();
        let ended = ready!(self.go(|handling| handling.step(cx)));
        let request = self.request.take().map(|request| *request);
        let timing = std::mem::take(&mut self.timing);
        Poll::Ready(ended.answering(request, timing))
    }

    /// What `go` does from here on is a part of the message that is traced.
    #[inline]
    fn enter(&self) {
        if self.traced.is_on() {
            self.traced.enter();
        }
    }

    fn go(&mut self, step: impl FnOnce(&mut Self) -> Poll<Result<Reply, BoxError>>) -> Poll<Ended> {
        let step = catch_unwind(AssertUnwindSafe(|| step(self)));
        if self.traced.is_on() {
            self.traced.exit();
        }
        let (result, panicked) = match step {
            Ok(step) => (ready!(step), false),
            Err(panic) => (Err(handler_panicked(panic)), true),
        };
        // A handler whose future panics when it is dropped has answered all the same.
        drop_quietly(std::mem::replace(&mut self.doing, Doing::Nothing));
        Poll::Ready(Ended { result, panicked })
    }

    fn begin(&mut self, inbound: Inbound, cx: &mut Context<'_>) -> Poll<Result<Reply, BoxError>> {
        match self.stack.poll_ready(cx)? {
            Poll::Ready(()) => {
                let running = self.stack.call(inbound);
                // Polled in its place: should it panic, it isn't dropped while that unwinds. A
                // second panic would be the end of the process.
                self.doing = Doing::Running(running);
                self.step(cx)
            }
            Poll::Pending => {
                self.doing = Doing::Waiting(Box::new(inbound));
                Poll::Pending
            }
        }
    }

    fn step(&mut self, cx: &mut Context<'_>) -> Poll<Result<Reply, BoxError>> {
        if let Doing::Running(running) = &mut self.doing {
            return running.poll_unpin(cx);
        }
        match std::mem::replace(&mut self.doing, Doing::Nothing) {
            Doing::Waiting(inbound) => self.begin(*inbound, cx),
            _ => Poll::Pending,
        }
    }
}

impl Drop for Handling {
    fn drop(&mut self) {
        self.cut_short();
    }
}
