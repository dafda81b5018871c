//! A connection that speaks HTTP/2: many requests at once, of which some become sessions.
//!
//! It takes a place among those that are plain HTTP while no session is on it. What is bounded for a
//! connection over HTTP/1.1 is bounded here for each of its streams, and there are so many of them.

use std::{
    io,
    panic::AssertUnwindSafe,
    pin::pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use futures::FutureExt;
use http::{Request, Response};
use hyper::{body::Incoming, rt::Executor, server::conn::http2};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use realtime_core::BoxError;
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep_until},
};
use tokio_util::task::TaskTracker;
use tower_service::Service;

use super::{
    connection::{Around, HEADER_BYTES},
    panics::Panics,
};
use crate::transport::{HttpStream, Shared, Stream};

/// What a client that speaks it says first. No request over HTTP/1.1 begins so.
const PREFACE: &[u8] = b"PRI";
/// How many requests and sessions there may be at once.
const STREAMS: u32 = 64;
/// How much of each is taken in advance of who reads it.
const STREAM_BYTES: u32 = 32 * 1024;
/// How much of each waits to be written.
const SEND_BYTES: usize = 64 * 1024;
/// How long there may be no request and no session.
const IDLE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const TICK: Duration = Duration::from_secs(10);

/// The first bytes of a connection, and whether they are those of HTTP/2.
pub(super) async fn begun(stream: &mut impl Stream) -> io::Result<(Bytes, bool)> {
    let mut begun = BytesMut::with_capacity(PREFACE.len());
    while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
        if (&mut *stream)
            .take((PREFACE.len() - begun.len()) as u64)
            .read_buf(&mut begun)
            .await?
            == 0
        {
            break;
        }
    }
    let is_http2 = *begun == *PREFACE;
    Ok((begun.freeze(), is_http2))
}

/// Serves it until its end.
pub(super) async fn http2<A, B>(
    stream: HttpStream<impl Stream>,
    app: A,
    around: Around,
) -> io::Result<()>
where
    A: Service<Request<Incoming>, Response = Response<B>, Error: Into<BoxError>>,
    A: Clone + Send + 'static,
    A::Future: Send + 'static,
    B: http_body::Body<Error: Into<BoxError>> + Send + 'static,
    B::Data: Send,
{
    let Around {
        stop,
        mut place,
        panics,
    } = around;
    let shared = Shared::default();
    let tasks = Tasks {
        tracker: TaskTracker::new(),
        panics,
    };
    let app = WithShared {
        app,
        shared: shared.clone(),
    };
    let connection = http2::Builder::new(tasks.clone())
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_BYTES)
        // So that one that isn't read holds up no other.
        .initial_connection_window_size(STREAMS * STREAM_BYTES)
        .max_send_buf_size(SEND_BYTES)
        .max_header_list_size(HEADER_BYTES as u32)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(app));
    let mut connection = pin!(connection);
    let mut look_at = Instant::now() + TICK;
    let mut idle = Duration::ZERO;
    let mut is_ending = false;
    loop {
        let ends = tokio::select! {
            served = connection.as_mut() => return served.map_err(io::Error::other),
            () = stop.now.cancelled() => return Err(io::ErrorKind::TimedOut.into()),
            () = stop.soon.cancelled(), if !is_ending => true,
            () = shared.changed() => match shared.leases() {
                0 => !place.enter(),
                _ => {
                    place.leave();
                    false
                }
            },
            () = sleep_until(look_at) => {
                look_at = Instant::now() + TICK;
                idle = if tasks.tracker.is_empty() { idle + TICK } else { Duration::ZERO };
                idle >= IDLE
            }
        };
        if ends && !is_ending {
            is_ending = true;
            connection.as_mut().graceful_shutdown();
        }
    }
}

/// Runs what belongs to the connection's streams, each in a task that ends with its stream.
#[derive(Clone)]
struct Tasks {
    tracker: TaskTracker,
    panics: Panics,
}

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Tasks {
    fn execute(&self, stream: F) {
        let panics = self.panics.clone();
        self.tracker.spawn(async move {
            if let Err(panic) = AssertUnwindSafe(stream).catch_unwind().await {
                panics.panicked(panic);
            }
        });
    }
}

/// Says of each request with which others it shares its connection.
#[derive(Clone)]
struct WithShared<A> {
    app: A,
    shared: Shared,
}

impl<A: Service<Request<Incoming>>> Service<Request<Incoming>> for WithShared<A> {
    type Response = A::Response;
    type Error = A::Error;
    type Future = A::Future;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), A::Error>> {
        self.app.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<Incoming>) -> A::Future {
        request.extensions_mut().insert(self.shared.clone());
        self.app.call(request)
    }
}
