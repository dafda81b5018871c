//! The sockets of a link, to end them by.
//!
//! The client library ends a connection with a goodbye, and keeps its thread and its socket until
//! that is answered. A server that is stopped or accepts nothing for want of memory never answers,
//! and with each attempt there would be more of them.

use std::{
    io,
    net::{Shutdown, SocketAddr},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use lapin::{
    Connection, ConnectionProperties,
    tcp::{AsyncTcpStream, OwnedTLSConfig},
    uri::{AMQPScheme, AMQPUri},
};
use socket2::{SockRef, Socket};
use tokio::{net::TcpStream, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{quiet, runtime};

/// How long a socket may take to connect, with TLS where that is spoken.
const CONNECT: Duration = Duration::from_secs(3);

/// Ends the sockets that it has opened, and the attempts at more, when it is dropped.
#[derive(Debug, Default)]
pub(crate) struct Wires {
    sockets: Arc<Sockets>,
    given_up: CancellationToken,
}

#[derive(Debug)]
struct Sockets(Mutex<Option<Vec<Socket>>>);

impl Default for Sockets {
    fn default() -> Self {
        Self(Mutex::new(Some(Vec::new())))
    }
}

impl Sockets {
    /// The last word on this stream is ours.
    fn add(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = SockRef::from(stream).try_clone()?;
        let mut sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        sockets.as_mut().ok_or_else(given_up)?.push(socket);
        Ok(())
    }
}

fn given_up() -> io::Error {
    io::Error::other("nobody waits for this connection any more")
}

impl Drop for Wires {
    fn drop(&mut self) {
        self.given_up.cancel();
        let sockets = &self.sockets.0;
        let opened = sockets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        for socket in opened.into_iter().flatten() {
            // Most have ended already, with a goodbye.
            let _ended_already = socket.shutdown(Shutdown::Both);
        }
    }
}

impl Wires {
    /// Connects to RabbitMQ at one of its addresses.
    pub(crate) async fn connect(
        &self,
        url: AMQPUri,
        address: SocketAddr,
        tls: OwnedTLSConfig,
        server_name: String,
        properties: ConnectionProperties,
    ) -> lapin::Result<Connection> {
        let (sockets, ends) = (Arc::clone(&self.sockets), self.given_up.clone());
        runtime::make().await?;
        let runtime = lapin::runtime::default_runtime()?;
        // It runs on a thread of the library's, which is kept for as long as this takes.
        Connection::connector(
            url,
            runtime,
            async move |url, runtime| {
                quiet::this_thread();
                let connecting = async {
                    let stream = AsyncTcpStream::connect(&runtime, address).await?;
                    if let AsyncTcpStream::Plain(plain) = &stream {
                        sockets.add(plain.get_ref())?;
                    }
                    match url.scheme {
                        AMQPScheme::AMQP => Ok(stream),
                        AMQPScheme::AMQPS => stream.into_tls(&server_name, tls.as_ref()).await,
                    }
                };
                let connected = timeout(CONNECT, ends.run_until_cancelled(connecting)).await;
                let connected = match connected {
                    Ok(Some(connected)) => connected,
                    Ok(None) => Err(given_up()),
                    Err(_) => Err(io::ErrorKind::TimedOut.into()),
                };
                connected.map_err(lapin::Error::from)
            },
            properties,
        )
        .await
    }
}
