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

use opentelemetry::{
    Context,
    trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState},
};
use realtime_core::traces::{TraceBridge, TraceParent};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// Ties the spans of `tracing` to OpenTelemetry, by the `OpenTelemetryLayer` of the subscriber.
///
/// A context that isn't sampled is none: it doesn't travel to other nodes or to clients, and nothing
/// is recorded there. Without the layer nothing is traced.
///
/// ```
/// use realtime::traces::{OpenTelemetry, Traces};
///
/// let traces = Traces::new(OpenTelemetry::new());
/// let gateway = realtime::builder().traces(traces).build()?;
/// # Ok::<(), realtime::error::BuildError>(())
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct OpenTelemetry(());

impl OpenTelemetry {
    /// The bridge.
    #[must_use]
    pub const fn new() -> Self {
        Self(())
    }
}

impl TraceBridge for OpenTelemetry {
    fn current(&self) -> Option<TraceParent> {
        let of_span = self.context_of(&Span::current());
        // What was begun by OpenTelemetry itself, without a span of `tracing`.
        of_span.or_else(|| sampled(&Context::current()))
    }

    fn context_of(&self, span: &Span) -> Option<TraceParent> {
        sampled(&span.context())
    }

    fn set_parent(&self, span: &Span, parent: TraceParent) {
        // It fails where the subscriber has no layer for it: then nothing is exported either.
        let _set = span.set_parent(Context::new().with_remote_span_context(remote(parent)));
    }

    fn add_link(&self, span: &Span, to: TraceParent) {
        span.add_link(remote(to));
    }
}

fn sampled(context: &Context) -> Option<TraceParent> {
    let span = context.span();
    let said = span.span_context();
    if !said.is_sampled() {
        return None;
    }
    let (trace_id, span_id) = (said.trace_id().to_bytes(), said.span_id().to_bytes());
    TraceParent::new(trace_id, span_id, true).ok()
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
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::prelude::*;

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
        bridge.set_parent(&span, parent("01"));
        let context = span.in_scope(|| bridge.current()).unwrap();
        assert_eq!(context.trace_id(), parent("01").trace_id());
        assert_ne!(context.span_id(), parent("01").span_id());
        assert_eq!(bridge.context_of(&span), Some(context));

        let unsampled = tracing::info_span!("two");
        bridge.set_parent(&unsampled, parent("00"));
        assert_eq!(bridge.context_of(&unsampled), None);
        assert_eq!(unsampled.in_scope(|| bridge.current()), None);
    }

    #[test]
    fn without_the_layer_there_is_no_trace() {
        let bridge = OpenTelemetry::new();
        let span = tracing::info_span!("one");
        bridge.set_parent(&span, parent("01"));
        bridge.add_link(&span, parent("01"));
        assert_eq!(span.in_scope(|| bridge.current()), None);
    }

    #[test]
    fn what_opentelemetry_itself_has_begun_is_current() {
        let context = Context::new().with_remote_span_context(remote(parent("01")));
        let _attached = context.attach();
        assert_eq!(OpenTelemetry::new().current(), Some(parent("01")));
    }
}
