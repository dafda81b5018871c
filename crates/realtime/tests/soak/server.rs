//! The server's process: a node for each policy, which send to all sessions all the while.

mod books;
mod handlers;

use std::{io::BufRead, sync::Arc, time::Duration};

use axum::http::request::Parts;
use realtime::{
    Gateway, Identity, Json,
    auth::{AuthError, AuthErrorKind, Authenticator},
    connect,
    error::DeliverErrorKind,
};
use tokio::{
    net::{TcpListener, TcpSocket},
    runtime::Handle,
    sync::oneshot,
};

use crate::{
    plan::{NODES, POLICIES, Plan, ROOM},
    support::{self, tls::ServerIdentity, transport::Transport},
    wire::{Counted, Held, Said},
};
use books::{Begun, Books};

/// How often every session is sent something of its own, and something for all.
const TICK: Duration = Duration::from_millis(250);

/// Sessions are told apart by the number that their client asks with: `/ws?17`.
struct Numbered;

impl Authenticator for Numbered {
    async fn authenticate(&self, request: &Parts) -> Result<Identity, AuthError> {
        match request.uri.query() {
            Some(number) => Ok(Identity::new(number)),
            None => Err(AuthError::new(AuthErrorKind::Unauthorized, "no number")),
        }
    }
}

fn say(said: &Said) {
    println!("{}", serde_json::to_string(said).unwrap());
}

/// Each node has a broker of its own, by its URL; presence is the last.
#[tokio::main]
pub async fn run(urls: &[&str; NODES + 1]) {
    let plan = Plan::from_env();
    let identity = ServerIdentity::random();
    let transport = Transport::to(identity.clone());
    let begun = Begun::default();
    let (mut gateways, mut addrs, mut serving, mut stops) = (vec![], vec![], vec![], vec![]);
    for (node, policy) in POLICIES.into_iter().enumerate() {
        let books = Arc::new(Books::new(node, &begun));
        let builder = support::builder()
            .authenticator(Numbered)
            .broker(connect::broker(urls[node]).unwrap())
            .presence(connect::presence(urls[NODES]).unwrap())
            .presence_ttl(Some(plan.unit * 5))
            .router(handlers::router(&books, plan.unit))
            .backpressure(policy)
            .queue_messages(128)
            .heartbeat(Some(plan.unit * 2))
            .pong_timeout(Some(plan.unit))
            .write_timeout(Some(plan.unit * 2))
            .on_error(async || {});
        let gateway = books.keep(builder).build().unwrap();
        gateway.start().await.unwrap();
        let listener = narrow_listener();
        addrs.push(listener.local_addr().unwrap());
        let app = axum::Router::new().route_service("/ws", gateway.clone());
        let (stop, stopped) = oneshot::channel::<()>();
        let server = transport.prepare(realtime::serve(listener, app, gateway.clone()));
        serving.push(tokio::spawn(
            server.with_graceful_shutdown(stopped).into_future(),
        ));
        serving.push(tokio::spawn(send(
            node,
            gateway.clone(),
            Arc::clone(&books),
        )));
        gateways.push((gateway, books));
        stops.push(stop);
    }
    say(&Said::Listening(addrs, identity));
    let runtime = Handle::current();
    let asked = tokio::task::spawn_blocking(move || {
        // Ends with the parent, which holds the other end.
        for _question in std::io::stdin().lock().lines().map_while(Result::ok) {
            say(&Said::Held(held(&gateways, &runtime)));
        }
    });
    asked.await.unwrap();
    drop(stops);
    for task in serving {
        let _ended = task.await.unwrap();
    }
}

/// A listener whose connections hold little of what their peers don't read.
fn narrow_listener() -> TcpListener {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_send_buffer_size(ROOM).unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    socket.listen(1024).unwrap()
}

/// Sends to every session of the node, and to all of all nodes, until the gateway shuts down.
async fn send(node: usize, gateway: Gateway, books: Arc<Books>) -> std::io::Result<()> {
    let mut ticks = tokio::time::interval(TICK);
    loop {
        ticks.tick().await;
        for (n, entry) in books.entries().into_iter().enumerate() {
            entry.try_send("tick");
            if n % 64 == 63 {
                tokio::task::yield_now().await;
            }
        }
        let (number, _no_bye_now) = books.next_broadcast().await;
        let sent = gateway.broadcast("all", Json(&[number, node as u64])).await;
        match sent.map_err(|error| error.kind()) {
            Ok(_) => {}
            Err(DeliverErrorKind::Broker) => say(&Said::Failed { node, number }),
            Err(DeliverErrorKind::Closed) => return Ok(()),
            Err(other) => panic!("{other:?}"),
        }
    }
}

fn held(gateways: &[(Gateway, Arc<Books>)], runtime: &Handle) -> Held {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: usize = statm.split(' ').nth(1).unwrap().parse().unwrap();
    let counted = |gateway: &Gateway| {
        let stats = gateway.stats();
        Counted {
            opened: stats.opened,
            closed: stats.closed,
            aborted: stats.aborted,
            sent: stats.sent,
            dropped: stats.dropped,
            failed: stats.failed,
            panics: stats.panics,
            slow_consumers: stats.slow_consumers,
            write_timeouts: stats.write_timeouts,
            pong_timeouts: stats.pong_timeouts,
            lost: stats.lost,
            queued_bytes: stats.queued_bytes,
            hooks_abandoned: stats.hooks_abandoned,
            missed_from_nodes: stats.missed_from_nodes,
            well: gateway.health().is_good(),
            outages: stats.broker_outages + stats.presence_outages,
        }
    };
    Held {
        sessions: gateways.iter().map(|(g, _)| g.stats().open).sum(),
        tasks: runtime.metrics().num_alive_tasks(),
        // One of them is the folder that is being read.
        descriptors: std::fs::read_dir("/proc/self/fd").unwrap().count() - 1,
        resident_bytes: pages * 4096,
        unreported: gateways.iter().map(|(_, b)| b.entries().len()).sum(),
        stats: gateways.iter().map(|(g, _)| counted(g)).collect(),
    }
}
