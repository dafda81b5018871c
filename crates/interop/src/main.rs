//! Our side of the bench: a server that does whatever a client of `clients/` asks for. The runner
//! starts it, reads what it prints, and ends it with SIGTERM. `servers/control.py` does the same
//! with another library.
//!
//! | path | what it is |
//! | --- | --- |
//! | `/ws` | everybody may connect |
//! | `/ws/private` | only with the token, in any of the four places |
//! | `/page.html`, `/browser-api.mjs` | the client that runs in browsers, from the same origin |

mod routes;

use std::time::Duration;

use axum::{http::header::CONTENT_TYPE, response::IntoResponse, routing::get};
use clap::Parser;
use realtime::{
    Builder, DisconnectInfo, Gateway, Identity, auth::StaticToken, bind, config::Compression,
    serve, shutdown_signal,
};

/// What `/ws/private` asks for. The clients know it, too.
const TOKEN: &str = "let-me-in";

#[derive(Debug, Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// A proxy that is believed on where a request comes from.
    #[arg(long)]
    trusted_proxy: Vec<String>,
    /// Another origin whose pages may connect.
    #[arg(long)]
    origin_pattern: Vec<String>,
    /// Compress messages for those who offer it.
    #[arg(long)]
    deflate: bool,
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let options = Options::parse();
    let token = StaticToken::new(TOKEN, Identity::new("ann"))?
        .from_query("token")
        .from_cookie("token")
        .from_subprotocol("token.");
    let open = describe(&options).build()?;
    let private = describe(&options).authenticator(token).build()?;
    run(&options, open, private).await?;
    Ok(())
}

async fn run(options: &Options, open: Gateway, private: Gateway) -> std::io::Result<()> {
    let app = axum::Router::new()
        .route_service("/ws", open.clone())
        .route_service("/ws/private", private.clone())
        .route("/page.html", get(page))
        .route("/browser-api.mjs", get(script));
    let listener = bind(&options.listen).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    serve(listener, app, open)
        .and_gateway(private)
        .with_graceful_shutdown(shutdown)
        .await
}

/// A gateway with short periods, so that a client that answers no ping is gone before the bench
/// has looked away, and with room for 16 MB.
fn describe(options: &Options) -> Builder {
    let builder = match options.deflate {
        true => realtime::builder().compression(Compression::default()),
        false => realtime::builder(),
    };
    builder
        .router(routes::router())
        .heartbeat(Some(Duration::from_millis(500)))
        .pong_timeout(Some(Duration::from_secs(2)))
        .read_limit(17 << 20)
        .trusted_proxies(&options.trusted_proxy)
        .origin_patterns(&options.origin_pattern)
        .on_disconnect(async |gateway: Gateway, info: DisconnectInfo| {
            // The runner compares this with what the client wanted to say.
            let code = info.code.map_or(0, u16::from);
            println!("closed {code} {:?}", info.reason);
            println!("compressed {}", gateway.stats().compressed);
        })
}

async fn page() -> impl IntoResponse {
    let html = include_str!("../clients/page.html");
    ([(CONTENT_TYPE, "text/html; charset=utf-8")], html)
}

async fn script() -> impl IntoResponse {
    let script = include_str!("../clients/browser-api.mjs");
    ([(CONTENT_TYPE, "text/javascript; charset=utf-8")], script)
}
