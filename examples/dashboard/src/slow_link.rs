//! What stands for a slow link between the server and some of its readers: all that a page loads
//! passes as it comes, and of a WebSocket so many bytes a second.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy, copy_bidirectional},
    net::{TcpListener, TcpSocket, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many connections it carries at once.
const CONNECTIONS: usize = 256;
/// How long a client has for the beginning of its request.
const REQUEST: Duration = Duration::from_secs(10);
/// What is on its way at a time.
const PARCEL: usize = 256;
/// A link holds little: what it doesn't carry is the server's to drop.
const HELD: u32 = 2 * 1024;

/// Carries connections to the server, until it is dropped.
pub(crate) async fn carry(listener: TcpListener, server: SocketAddr, bytes_a_second: u32) {
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    // It ends its tasks when it is dropped.
    let mut connections = JoinSet::new();
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                connections.spawn(async move {
                    // A link that breaks says nothing: both ends see it.
                    let _ended = connection(client, server, bytes_a_second).await;
                    drop(place);
                });
            }
            // A client has left already, or descriptors are short: the others wait.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn connection(mut client: TcpStream, server: SocketAddr, rate: u32) -> io::Result<()> {
    let mut request = vec![0; 4096];
    let read = timeout(REQUEST, client.read(&mut request)).await??;
    let socket = match server {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    let is_slow = request.starts_with(b"GET /ws");
    if is_slow {
        socket.set_recv_buffer_size(HELD)?;
    }
    let mut server = socket.connect(server).await?;
    server.write_all(&request[..read]).await?;
    if !is_slow {
        copy_bidirectional(&mut client, &mut server).await?;
        return Ok(());
    }
    client.set_nodelay(true)?;
    let (mut from_client, mut to_client) = client.split();
    let (mut from_server, mut to_server) = server.split();
    tokio::select! {
        ended = copy(&mut from_client, &mut to_server) => ended.map(drop),
        ended = async {
            let mut parcel = [0; PARCEL];
            loop {
                let read = from_server.read(&mut parcel).await?;
                if read == 0 {
                    return Ok(());
                }
                sleep(Duration::from_secs_f64(read as f64 / f64::from(rate.max(1)))).await;
                to_client.write_all(&parcel[..read]).await?;
            }
        } => ended,
    }
}
