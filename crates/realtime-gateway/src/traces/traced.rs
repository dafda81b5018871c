//! What is traced, while it lasts.

use std::{fmt, future::Future, sync::Arc};

use http::StatusCode;
use realtime_core::{
    broker::envelope::Envelope,
    traces::{TraceBridge, TraceParent},
};
use tracing::{Instrument, Span, instrument::Instrumented};

/// Something that is traced, or not. Its span ends with the last clone.
///
/// Boxed, since most of what happens isn't: then it takes a word.
#[derive(Clone, Default)]
pub(crate) struct Traced(Option<Box<Inner>>);

#[derive(Clone)]
struct Inner {
    span: Span,
    bridge: Arc<dyn TraceBridge>,
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
    pub(super) fn new(span: Span, bridge: &Arc<dyn TraceBridge>) -> Self {
        if span.is_disabled() {
            return Self(None);
        }
        Self(Some(Box::new(Inner {
            span,
            bridge: Arc::clone(bridge),
        })))
    }

    #[inline]
    pub(crate) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    fn span(&self) -> Option<&Span> {
        self.0.as_deref().map(|inner| &inner.span)
    }

    fn context(&self) -> Option<TraceParent> {
        let Inner { span, bridge } = self.0.as_deref()?;
        bridge.context_of(span)
    }

    /// Does something as a part of it.
    #[inline]
    pub(crate) fn within<T>(&self, what: impl FnOnce() -> T) -> T {
        let _entered = self.span().map(Span::enter);
        what()
    }

    /// From here to its [`exit`](Self::exit) on this thread, whatever happens is a part of it: for
    /// where a guard would cost something though nothing is traced.
    #[cold]
    pub(crate) fn enter(&self) {
        if let Some(span) = self.span() {
            span.with_subscriber(|(id, subscriber)| subscriber.enter(id));
        }
    }

    #[cold]
    pub(crate) fn exit(&self) {
        if let Some(span) = self.span() {
            span.with_subscriber(|(id, subscriber)| subscriber.exit(id));
        }
    }

    /// The same for what takes its time.
    pub(crate) fn around<F: Future>(&self, what: F) -> Instrumented<F> {
        what.instrument(self.span().cloned().unwrap_or_else(Span::none))
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
        let Some(span) = self.span() else { return };
        span.record("http.response.status_code", status.as_u16());
        if status.is_server_error() {
            span.record("error.type", status.as_str());
            span.record("otel.status_code", "ERROR");
        }
    }

    /// A request was refused, for this reason.
    pub(crate) fn refused(&self, reason: &'static str) {
        if let Some(span) = self.span() {
            span.record("realtime.refusal", reason);
        }
    }

    /// It has failed: whether that is our fault, and the word for it, of which there are few. Where a
    /// client is to blame, the span's status is no error.
    pub(crate) fn failed<E: AsRef<str>>(&self, error: impl FnOnce() -> (bool, E)) {
        let Some(span) = self.span() else { return };
        let (is_ours, error) = error();
        span.record("error.type", cut(error.as_ref()));
        if is_ours {
            span.record("otel.status_code", "ERROR");
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
