//! A collector of OpenTelemetry's, over OTLP and HTTP, and the SDK that exports to it: one for the
//! process, as the subscriber is.

use std::{
    collections::BTreeMap,
    net::TcpListener,
    sync::{Mutex, OnceLock},
    thread,
    time::Duration,
};

use axum::{body::Bytes, http::header::CONTENT_TYPE, response::IntoResponse, routing::post};
use opentelemetry::trace::TracerProvider;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, any_value::Value},
    trace::v1::{
        Span,
        span::{Event, SpanKind},
    },
};
use opentelemetry_sdk::trace::{BatchConfigBuilder, BatchSpanProcessor, SdkTracerProvider};
use prost::Message;
use realtime_testkit::wait::until;

use super::broken::Breaks;
use tracing_subscriber::{
    Layer,
    filter::{LevelFilter, Targets},
    prelude::*,
};

static SPANS: Mutex<Vec<Seen>> = Mutex::new(Vec::new());

/// A span, as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) trace: u128,
    pub(crate) id: u64,
    /// 0 where there is none.
    pub(crate) parent: u64,
    pub(crate) name: String,
    pub(crate) kind: SpanKind,
    pub(crate) fields: BTreeMap<String, String>,
    pub(crate) links: Vec<u64>,
    /// What was logged within it: each line's text and fields.
    pub(crate) events: Vec<String>,
    pub(crate) is_error: bool,
}

impl Seen {
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.fields.get(name).map(String::as_str)
    }

    pub(crate) fn is_of(&self, node: &str) -> bool {
        self.field("realtime.node.id") == Some(node)
    }
}

/// Starts both, once.
pub(crate) fn start() {
    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
    PROVIDER.get_or_init(|| {
        let exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(collect())
            .build()
            .unwrap();
        let often = BatchConfigBuilder::default().with_scheduled_delay(Duration::from_millis(20));
        let processor = BatchSpanProcessor::builder(exporter).with_batch_config(often.build());
        let provider = SdkTracerProvider::builder()
            .with_span_processor(processor.build())
            .build();
        let spans = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("traces"))
            // As docs/traces.md says.
            .with_error_events_to_status(false)
            // All lines of the gateway, so that what they say of a secret would be seen.
            .with_filter(
                Targets::new()
                    .with_default(LevelFilter::INFO)
                    .with_target("realtime", LevelFilter::TRACE),
            );
        tracing_subscriber::registry()
            .with(spans)
            .with(Breaks)
            .init();
        provider
    });
}

/// Collects on a thread of its own, which outlives the runtimes of tests, and returns where.
fn collect() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let addr = listener.local_addr().unwrap();
    let app = axum::Router::new().route("/v1/traces", post(take));
    thread::spawn(move || {
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = runtime.enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            axum::serve(listener, app).await.unwrap();
        });
    });
    format!("http://{addr}/v1/traces")
}

async fn take(body: Bytes) -> impl IntoResponse {
    let request = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = request
        .resource_spans
        .into_iter()
        .flat_map(|r| r.scope_spans);
    let spans = scopes.flat_map(|scope| scope.spans).map(seen);
    SPANS.lock().unwrap().extend(spans);
    // An answer without a field.
    [(CONTENT_TYPE, "application/x-protobuf")]
}

fn seen(span: Span) -> Seen {
    let id = |bytes: &[u8]| {
        bytes
            .iter()
            .fold(0, |id, byte| (id << 8) | u128::from(*byte))
    };
    let short = |bytes: &[u8]| u64::try_from(id(bytes)).unwrap();
    let fields = span.attributes.into_iter();
    Seen {
        trace: id(&span.trace_id),
        id: short(&span.span_id),
        parent: short(&span.parent_span_id),
        kind: SpanKind::try_from(span.kind).unwrap(),
        fields: fields.map(|field| (field.key, text(field.value))).collect(),
        links: span.links.iter().map(|link| short(&link.span_id)).collect(),
        events: span.events.into_iter().map(event).collect(),
        is_error: span.status.is_some_and(|status| status.code == 2),
        name: span.name,
    }
}

fn event(event: Event) -> String {
    let fields = event.attributes.into_iter();
    let fields = fields.map(|field| format!(" {}={}", field.key, text(field.value)));
    event.name + &fields.collect::<String>()
}

fn text(value: Option<AnyValue>) -> String {
    match value.and_then(|any| any.value).unwrap() {
        Value::StringValue(text) => text,
        Value::IntValue(number) => number.to_string(),
        Value::BoolValue(is) => is.to_string(),
        other => panic!("expected text, a number or a flag; got {other:?}"),
    }
}

/// All that have come so far and are so.
pub(crate) fn those(are: impl Fn(&Seen) -> bool) -> Vec<Seen> {
    let spans = SPANS.lock().unwrap();
    spans.iter().filter(|span| are(span)).cloned().collect()
}

/// The only one that is so, once it has come.
pub(crate) async fn the(what: &str, is: impl Fn(&Seen) -> bool) -> Seen {
    until(what, async || !those(&is).is_empty()).await;
    let mut found = those(&is);
    assert_eq!(found.len(), 1, "{what}: {found:#?}");
    found.remove(0)
}
