//! Nodes that are joined over the broker of this package: what is said at one arrives at all.
//!
//! `cargo run -p custom-broker --example nodes -- 127.0.0.1:8080`, and once more with another port.

use std::error::Error;

use custom_broker::Nats;
use realtime::{
    Gateway, Json, Router, bind, broker::pubsub::PubSubBroker, error::DeliverError, serve,
    shutdown_signal,
};

async fn chat(gateway: Gateway, Json(said): Json<String>) -> Result<(), DeliverError> {
    gateway.broadcast("chat", Json(&said)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let nats = std::env::var("NATS_URL");
    let nats = nats.unwrap_or_else(|_| "nats://127.0.0.1:4222".to_owned());
    let broker = PubSubBroker::new(Nats::new(&nats)?);
    let gateway = realtime::builder()
        .router(Router::new().route("chat", chat))
        .broker(broker)
        .build()?;
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let address = std::env::args().nth(1);
    let address = address.unwrap_or_else(|| "127.0.0.1:8080".to_owned());
    let listener = bind(address).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    // It starts the gateway, which joins the other nodes.
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
