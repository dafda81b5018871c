//! A TCP proxy that breaks connections in every way that a network can.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::{AbortHandle, JoinSet},
};

/// What a proxy does to connections, old and new.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing: bytes pass.
    None,
    /// Connections stay open and new ones are accepted, but nothing passes either way.
    Blackhole,
    /// Nothing passes to the server.
    StallRequests,
    /// Nothing passes from the server.
    StallAnswers,
    /// Everything passes this much later.
    Delay(Duration),
    /// So many bytes pass each second, each way.
    Rate(u32),
    /// New connections are closed at once; open ones stay.
    Refuse,
}

/// A proxy on a port of its own. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    fault: watch::Sender<Fault>,
    /// Raised to reset the connections that are open.
    resets: watch::Sender<u64>,
    accepting: AbortHandle,
}

impl Proxy {
    /// A proxy in front of this port of the loopback address.
    ///
    /// # Panics
    /// When no port is free.
    #[allow(clippy::expect_used, reason = "a test fails by a panic")]
    pub async fn start(server: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let addr = listener.local_addr().expect("its address");
        let (fault, resets) = (watch::Sender::new(Fault::None), watch::Sender::new(0));
        let accepting = tokio::spawn(accept(listener, server, fault.clone(), resets.clone()));
        Self {
            addr,
            fault,
            resets,
            accepting: accepting.abort_handle(),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Sets what happens to connections from now on.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Resets all open connections.
    pub fn reset(&self) {
        self.resets.send_modify(|resets| *resets += 1);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(
    listener: TcpListener,
    server: u16,
    fault: watch::Sender<Fault>,
    resets: watch::Sender<u64>,
) {
    // Ends its tasks when this one is ended.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        if *fault.borrow() != Fault::Refuse {
            let (fault, resets) = (fault.subscribe(), resets.subscribe());
            connections.spawn(connection(client, server, fault, resets));
        }
    }
}

async fn connection(
    client: TcpStream,
    server: u16,
    fault: watch::Receiver<Fault>,
    mut resets: watch::Receiver<u64>,
) {
    resets.mark_unchanged();
    let Ok(server) = TcpStream::connect(("127.0.0.1", server)).await else {
        return;
    };
    // Closing with this set sends a reset in place of a goodbye.
    let armed = |stream: &TcpStream| {
        #[allow(deprecated, reason = "the test wants exactly what it warns of")]
        let _best_effort = stream.set_linger(Some(Duration::ZERO));
    };
    armed(&client);
    armed(&server);
    let (mut client_read, mut client_write) = client.into_split();
    let (mut server_read, mut server_write) = server.into_split();
    let there = pass(
        &mut client_read,
        &mut server_write,
        fault.clone(),
        Fault::StallRequests,
    );
    let back = pass(
        &mut server_read,
        &mut client_write,
        fault,
        Fault::StallAnswers,
    );
    tokio::select! {
        _ = resets.changed() => {}
        () = there => {}
        () = back => {}
    }
}

/// Passes bytes one way until the connection ends.
async fn pass(
    from: &mut OwnedReadHalf,
    to: &mut OwnedWriteHalf,
    mut fault: watch::Receiver<Fault>,
    stall: Fault,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let stalls = |fault: &Fault| *fault == Fault::Blackhole || *fault == stall;
        if fault.wait_for(|fault| !stalls(fault)).await.is_err() {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = fault.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let count = match read {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        // What came as the fault was set waits, too.
        let Ok(now) = fault.wait_for(|fault| !stalls(fault)).await.map(|now| *now) else {
            return;
        };
        match now {
            Fault::Delay(delay) => tokio::time::sleep(delay).await,
            Fault::Rate(bytes) => {
                let share = count as f64 / f64::from(bytes.max(1));
                tokio::time::sleep(Duration::from_secs_f64(share)).await;
            }
            _ => {}
        }
        if to.write_all(&buffer[..count]).await.is_err() {
            return;
        }
    }
}
