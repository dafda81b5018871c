//! What the gateway does for a message, a broadcast and a connection, over pipes in this process:
//! no kernel, no network. `cargo bench -p realtime-bench --bench session`.

use std::io;

use divan::Bencher;
use realtime::{
    Gateway, Payload, Router,
    middleware::{Inbound, Next, from_fn},
};
use realtime_bench::pipe::{Burst, connect};
use realtime_websocket::{Kind, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    runtime::{Builder, Runtime},
};

fn main() {
    divan::main();
}

/// How many messages are under way at once, so that wake-ups don't hide what a message costs.
const BURST: usize = 64;

/// Messages through decoder, codec, router and back, with so many routes and no layer.
#[divan::bench(args = [1, 1000])]
fn messages_with_routes(bencher: Bencher<'_, '_>, routes: usize) {
    messages(bencher, &build(router(routes), false));
}

/// The same through four layers that do nothing.
#[divan::bench]
fn messages_with_four_layers(bencher: Bencher<'_, '_>) {
    messages(bencher, &build(router(1), true));
}

fn messages(bencher: Bencher<'_, '_>, gateway: &Gateway) {
    let mut burst = Burst::to(gateway, BURST, r#""hello""#).unwrap_or_else(|e| fail(&*e));
    bencher.counter(BURST).bench_local(|| burst.once());
}

/// A broadcast to so many sessions whose sockets take it at once.
#[divan::bench(args = [100, 10_000])]
fn broadcast(bencher: Bencher<'_, '_>, sessions: usize) {
    let (runtime, gateway) = (runtime(), build(router(1), false));
    let mut clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..sessions {
            clients.push(connect(&gateway).await.unwrap_or_else(|e| fail(&e)));
        }
        clients
    });
    let data = Payload::from(r#""hello""#);
    let text = br#"{"route":"news","data":"hello"}"#;
    let mut received = frame::server_frame(Kind::Text, text).to_vec();
    bencher.counter(sessions).bench_local(|| {
        runtime.block_on(async {
            let delivered = gateway.broadcast("news", &data).await;
            for client in &mut clients {
                client.read_exact(&mut received).await?;
            }
            delivered.map_err(io::Error::other)
        })
    });
}

/// A connection from its request to its end: handshake, hub, presence, hooks.
#[divan::bench]
fn connect_and_leave(bencher: Bencher<'_, '_>) {
    let (runtime, gateway) = (runtime(), build(router(1), false));
    let close = frame::client_frame(true, frame::Opcode::Close, &[], [1, 2, 3, 4]);
    bencher.bench_local(|| {
        runtime.block_on(async {
            let mut client = connect(&gateway).await?;
            client.write_all(&close).await?;
            client.read_to_end(&mut Vec::new()).await
        })
    });
}

/// So many messages for a client that doesn't read, and its reading of them all: what the queue
/// costs that is passed by while a client keeps up.
#[divan::bench(args = [200])]
fn queue_and_drain(bencher: Bencher<'_, '_>, messages: usize) {
    let (runtime, gateway) = (runtime(), build(router(1), false));
    let mut client = runtime
        .block_on(connect(&gateway))
        .unwrap_or_else(|e| fail(&e));
    let session = gateway.local_sessions().pop();
    // Fills the pipe, so that everything behind it has to wait.
    let filler = format!("{:?}", "x".repeat(64 * 1024));
    let large = format!(r#"{{"route":"news","data":{filler}}}"#);
    let large = frame::server_frame(Kind::Text, large.as_bytes());
    let (filler, data) = (Payload::from(filler), Payload::from(r#""hello""#));
    let small = frame::server_frame(Kind::Text, br#"{"route":"news","data":"hello"}"#);
    let mut received = vec![0; large.len() + messages * small.len()];
    bencher.counter(messages).bench_local(|| {
        let session = session.as_ref().ok_or(io::ErrorKind::NotConnected)?;
        runtime.block_on(async {
            let sent = session.send("news", &filler);
            sent.map_err(io::Error::other)?;
            for _ in 0..messages {
                session.send("news", &data).map_err(io::Error::other)?;
            }
            client.read_exact(&mut received).await
        })
    });
}

fn runtime() -> Runtime {
    let runtime = Builder::new_current_thread().enable_all().build();
    runtime.unwrap_or_else(|e| fail(&e))
}

fn router(routes: usize) -> Router {
    (1..routes).fold(Router::new().route("echo", echo), |router, number| {
        router.route(format!("route.{number}"), echo)
    })
}

async fn echo(data: Payload) -> Payload {
    data
}

fn build(router: Router, layers: bool) -> Gateway {
    let plain = realtime::builder().router(router).max_connections(None);
    let built = if layers {
        let pass = from_fn(async |inbound: Inbound, next: Next| next.run(inbound).await);
        plain
            .layer(pass)
            .layer(pass)
            .layer(pass)
            .layer(pass)
            .build()
    } else {
        plain.build()
    };
    built.unwrap_or_else(|e| fail(&e))
}

/// A benchmark has nobody to hand an error to.
fn fail(error: &dyn std::error::Error) -> ! {
    eprintln!("{error}");
    std::process::exit(1)
}
