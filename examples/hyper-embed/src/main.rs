//! The gateway under a plain hyper-util server, without axum: it is a tower service.
//!
//! Such a host sets a timeout for slow requests and the peer's address itself, and continues to
//! accept while the gateway drains. Under `realtime::serve` that is done already.

use std::{error::Error, pin::pin, time::Duration};

use hyper::{Request, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use realtime::{Json, Router, bind, service::PeerAddr, shutdown_signal};
use serde_json::Value;
use tower_service::Service;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let router = Router::new().route("echo", async |Json(data): Json<Value>| Json(data));
    let gateway = realtime::builder().router(router).build()?;
    let listener = bind(listen_address()).await?;
    let signal = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    // While it drains, upgrades are answered with 503, and a balancer goes elsewhere.
    let mut shutdown = pin!(async {
        signal.await;
        gateway.shutdown().await
    });
    // What is said of it is said once.
    let mut short = false;
    loop {
        let (stream, peer) = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok(accepted) => accepted,
                // A client has left already, or descriptors are short: the others wait.
                Err(error) => {
                    if !std::mem::replace(&mut short, true) {
                        eprintln!("connections can't be accepted, and wait: {error}");
                    }
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
            _ = &mut shutdown => break,
        };
        short = false;
        let gateway = gateway.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(PeerAddr(peer));
            gateway.clone().call(request)
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service)
                .with_upgrades();
            // What clients do wrong, and that they leave, needs no line.
            let _ended = connection.await;
        });
    }
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
