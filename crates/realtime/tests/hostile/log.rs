//! Everything that is logged in this process, and what must never stand in it.

use std::{
    fmt,
    sync::{Mutex, Once},
};

use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

/// Stands in whatever a hostile peer sends: tokens, query strings, payloads, reasons.
pub const SECRET: &str = "s3cret-of-a-peer";

/// No field of a line may be longer. The longest honest ones are errors with their causes.
const LONGEST: usize = 600;

static FIELDS: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// How much of what a peer chose itself a line may hold. Peers fill theirs with one letter.
const CHOSEN: usize = 128;

/// Begins to listen, at every level and to every target.
pub fn capture() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Capture).unwrap());
}

/// Whether a line with this text has been logged.
pub fn has(text: &str) -> bool {
    FIELDS.lock().unwrap().iter().any(|f| f.contains(text))
}

/// Fails for any field that tells a secret, breaks its line or has no bound.
pub fn check() {
    for field in &*FIELDS.lock().unwrap() {
        assert!(!field.contains(SECRET), "a secret is logged: {field}");
        let broken = field.chars().any(|c| c.is_control() || c == '\u{202e}');
        assert!(!broken, "a line is broken: {field:?}");
        assert!(field.len() <= LONGEST, "a line has no bound: {field}");
        let chosen = field.as_bytes().chunk_by(|a, b| a == b).map(<[u8]>::len);
        assert!(
            chosen.max() <= Some(CHOSEN),
            "too much of a peer's: {field}"
        );
    }
}

struct Capture;

impl Subscriber for Capture {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
        span.record(&mut Fields);
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, values: &span::Record<'_>) {
        values.record(&mut Fields);
    }

    fn event(&self, event: &Event<'_>) {
        event.record(&mut Fields);
    }

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

struct Fields;

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        FIELDS
            .lock()
            .unwrap()
            .push(format!("{}={value:?}", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        // As a formatter writes it: without escapes.
        FIELDS
            .lock()
            .unwrap()
            .push(format!("{}={value}", field.name()));
    }
}
