//! OpenTelemetry traces of the `realtime` gateway: the [`TraceBridge`] over `tracing-opentelemetry`.
//!
//! ```
//! use opentelemetry::trace::TracerProvider;
//! use opentelemetry_sdk::trace::SdkTracerProvider;
//! use realtime::traces::{OpenTelemetry, Traces};
//! use tracing_subscriber::{Layer, filter::LevelFilter, prelude::*};
//!
//! // With an exporter: docs/traces.md has a whole program.
//! let provider = SdkTracerProvider::builder().build();
//! let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("my-service"));
//! let subscriber = tracing_subscriber::registry().with(spans.with_filter(LevelFilter::INFO));
//! # let _guard = subscriber.set_default();
//! # /*
//! subscriber.init();
//! # */
//!
//! let traces = Traces::new(OpenTelemetry::new()).ratio(0.01);
//! let gateway = realtime::builder().traces(traces).build()?;
//! # Ok::<(), realtime::error::BuildError>(())
//! ```
#![cfg_attr(docsrs, feature(doc_cfg))]

use std::sync::atomic::{AtomicBool, Ordering};

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use realtime_core::{
    log_targets::TRACE,
    traces::{TraceBridge, TraceParent},
};
use tracing::Span;
use tracing_opentelemetry::{OpenTelemetrySpanExt, SetParentError};

/// Ties the spans of `tracing` to OpenTelemetry, by the `OpenTelemetryLayer` of the subscriber.
///
/// Without the layer nothing is traced, and one of another version isn't seen, so the first span that
/// none has taken is told as a warning, of the target `realtime::trace`.
///
/// ```
/// use realtime::traces::{OpenTelemetry, Traces};
///
/// let traces = Traces::new(OpenTelemetry::new());
/// let gateway = realtime::builder().traces(traces).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[derive(Debug, Default)]
pub struct OpenTelemetry {
    has_warned: AtomicBool,
}

impl OpenTelemetry {
    /// The bridge.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            has_warned: AtomicBool::new(false),
        }
    }

    /// A span of ours is seen by no layer. Once: it is so with all of them.
    #[cold]
    fn unseen(&self) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                target: TRACE, parent: None,
                "a span of the gateway isn't traced: expected an `OpenTelemetryLayer` of \
                 tracing-opentelemetry 0.34, with opentelemetry 0.33, in the subscriber, which takes the \
                 target `realtime::trace`; add one, or use these versions of both crates",
            );
        }
    }
}

impl TraceBridge for OpenTelemetry {
    fn current(&self) -> Option<TraceParent> {
        let of_span = said(&Span::current().context());
        // What was begun by OpenTelemetry itself, without a span of `tracing`.
        of_span.or_else(|| said(&Context::current()))
    }

    fn context_of(&self, span: &Span) -> Option<TraceParent> {
        let context = said(&span.context());
        if context.is_none() && !span.is_disabled() {
            self.unseen();
        }
        context
    }

    fn set_parent(&self, span: &Span, parent: TraceParent) -> bool {
        let set = span.set_parent(Context::new().with_remote_span_context(remote(parent)));
        if let Err(SetParentError::LayerNotFound) = set {
            self.unseen();
        }
        set.is_ok()
    }

    fn add_link(&self, span: &Span, to: TraceParent) {
        span.add_link(remote(to));
    }
}

/// Whether it is sampled or not; nothing where there is no trace.
fn said(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let said = span.span_context();
    let (trace_id, span_id) = (said.trace_id().to_bytes(), said.span_id().to_bytes());
    TraceParent::new(trace_id, span_id, said.is_sampled()).ok()
}

fn remote(parent: TraceParent) -> SpanContext {
    let flags = match parent.is_sampled() {
        true => TraceFlags::SAMPLED,
        false => TraceFlags::NOT_SAMPLED,
    };
    SpanContext::new(
        TraceId::from_bytes(parent.trace_id()),
        SpanId::from_bytes(parent.span_id()),
        flags,
        true,
        TraceState::NONE,
    )
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, atomic::AtomicUsize};

    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing::{Event, Level, Subscriber};
    use tracing_subscriber::{Layer, layer, prelude::*};

    use super::*;

    fn parent(flags: &str) -> TraceParent {
        let said = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
        said.parse().unwrap()
    }

    #[test]
    fn a_span_goes_on_where_its_parent_was() {
        let provider = SdkTracerProvider::builder().build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing_subscriber::registry().with(spans).set_default();
        let bridge = OpenTelemetry::new();
        assert_eq!(bridge.current(), None);

        let span = tracing::info_span!("one");
        assert!(bridge.set_parent(&span, parent("01")));
        let context = span.in_scope(|| bridge.current()).unwrap();
        assert_eq!(context.trace_id(), parent("01").trace_id());
        assert_ne!(context.span_id(), parent("01").span_id());
        assert_eq!(bridge.context_of(&span), Some(context));

        let unsampled = tracing::info_span!("two");
        assert!(bridge.set_parent(&unsampled, parent("00")));
        let context = unsampled.in_scope(|| bridge.current()).unwrap();
        assert_eq!(context.trace_id(), parent("00").trace_id());
        assert!(!context.is_sampled(), "who is asked is told the decision");
        assert_eq!(bridge.context_of(&unsampled), Some(context));
    }

    /// How often it was warned.
    #[derive(Clone, Default)]
    struct Warned(Arc<AtomicUsize>);

    impl<S: Subscriber> Layer<S> for Warned {
        fn on_event(&self, event: &Event<'_>, _: layer::Context<'_, S>) {
            let metadata = event.metadata();
            assert_eq!((metadata.target(), *metadata.level()), (TRACE, Level::WARN));
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn without_the_layer_there_is_no_trace_and_that_is_said_once() {
        let warned = Warned::default();
        let _guard = tracing_subscriber::registry()
            .with(warned.clone())
            .set_default();
        let bridge = OpenTelemetry::new();
        let span = tracing::info_span!("one");
        // A host's span may be for another layer.
        assert_eq!(span.in_scope(|| bridge.current()), None);
        assert_eq!(warned.0.load(Ordering::Relaxed), 0);
        bridge.add_link(&span, parent("01"));
        for _ in 0..2 {
            assert_eq!(bridge.context_of(&span), None);
            assert!(!bridge.set_parent(&span, parent("01")));
        }
        assert_eq!(warned.0.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn what_opentelemetry_itself_has_begun_is_current() {
        let context = Context::new().with_remote_span_context(remote(parent("01")));
        let _attached = context.attach();
        assert_eq!(OpenTelemetry::new().current(), Some(parent("01")));
    }
}
