//! The streams of a connection: a task for each, which ends with it, and which is given up where its
//! peer takes nothing of what it is sent.

use std::{
    cell::RefCell,
    future::poll_fn,
    panic::AssertUnwindSafe,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Buf;
use futures::{FutureExt, TryFutureExt, future::BoxFuture};
use http::{Request, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, rt::Executor};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::super::panics::Panics;
use crate::transport::{SharedConnection, SharedStream};

/// How long a client may take nothing of a response.
const UNREAD: Duration = Duration::from_secs(30);
/// And a second more for so many bytes that were given away at once.
const SLOWEST: usize = 16 * 1024;

thread_local! {
    /// The stream whose task is polled.
    static CURRENT: RefCell<Option<SharedStream>> = const { RefCell::new(None) };
}

/// Runs what belongs to streams.
#[derive(Clone)]
pub(super) struct Streams {
    connection: SharedConnection,
    tasks: TaskTracker,
    /// How many there have been.
    begun: Arc<AtomicU64>,
    panics: Panics,
}

impl Streams {
    pub(super) fn new(connection: SharedConnection, panics: Panics) -> Self {
        Self {
            connection,
            tasks: TaskTracker::new(),
            begun: Arc::default(),
            panics,
        }
    }

    pub(super) fn are_none(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How many there have been.
    pub(super) fn begun(&self) -> u64 {
        self.begun.load(SeqCst)
    }
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Streams {
    /// Called for each request, and, from the task of that, for what it becomes.
    fn execute(&self, task: F) {
        self.begun.fetch_add(1, SeqCst);
        let current = CURRENT.with_borrow(Clone::clone);
        let stream = current.unwrap_or_else(|| SharedStream::of(&self.connection));
        let panics = self.panics.clone();
        self.tasks.spawn(async move {
            let task = AssertUnwindSafe(task).catch_unwind();
            let mut task = pin!(task);
            let mut run = poll_fn(|cx| {
                let before = CURRENT.replace(Some(stream.clone()));
                let polled = task.as_mut().poll(cx);
                CURRENT.set(before);
                polled
            });
            tokio::select! {
                biased;
                ended = &mut run => {
                    if let Err(panic) = ended {
                        panics.panicked(panic);
                    }
                }
                // Dropped, it is reset, and what it held is free.
                () = stream.given_up() => {}
            }
        });
    }
}

/// Says of each request on which stream it has come, and watches how its response is taken.
#[derive(Clone)]
pub(super) struct OnStream<A>(pub(super) A);

impl<A, B> Service<Request<Incoming>> for OnStream<A>
where
    A: Service<Request<Incoming>, Response = Response<B>>,
    A::Future: Send + 'static,
    A::Error: 'static,
    B: Body + Send + 'static,
{
    type Response = Response<Watched<B>>;
    type Error = A::Error;
    type Future = BoxFuture<'static, Result<Self::Response, A::Error>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> Self::Future {
        let stream = CURRENT.with_borrow(Clone::clone);
        if let Some(stream) = &stream {
            request.extensions_mut().insert(stream.clone());
        }
        let answered = self.0.call(request);
        Box::pin(answered.map_ok(|response| {
            if let Some(stream) = &stream {
                stream.is_waited_for(UNREAD);
            }
            response.map(|body| Watched {
                body: Box::pin(body),
                stream,
            })
        }))
    }
}

/// A body of which the next part is asked for once the client has taken the one before.
pub(super) struct Watched<B> {
    body: Pin<Box<B>>,
    stream: Option<SharedStream>,
}

impl<B: Body> Body for Watched<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = self.body.as_mut().poll_frame(cx);
        let Some(stream) = &self.stream else {
            return polled;
        };
        match &polled {
            // It is the app that is waited for.
            Poll::Pending => stream.has_time(),
            Poll::Ready(Some(Ok(frame))) => {
                let bytes = frame.data_ref().map_or(0, Buf::remaining);
                let seconds = Duration::from_secs((bytes / SLOWEST) as u64);
                stream.is_waited_for(UNREAD + seconds);
            }
            Poll::Ready(_) => {}
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
