//! What the browser client is tested against: three gateways over the same routes and rooms, a
//! network in front of them that can be cut, and the files that a page needs.
//!
//! `client-js-server` prints where it listens: over HTTP/1.1, and with TLS over HTTP/2, too. For tests alone: everybody may make tokens, and
//! everybody may cut the network.

mod files;
mod http2;
mod network;
mod own_words;
mod rooms;
mod routes;
mod tokens;

use std::{error::Error, time::Duration};

use network::Network;
use own_words::OwnWords;
use realtime::{Builder, Gateway, bind, serve, shutdown_signal};
use tokens::Tokens;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let listener = bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    // Refused by a status, as by default; who shows nothing shows it in the first message.
    let gateway = build(|gateway| {
        let gateway = gateway.authenticator(Tokens::default());
        gateway.token_in_message(Some(Duration::from_secs(5)))
    })?;
    // Refused by a close frame, which a page can see.
    let spoken = build(|gateway| {
        let gateway = gateway.authenticator(Tokens::default());
        gateway.accept_then_close(true)
    })?;
    let open = build(|gateway| gateway)?;

    let app = files::router()
        .merge(network::router(Network::new(address.port())))
        .route_service("/ws", gateway.clone())
        .route_service("/spoken", spoken.clone())
        .route_service("/open", open.clone());
    let app = http2::counting(app);
    for gateway in [&gateway, &spoken, &open] {
        gateway.start().await?;
    }
    let tls = http2::serve_tls(app.clone(), gateway.clone()).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{address} https://localhost:{tls}");
    serve(listener, app, gateway)
        .with_graceful_shutdown(shutdown)
        .await?;
    Ok(())
}

fn build(with: impl FnOnce(Builder) -> Builder) -> Result<Gateway, Box<dyn Error>> {
    let router = routes::router().merge(rooms::router()?);
    let gateway = Gateway::builder(OwnWords)
        .router(router)
        // The page comes from another port than the network in front of the gateway.
        .insecure_origins()
        .expiry_grace(Some(Duration::from_millis(1500)));
    Ok(with(gateway).build()?)
}
