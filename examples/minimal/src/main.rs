//! The smallest server: whatever a client sends on the route `chat` goes to everybody.
//!
//! `cargo run -p minimal -- --listen 127.0.0.1:8080`, open <http://127.0.0.1:8080> (an empty page:
//! only pages of the same origin may connect), and in its console:
//!
//! ```js
//! ws = new WebSocket("/ws"); ws.onmessage = (event) => console.log(event.data);
//! ws.onopen = () => ws.send('{"route":"chat","data":"hello"}');
//! ```

use std::error::Error;

use realtime::{Gateway, Json, Router, bind, error::DeliverError, serve, shutdown_signal};
use serde_json::Value;

async fn chat(gateway: Gateway, Json(said): Json<Value>) -> Result<(), DeliverError> {
    gateway.broadcast("chat", Json(&said)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let gateway = realtime::builder()
        .router(Router::new().route("chat", chat))
        .build()?;
    let app = axum::Router::new().route_service("/ws", gateway.clone());
    let listener = bind(listen_address()).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}

fn listen_address() -> String {
    let mut arguments = std::env::args()
        .skip_while(|argument| argument != "--listen")
        .skip(1);
    arguments
        .next()
        .unwrap_or_else(|| "127.0.0.1:8080".to_owned())
}
