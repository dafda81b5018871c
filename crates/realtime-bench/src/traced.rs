//! What traces cost: the same requests with OpenTelemetry, and spans that go nowhere.

use std::{io, sync::OnceLock};

use opentelemetry::trace::TracerProvider;
use opentelemetry_sdk::{
    error::OTelSdkResult,
    trace::{SdkTracerProvider, SpanData, SpanExporter},
};
use realtime::{
    BoxError, Payload, Router,
    traces::{OpenTelemetry, Traces},
};
use tracing_subscriber::{filter::LevelFilter, prelude::*};

use crate::pipe::Burst;

/// Requests of which one in a hundred is traced.
pub(crate) fn one_in_a_hundred(requests: usize, data: &str) -> Result<Burst, BoxError> {
    burst(0.01, requests, data)
}

/// Requests of which each is.
pub(crate) fn each(requests: usize, data: &str) -> Result<Burst, BoxError> {
    burst(1.0, requests, data)
}

/// Requests of which none is, in a program that could.
pub(crate) fn none(requests: usize, data: &str) -> Result<Burst, BoxError> {
    burst(0.0, requests, data)
}

/// Of so many a trace, which go nowhere.
pub(crate) fn traces(ratio: f64) -> Result<Traces, BoxError> {
    subscribe()?;
    Ok(Traces::new(OpenTelemetry::new()).ratio(ratio))
}

fn burst(ratio: f64, requests: usize, data: &str) -> Result<Burst, BoxError> {
    let traces = traces(ratio)?;
    // The same luck each time.
    fastrand::seed(5);
    let router = Router::new().route("echo", async |data: Payload| data);
    let gateway = realtime::builder().router(router).traces(traces).build()?;
    Burst::to(&gateway, requests, data)
}

/// Once in this process.
fn subscribe() -> Result<(), BoxError> {
    static PROVIDER: OnceLock<SdkTracerProvider> = OnceLock::new();
    if PROVIDER.get().is_some() {
        return Ok(());
    }
    let provider = SdkTracerProvider::builder().with_batch_exporter(Nowhere);
    let provider = PROVIDER.get_or_init(|| provider.build());
    let spans = tracing_opentelemetry::layer()
        .with_error_events_to_status(false)
        .with_location(false)
        .with_threads(false)
        .with_target(false)
        .with_level(false)
        .with_tracked_inactivity(false)
        .with_context_activation(false)
        .with_tracer(provider.tracer("realtime-bench"));
    let subscriber = tracing_subscriber::registry()
        .with(LevelFilter::INFO)
        .with(spans);
    subscriber.try_init().map_err(io::Error::other)?;
    Ok(())
}

#[derive(Debug)]
struct Nowhere;

impl SpanExporter for Nowhere {
    async fn export(&self, _: Vec<SpanData>) -> OTelSdkResult {
        Ok(())
    }
}
