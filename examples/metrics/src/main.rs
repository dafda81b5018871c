//! A chat whose metrics Prometheus scrapes.
//!
//! `cargo run -p metrics-example -- --listen 127.0.0.1:8080 --metrics 127.0.0.1:9100`, then
//! `curl http://127.0.0.1:9100/metrics`, or `prometheus --config.file=prometheus.yml`.

use std::{error::Error, time::Duration};

use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::IntoResponse,
    routing::{any_service, get},
};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use realtime::{Gateway, Json, Router, bind, error::DeliverError, serve, shutdown_signal};
use serde_json::Value;
use tokio::{net::TcpListener, time::interval};

async fn chat(gateway: Gateway, Json(said): Json<Value>) -> Result<(), DeliverError> {
    gateway.broadcast("chat", Json(&said)).await?;
    Ok(())
}

/// The recorder of this process, with buckets that fit what each histogram measures.
fn exporter() -> Result<PrometheusHandle, Box<dyn Error>> {
    let mut exporter = PrometheusBuilder::new();
    for (name, bounds) in realtime::metrics::buckets() {
        exporter = exporter.set_buckets_for_metric(Matcher::Full(name.to_owned()), bounds)?;
    }
    Ok(exporter.install_recorder()?)
}

/// What Prometheus reads: as it is now, not as it was told last.
async fn scrape(
    State((gateway, exporter)): State<(Gateway, PrometheusHandle)>,
) -> impl IntoResponse {
    gateway.record_metrics();
    let format = [(CONTENT_TYPE, "text/plain; version=0.0.4")];
    (format, exporter.render())
}

/// Recorded times are put into their buckets also while nobody scrapes.
async fn keep_up(exporter: PrometheusHandle) {
    let mut ticks = interval(Duration::from_secs(5));
    loop {
        ticks.tick().await;
        exporter.run_upkeep();
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    // Before the gateway has sessions.
    let exporter = exporter()?;
    let gateway = realtime::builder()
        .name("chat")
        .router(Router::new().route("chat", chat))
        .build()?;

    // On an address of its own, which only Prometheus should reach.
    let scraped = TcpListener::bind(argument("--metrics", "127.0.0.1:9100")).await?;
    println!("metrics on http://{}/metrics", scraped.local_addr()?);
    let metrics = axum::Router::new()
        .route("/metrics", get(scrape))
        .with_state((gateway.clone(), exporter.clone()));
    tokio::spawn(axum::serve(scraped, metrics).into_future());
    tokio::spawn(keep_up(exporter));

    let app = axum::Router::new().route("/ws", any_service(gateway.clone()));
    let listener = bind(argument("--listen", "127.0.0.1:8080")).await?;
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown_signal())
        .await?;
    Ok(())
}

fn argument(name: &str, default: &str) -> String {
    let mut rest = std::env::args().skip_while(|argument| argument != name);
    rest.nth(1).unwrap_or_else(|| default.to_owned())
}
