//! The application's bridge, and what a subscriber does at a span: neither's panics get further.

use std::sync::Arc;

use realtime_core::traces::{TraceBridge, TraceParent};
use tracing::Span;

use crate::quiet::{drop_quietly, survive};

/// The application's bridge. Cheap to clone.
#[derive(Clone)]
pub(super) struct Bridge(Arc<Owned>);

/// `None` only while it is dropped.
struct Owned(Option<Arc<dyn TraceBridge>>);

impl Bridge {
    pub(super) fn new(bridge: Arc<dyn TraceBridge>) -> Self {
        Self(Arc::new(Owned(Some(bridge))))
    }

    fn ask<T>(&self, question: impl FnOnce(&dyn TraceBridge) -> T) -> Option<T> {
        let bridge = self.0.0.as_deref()?;
        survive(|| question(bridge))
    }

    pub(super) fn current(&self) -> Option<TraceParent> {
        self.ask(TraceBridge::current).flatten()
    }

    /// What goes on elsewhere: nothing, where the tracer has decided against it.
    pub(super) fn context_of(&self, span: &Span) -> Option<TraceParent> {
        let context = self.ask(|bridge| bridge.context_of(span)).flatten();
        context.filter(TraceParent::is_sampled)
    }

    /// Whether that could be done. If not, the span is in no trace that it belongs to.
    #[must_use]
    pub(super) fn set_parent(&self, span: &Span, parent: TraceParent) -> bool {
        let set = self.ask(|bridge| bridge.set_parent(span, parent));
        set.unwrap_or_default()
    }

    pub(super) fn add_link(&self, span: &Span, to: TraceParent) {
        // Without it the span still says whose it is.
        let _linked = self.ask(|bridge| bridge.add_link(span, to));
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        drop_quietly(self.0.take());
    }
}
