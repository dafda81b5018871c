//! A connection that several sessions share, over HTTP/2: how many of them have a stream of it, and
//! until when a stream of which nothing is taken is waited for.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::Notify,
    time::Instant,
};

use super::Stream;
use crate::sync::Mutex;

/// How long what a session has left in its stream may take to be read.
const LEFT_BEHIND: Duration = Duration::from_secs(5);

/// Whoever serves such a connection has it, and its sessions.
#[derive(Debug, Clone, Default)]
pub(crate) struct SharedConnection(Arc<Sessions>);

#[derive(Debug, Default)]
struct Sessions {
    count: AtomicUsize,
    /// The peer of the one that ended last has taken nothing, or was silent; and none has begun since, nor
    /// was anything else answered, of which it may still have the end to take.
    is_silent: AtomicBool,
    changed: Notify,
}

/// One stream of it: whoever serves it puts that into its request.
#[derive(Debug, Clone)]
pub(crate) struct SharedStream {
    connection: SharedConnection,
    patience: Arc<Patience>,
}

#[derive(Debug, Default)]
struct Patience {
    /// It is a session's.
    is_leased: AtomicBool,
    /// Its peer takes nothing, or is silent.
    is_silent: AtomicBool,
    until: Mutex<Option<Instant>>,
    /// It ends sooner than before.
    changed: Notify,
}

/// Held by whoever has a stream of it.
#[derive(Debug)]
pub(crate) struct Lease(SharedStream);

impl SharedStream {
    #[cfg(feature = "http2")]
    pub(crate) fn of(connection: &SharedConnection) -> Self {
        Self {
            connection: connection.clone(),
            patience: Arc::default(),
        }
    }

    /// It becomes a session's.
    pub(crate) fn lease(&self) -> Lease {
        self.patience.is_leased.store(true, SeqCst);
        let sessions = &self.connection.0;
        sessions.is_silent.store(false, SeqCst);
        sessions.count.fetch_add(1, SeqCst);
        sessions.changed.notify_one();
        Lease(self.clone())
    }

    /// What is sent on it now is waited for so long, unless it is a session's.
    #[cfg(feature = "http2")]
    pub(crate) fn is_waited_for(&self, time: Duration) {
        if !self.patience.is_leased.load(SeqCst) {
            self.connection.0.is_silent.store(false, SeqCst);
            self.wait(time);
        }
    }

    /// It is waited for without an end, unless it is a session's.
    #[cfg(feature = "http2")]
    pub(crate) fn has_time(&self) {
        if !self.patience.is_leased.load(SeqCst) {
            *self.patience.until.lock() = None;
        }
    }

    /// The peer of its session takes nothing, or is silent.
    pub(super) fn found_silent(&self) {
        self.patience.is_silent.store(true, SeqCst);
    }

    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        let before = self.patience.until.lock().replace(until);
        if before.is_none_or(|before| until < before) {
            self.patience.changed.notify_one();
        }
    }

    /// Returns once nobody waits for it any more. Cancel safe.
    #[cfg(feature = "http2")]
    pub(crate) async fn given_up(&self) {
        loop {
            let until = *self.patience.until.lock();
            let over = async {
                match until {
                    Some(until) => tokio::time::sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = over => {}
                () = self.patience.changed.notified() => continue,
            }
            if self
                .patience
                .until
                .lock()
                .is_some_and(|at| at <= Instant::now())
            {
                return;
            }
        }
    }
}

impl SharedConnection {
    /// How many have a stream.
    #[cfg(feature = "http2")]
    pub(crate) fn leases(&self) -> usize {
        self.0.count.load(SeqCst)
    }

    /// Whether the last who had one has left a peer that is silent.
    #[cfg(feature = "http2")]
    pub(crate) fn is_left_silent(&self) -> bool {
        self.leases() == 0 && self.0.is_silent.load(SeqCst)
    }

    /// That may have changed. Cancel safe, for one that waits.
    #[cfg(feature = "http2")]
    pub(crate) async fn changed(&self) {
        self.0.changed.notified().await;
    }
}

impl Lease {
    /// Which it is a stream of.
    pub(super) const fn stream(&self) -> &SharedStream {
        &self.0
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let Self(stream) = self;
        stream.wait(LEFT_BEHIND);
        let sessions = &stream.connection.0;
        let is_silent = stream.patience.is_silent.load(SeqCst);
        sessions.is_silent.store(is_silent, SeqCst);
        sessions.count.fetch_sub(1, SeqCst);
        sessions.changed.notify_one();
    }
}

/// The bytes of one.
pub(super) struct Leased<S> {
    // Dropped first: what is left of it is waited for from then on.
    stream: S,
    _lease: Lease,
}

impl<S> Leased<S> {
    pub(super) const fn new(stream: S, lease: Lease) -> Self {
        Self {
            stream,
            _lease: lease,
        }
    }
}

impl<S: Stream> AsyncRead for Leased<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl<S: Stream> AsyncWrite for Leased<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
