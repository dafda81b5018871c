//! The smallest server: what anybody says on the route `chat` goes to everybody.
//!
//! `cargo run -p minimal`, and open <http://127.0.0.1:8080> in two windows: what you type in one
//! comes in both, as it goes over the connection. The log has a line for each connection and message.

use std::error::Error;

use axum::{response::Html, routing::get};
use realtime::{
    Gateway, Json, Router, bind, error::DeliverError, middleware::LoggerLayer, serve,
    shutdown_signal,
};
use tracing_subscriber::filter::LevelFilter;

const PAGE: &str = r#"<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>Chat</title>
<form><input aria-label="Say something" placeholder="Say something" autofocus></form>
<pre></pre>
<script>
  const [form, lines] = [document.forms[0], document.querySelector("pre")];
  const socket = new WebSocket(`${location.origin.replace("http", "ws")}/ws`);
  socket.onmessage = ({ data }) => lines.append(data, "\n");
  socket.onclose = ({ code, reason }) => lines.append(`closed: ${code} ${reason}\n`);
  form.onsubmit = () => {
    socket.send(JSON.stringify({ id: 1, route: "chat", data: form[0].value }));
    form.reset();
    return false;
  };
</script>"#;

async fn chat(gateway: Gateway, Json(said): Json<String>) -> Result<(), DeliverError> {
    gateway.broadcast("chat", Json(&said)).await?;
    Ok(())
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    tracing_subscriber::fmt()
        .with_max_level(LevelFilter::DEBUG)
        .init();
    let gateway = realtime::builder()
        .router(Router::new().route("chat", chat))
        .layer(LoggerLayer::new())
        .build()?;
    let app = axum::Router::new()
        .route("/", get(Html(PAGE)))
        .route_service("/ws", gateway.clone());
    let address = std::env::args().nth(1);
    let listener = bind(address.as_deref().unwrap_or("127.0.0.1:8080")).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}
