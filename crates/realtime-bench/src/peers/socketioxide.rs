//! socketioxide: Socket.IO in Rust.

use realtime::BoxError;
use socketioxide::{
    SocketIo,
    extract::{Data, SocketRef},
};
use tokio::net::TcpListener;

use super::axum::no_delay;

/// The event `b` goes to everybody, `e` back to its sender.
pub(super) async fn serve(listener: TcpListener) -> Result<(), BoxError> {
    let (layer, io) = SocketIo::new_layer();
    io.ns("/", async |socket: SocketRef| {
        socket.on("b", async |io: SocketIo, Data::<String>(data)| {
            // It fails for sessions that are leaving.
            let _ = io.emit("b", &data).await;
        });
        socket.on("e", async |socket: SocketRef, Data::<String>(data)| {
            let _ = socket.emit("e", &data);
        });
    });
    let app = axum::Router::new().layer(layer);
    Ok(axum::serve(no_delay(listener), app).await?)
}
