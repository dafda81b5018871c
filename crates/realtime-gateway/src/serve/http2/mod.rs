//! A connection that speaks HTTP/2: many requests at once, of which some become sessions.
//!
//! It takes a place among those that are plain HTTP while no session is on it. What is bounded for a
//! connection over HTTP/1.1 is bounded here for each of its streams, and there are so many of them.

mod streams;

use std::{io, pin::pin, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{Request, Response};
use hyper::{body::Incoming, server::conn::http2};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use realtime_core::BoxError;
use tokio::{
    io::AsyncReadExt,
    time::{Instant, sleep_until},
};
use tower_service::Service;

use self::streams::{OnStream, Streams};
use super::connection::{Around, HEADER_BYTES};
use crate::transport::{HttpStream, Lost, OverTcp, SharedConnection, Stream};

/// What a client that speaks it says first. No request over HTTP/1.1 begins as it does.
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many requests and sessions there may be at once.
const STREAMS: u32 = 64;
/// How much of each is taken in advance of who reads it.
const STREAM_BYTES: u32 = 32 * 1024;
/// How much of each waits to be written.
const SEND_BYTES: usize = 32 * 1024;
/// How long there may be no request and no session.
const IDLE: Duration = Duration::from_secs(60);
/// How often that is looked at.
const TICK: Duration = Duration::from_secs(10);
/// How long a client may take to end a connection that is over, and the same where the server ends.
const GOODBYE: Duration = Duration::from_secs(10);
const LATE_GOODBYE: Duration = Duration::from_secs(1);

/// The first bytes of a connection, and whether they are those of HTTP/2.
pub(super) async fn begun(stream: &mut impl Stream) -> io::Result<(Bytes, bool)> {
    let mut begun = BytesMut::with_capacity(1024);
    while begun.len() < PREFACE.len() && PREFACE.starts_with(&begun) {
        if stream.read_buf(&mut begun).await? == 0 {
            break;
        }
    }
    let is_http2 = begun.starts_with(PREFACE);
    Ok((begun.freeze(), is_http2))
}

/// Serves it until its end. What its client has not taken by then, the kernel keeps for a while, or, of
/// one that is silent, not at all.
pub(super) async fn http2<A, B>(
    stream: HttpStream<OverTcp<impl Stream>>,
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
    let ground = stream.inner().ground();
    // HTTP/2's own pings would be judged by the clock of a process that may have stood still.
    ground.watch_for_vanished_peer();
    let Around {
        stop,
        mut place,
        panics,
        draining,
        ..
    } = around;
    let shared = SharedConnection::default();
    let streams = Streams::new(shared.clone(), panics);
    let connection = http2::Builder::new(streams.clone())
        .timer(TokioTimer::new())
        .enable_connect_protocol()
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(STREAM_BYTES)
        // So that one that isn't read holds up no other.
        .initial_connection_window_size(STREAMS * STREAM_BYTES)
        .max_send_buf_size(SEND_BYTES)
        .max_header_list_size(HEADER_BYTES as u32)
        .serve_connection(
            TokioIo::new(stream),
            TowerToHyperService::new(OnStream(app)),
        );
    let mut connection = pin!(connection);
    // Who comes now is to learn that it is refused.
    let began_late = draining.is_cancelled();
    let mut idle = Idle::new();
    let mut end = End::default();
    let served = loop {
        let ends = tokio::select! {
            served = connection.as_mut() => break served.map_err(io::Error::other),
            () = stop.now.cancelled() => break Err(io::ErrorKind::TimedOut.into()),
            () = stop.soon.cancelled(), if !end.is_late => {
                end.is_late = true;
                true
            }
            // Who is closed comes back by another connection, and so to another node.
            () = draining.cancelled(), if !began_late && end.begun.is_none() => true,
            () = shared.changed() => match shared.leases() {
                // Whoever is there comes back by another connection.
                0 if end.begun.is_none() && shared.is_left_silent() => {
                    place.enter();
                    end.is_silent = true;
                    true
                }
                0 => !place.enter(),
                _ => {
                    place.leave();
                    // Somebody is there after all.
                    end.is_silent = false;
                    false
                }
            },
            () = sleep_until(idle.look_at) => {
                let is_idle = idle.look(&streams, end.tick()) >= IDLE;
                if end.is_over(shared.leases(), &idle, place.is_held()) {
                    if end.is_silent && shared.is_left_silent() {
                        ground.reset_when_dropped(Lost::Silent);
                        break Ok(());
                    }
                    break Err(io::ErrorKind::TimedOut.into());
                }
                // Once it ends it has its time, and no more with each look.
                is_idle && end.begun.is_none()
            }
        };
        if ends && end.begun.is_none() {
            connection.as_mut().graceful_shutdown();
        }
        if ends {
            end.begun = Some(Instant::now());
            idle.look_at = Instant::now() + end.tick();
        }
    };
    ground.forget_soon();
    served
}

/// For how long there has been nothing.
struct Idle {
    look_at: Instant,
    looked_at: Instant,
    /// How many streams there had been then.
    begun: u64,
    time: Duration,
    /// Nothing was there at this look and none has begun since the one before; and the same of that one.
    is_idle: bool,
    was_idle: bool,
}

impl Idle {
    fn new() -> Self {
        let now = Instant::now();
        Self {
            look_at: now + TICK,
            looked_at: now,
            begun: 0,
            time: Duration::ZERO,
            is_idle: false,
            was_idle: false,
        }
    }

    /// Looks, and again after so long.
    fn look(&mut self, streams: &Streams, again: Duration) -> Duration {
        let (now, begun) = (Instant::now(), streams.begun());
        let is_idle = streams.are_none() && begun == self.begun;
        (self.was_idle, self.is_idle) = (self.is_idle, is_idle);
        self.time = match is_idle {
            true => self.time + (now - self.looked_at),
            false => Duration::ZERO,
        };
        (self.looked_at, self.look_at, self.begun) = (now, now + again, begun);
        self.time
    }

    /// Whether there was nothing from the look before until this one: what the end of the last stream had
    /// to say was written, where there is room.
    fn has_been_empty(&self) -> bool {
        self.was_idle && self.is_idle
    }
}

/// The end of a connection, which takes a client that answers.
#[derive(Default)]
struct End {
    begun: Option<Instant>,
    /// The server ends.
    is_late: bool,
    /// The client has been silent already.
    is_silent: bool,
}

impl End {
    fn tick(&self) -> Duration {
        match self.begun {
            Some(_) => LATE_GOODBYE,
            None => TICK,
        }
    }

    /// Whether the client has had its time.
    fn is_over(&self, sessions: usize, idle: &Idle, has_place: bool) -> bool {
        // One that is silent has no more requests, or isn't.
        let is_silent = self.is_silent && idle.has_been_empty();
        let limit = match self.is_late || is_silent {
            true => LATE_GOODBYE,
            false => GOODBYE,
        };
        let had_time = self.begun.is_some_and(|begun| begun.elapsed() >= limit);
        had_time && sessions == 0 && (idle.has_been_empty() || !has_place)
    }
}
