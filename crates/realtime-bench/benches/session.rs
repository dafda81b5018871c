//! What the gateway does for a message, a broadcast and a connection, over pipes in this process:
//! no kernel, no network. `cargo bench -p realtime-bench --bench session`.

use std::io;

use bytes::Bytes;
use divan::Bencher;
use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use realtime::{
    Gateway, Inbound, Payload, Router, gateway,
    middleware::{Next, from_fn},
};
use realtime_websocket::{Kind, frame};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream},
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
    let runtime = runtime();
    let mut client = runtime.block_on(connect(gateway));
    let text = br#"{"id":"1","route":"echo","data":"hello"}"#;
    let sent = frame::client_frame(true, Kind::Text, text, [1, 2, 3, 4]).repeat(BURST);
    let mut answers = frame::server_frame(Kind::Text, text).repeat(BURST);
    bencher.counter(BURST).bench_local(|| {
        runtime.block_on(async {
            client.write_all(&sent).await?;
            client.read_exact(&mut answers).await
        })
    });
}

/// A broadcast to so many sessions whose sockets take it at once.
#[divan::bench(args = [100, 10_000])]
fn broadcast(bencher: Bencher<'_, '_>, sessions: usize) {
    let (runtime, gateway) = (runtime(), build(router(1), false));
    let mut clients = runtime.block_on(async {
        let mut clients = Vec::new();
        for _ in 0..sessions {
            clients.push(connect(&gateway).await);
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
            let mut client = connect(&gateway).await;
            client.write_all(&close).await?;
            client.read_to_end(&mut Vec::new()).await
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
    let plain = gateway().router(router).max_connections(None);
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

/// A client whose upgrade is answered.
async fn connect(gateway: &Gateway) -> DuplexStream {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let service = TowerToHyperService::new(gateway.clone());
    tokio::spawn(
        http1::Builder::new()
            .serve_connection(TokioIo::new(server), service)
            .with_upgrades(),
    );
    let request = Bytes::from_static(
        b"GET /ws HTTP/1.1\r\nHost: bench\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
          Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
    );
    let answered = async {
        client.write_all(&request).await?;
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(client.read_u8().await?);
        }
        if head.starts_with(b"HTTP/1.1 101") {
            Ok(())
        } else {
            Err(io::Error::other("the upgrade was refused"))
        }
    };
    answered.await.unwrap_or_else(|e: io::Error| fail(&e));
    client
}

/// A benchmark has nobody to hand an error to.
fn fail(error: &dyn std::error::Error) -> ! {
    eprintln!("{error}");
    std::process::exit(1)
}
