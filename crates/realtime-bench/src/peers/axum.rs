//! axum's own WebSocket, with the fan-out that people write by hand.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use axum::{
    Router,
    extract::{
        State,
        ws::{Message, Utf8Bytes, WebSocket, WebSocketUpgrade},
    },
    routing,
    serve::ListenerExt,
};
use futures::{SinkExt, StreamExt};
use realtime::BoxError;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{broadcast, mpsc},
};

/// How many messages may wait for a session.
const QUEUE: usize = 1024;

/// One `tokio::sync::broadcast` channel, and one task for each session.
pub(super) async fn with_broadcast(listener: TcpListener) -> Result<(), BoxError> {
    let all = broadcast::Sender::<Utf8Bytes>::new(QUEUE);
    let upgrade = async |upgrade: WebSocketUpgrade, State(all): State<broadcast::Sender<_>>| {
        upgrade.on_upgrade(|socket| broadcast_session(socket, all))
    };
    let app = Router::new().route("/ws", routing::get(upgrade));
    Ok(axum::serve(no_delay(listener), app.with_state(all)).await?)
}

async fn broadcast_session(mut socket: WebSocket, all: broadcast::Sender<Utf8Bytes>) {
    let mut from_all = all.subscribe();
    loop {
        let out = tokio::select! {
            message = socket.recv() => match message {
                Some(Ok(Message::Text(text))) if text.starts_with('e') => text,
                Some(Ok(Message::Text(text))) => {
                    // It fails when nobody listens, and this session does.
                    let _ = all.send(text);
                    continue;
                }
                Some(Ok(_)) => continue,
                _ => return,
            },
            text = from_all.recv() => match text {
                Ok(text) => text,
                Err(broadcast::error::RecvError::Lagged(_)) => continue,
                Err(broadcast::error::RecvError::Closed) => return,
            },
        };
        if socket.send(Message::Text(out)).await.is_err() {
            return;
        }
    }
}

/// What every server for small messages sets; axum leaves it to its user.
pub(super) fn no_delay(
    listener: TcpListener,
) -> impl axum::serve::Listener<Io = TcpStream, Addr = std::net::SocketAddr> {
    listener.tap_io(|tcp| {
        // It fails only for a connection that is gone already.
        let _ = tcp.set_nodelay(true);
    })
}

/// Who is connected.
#[derive(Clone, Default)]
struct Hub {
    sessions: Arc<Mutex<HashMap<u64, mpsc::Sender<Utf8Bytes>>>>,
    next: Arc<AtomicU64>,
}

impl Hub {
    fn lock(&self) -> MutexGuard<'_, HashMap<u64, mpsc::Sender<Utf8Bytes>>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A channel and a task that writes for each session. `buffers` replaces the library's sizes.
pub(super) async fn with_channels(
    listener: TcpListener,
    buffers: Option<usize>,
) -> Result<(), BoxError> {
    Ok(axum::serve(no_delay(listener), channels(buffers)).await?)
}

/// The same over TLS, by the loop that axum's examples have for it.
#[cfg(feature = "tls")]
pub(super) async fn with_tls(listener: TcpListener) -> Result<(), BoxError> {
    use hyper_util::{rt::TokioIo, service::TowerToHyperService};

    let (acceptor, app) = (crate::tls::acceptor()?, channels(None));
    loop {
        let (tcp, _) = listener.accept().await?;
        tcp.set_nodelay(true)?;
        let (acceptor, app) = (acceptor.clone(), TowerToHyperService::new(app.clone()));
        tokio::spawn(async move {
            let stream = TokioIo::new(acceptor.accept(tcp).await?);
            let http = hyper::server::conn::http1::Builder::new();
            let connection = http.serve_connection(stream, app);
            connection.with_upgrades().await?;
            Ok::<(), BoxError>(())
        });
    }
}

fn channels(buffers: Option<usize>) -> Router {
    let upgrade = async move |upgrade: WebSocketUpgrade, State(hub): State<Hub>| {
        let upgrade = match buffers {
            Some(bytes) => upgrade.read_buffer_size(bytes).write_buffer_size(bytes),
            None => upgrade,
        };
        upgrade.on_upgrade(|socket| channel_session(socket, hub))
    };
    let app = Router::new().route("/ws", routing::get(upgrade));
    app.with_state(Hub::default())
}

async fn channel_session(socket: WebSocket, hub: Hub) {
    let (mut writer, mut reader) = socket.split();
    let (queue, mut queued) = mpsc::channel(QUEUE);
    let id = hub.next.fetch_add(1, Relaxed);
    hub.lock().insert(id, queue.clone());
    let writing = tokio::spawn(async move {
        while let Some(text) = queued.recv().await {
            writer.feed(Message::Text(text)).await?;
            while let Ok(text) = queued.try_recv() {
                writer.feed(Message::Text(text)).await?;
            }
            writer.flush().await?;
        }
        Ok::<(), axum::Error>(())
    });
    while let Some(Ok(message)) = reader.next().await {
        let Message::Text(text) = message else {
            continue;
        };
        if text.starts_with('e') {
            // Its writer has ended, and so will the socket.
            let _ = queue.send(text).await;
            continue;
        }
        for session in hub.lock().values() {
            // A reader that has stopped loses it.
            let _ = session.try_send(text.clone());
        }
    }
    hub.lock().remove(&id);
    writing.abort();
}
