//! What is traced, while it lasts.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use http::StatusCode;
use pin_project_lite::pin_project;
use realtime_core::{
    broker::{BrokerErrorKind, envelope::Envelope},
    traces::TraceParent,
};
use tracing::{Span, field::Value};

use super::bridge::Bridge;
use crate::quiet::{drop_quietly, survive};

/// Something that is traced, or not. Its span ends with the last clone.
///
/// Behind a pointer, since most of what happens isn't: then it takes a word. What the subscriber does
/// at its span is foreign code: a panic of that ends here.
#[derive(Clone, Default)]
pub(crate) struct Traced(Option<Arc<Inner>>);

struct Inner {
    span: Span,
    bridge: Bridge,
    has_failed: AtomicBool,
    /// It waits to be handed over.
    waits: AtomicBool,
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.waits.load(Ordering::Relaxed) {
            let _recorded = survive(|| self.span.record("error.type", "dropped"));
        }
        drop_quietly(std::mem::replace(&mut self.span, Span::none()));
    }
}

pin_project! {
    /// A future each of whose steps, its drop among them, is a part of what is traced. Where it is
    /// dropped before its end, that was cancelled.
    pub(crate) struct Around<F> {
        // `None` after its end.
        #[pin]
        what: Option<F>,
        traced: Traced,
    }

    impl<F> PinnedDrop for Around<F> {
        fn drop(this: Pin<&mut Self>) {
            let mut this = this.project();
            if this.what.is_some() {
                this.traced.cancelled();
                this.traced.within(|| this.what.set(None));
            }
        }
    }
}

impl<F: Future> Future for Around<F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let this = self.project();
        let mut what = this.what;
        this.traced.within(|| {
            let Some(running) = what.as_mut().as_pin_mut() else {
                return Poll::Pending;
            };
            let output = ready!(running.poll(cx));
            what.set(None);
            Poll::Ready(output)
        })
    }
}

/// What is entered, until it is dropped.
struct Entered<'t>(&'t Traced);

impl Drop for Entered<'_> {
    fn drop(&mut self) {
        if self.0.is_on() {
            self.0.exit();
        }
    }
}

/// The span that a session began with, where it was traced.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Origin(pub(super) Option<TraceParent>);

impl Origin {
    pub(crate) const fn is_traced(&self) -> bool {
        self.0.is_some()
    }
}

/// A pattern of the router, as it was registered.
#[derive(Debug)]
pub(crate) struct Label(pub(super) String);

impl Label {
    pub(crate) fn new(pattern: impl FnOnce() -> String) -> Self {
        Self(pattern())
    }
}

impl Traced {
    /// Nobody listens to a span that is disabled.
    pub(super) fn new(span: Span, bridge: &Bridge) -> Self {
        if span.is_disabled() {
            return Self(None);
        }
        Self(Some(Arc::new(Inner {
            span,
            bridge: bridge.clone(),
            has_failed: AtomicBool::new(false),
            waits: AtomicBool::new(false),
        })))
    }

    /// Makes it a part of what this is, before it has begun. Whether that could be done.
    #[must_use]
    pub(super) fn continues(&self, parent: TraceParent) -> bool {
        let inner = self.0.as_deref();
        inner.is_none_or(|inner| inner.bridge.set_parent(&inner.span, parent))
    }

    pub(super) fn link(&self, to: TraceParent) {
        if let Some(Inner { span, bridge, .. }) = self.0.as_deref() {
            bridge.add_link(span, to);
        }
    }

    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn span(&self) -> Option<&Span> {
        self.0.as_deref().map(|inner| &inner.span)
    }

    fn context(&self) -> Option<TraceParent> {
        let Inner { span, bridge, .. } = self.0.as_deref()?;
        bridge.context_of(span)
    }

    fn record(&self, field: &'static str, value: impl Value) {
        if let Some(span) = self.span() {
            // Without it the span says less.
            let _recorded = survive(|| span.record(field, value));
        }
    }

    /// Does something as a part of it.
    #[inline]
    pub(crate) fn within<T>(&self, what: impl FnOnce() -> T) -> T {
        if self.is_on() {
            self.enter();
        }
        let _entered = Entered(self);
        what()
    }

    /// From here to its [`exit`](Self::exit) on this thread, whatever happens is a part of it: for
    /// where a guard would cost something though nothing is traced.
    #[cold]
    pub(crate) fn enter(&self) {
        if let Some(span) = self.span() {
            let enter = || span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
            let _entered = survive(enter);
        }
    }

    #[cold]
    pub(crate) fn exit(&self) {
        if let Some(span) = self.span() {
            let exit = || span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
            let _left = survive(exit);
        }
    }

    /// The same for what takes its time.
    pub(crate) fn around<F: Future>(&self, what: F) -> Around<F> {
        Around {
            what: Some(what),
            traced: self.clone(),
        }
    }

    /// For what begins with it, and lasts.
    pub(crate) fn origin(&self) -> Origin {
        Origin(self.context())
    }

    /// Puts it into what goes to other nodes, where it goes on.
    pub(crate) fn sign(&self, envelope: Envelope) -> Envelope {
        match self.context() {
            Some(context) => envelope.with_traceparent(context.to_string()),
            None => envelope,
        }
    }

    /// A request was answered with this.
    pub(crate) fn responded(&self, status: StatusCode) {
        self.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            self.record("error.type", status.as_str());
            self.record("otel.status_code", "ERROR");
        }
    }

    /// A request was refused, for this reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.record("realtime.refusal", reason);
    }

    /// The broker hasn't taken what was to go to other nodes.
    pub(crate) fn unpublished(&self, kind: BrokerErrorKind) {
        self.failed(|| (true, kind.name()));
    }

    /// It waits for its turn: should that never come, it was dropped.
    pub(crate) fn in_line(self) -> Self {
        if let Some(inner) = self.0.as_deref() {
            inner.waits.store(true, Ordering::Relaxed);
        }
        self
    }

    /// It has had its turn.
    pub(crate) fn handed(&self) {
        if let Some(inner) = self.0.as_deref() {
            inner.waits.store(false, Ordering::Relaxed);
        }
    }

    /// Nobody waited for its end.
    pub(crate) fn cancelled(&self) {
        self.failed(|| (false, "cancelled"));
    }

    /// It has failed: whether that is our fault, and the word for it, of which there are few. Where a
    /// client is to blame, the span's status is no error. What comes first counts.
    pub(crate) fn failed<E: AsRef<str>>(&self, error: impl FnOnce() -> (bool, E)) {
        let Some(inner) = self.0.as_deref() else {
            return;
        };
        if inner.has_failed.swap(true, Ordering::Relaxed) {
            return;
        }
        let (is_ours, error) = error();
        self.record("error.type", cut(error.as_ref()));
        if is_ours {
            self.record("otel.status_code", "ERROR");
        }
    }
}

/// What may be a peer's, or long: its first bytes. Who writes fields into a line escapes them.
pub(super) fn cut(text: &str) -> &str {
    const MOST: usize = 128;
    let mut ends = (0..=MOST.min(text.len())).rev();
    let end = ends.find(|end| text.is_char_boundary(*end));
    &text[..end.unwrap_or_default()]
}

impl fmt::Debug for Traced {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Traced").field(&self.span()).finish()
    }
}
