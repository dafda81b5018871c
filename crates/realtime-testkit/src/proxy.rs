//! A TCP proxy that breaks connections in every way that a network can.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

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

/// How much of what a client says first is looked at.
const FIRST: usize = 4096;

/// What happens to which connections.
#[derive(Debug, Clone)]
struct Faults {
    all: Fault,
    /// To those whose client has said this.
    some: Option<(String, Fault)>,
}

impl Faults {
    fn of(&self, client: &Client) -> Fault {
        match &self.some {
            Some((text, fault)) if client.has_said(text) => *fault,
            _ => self.all,
        }
    }
}

/// What a client has said first.
#[derive(Debug, Clone, Default)]
struct Client(Arc<Mutex<Vec<u8>>>);

impl Client {
    fn says(&self, bytes: &[u8]) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let room = FIRST.saturating_sub(first.len()).min(bytes.len());
        first.extend_from_slice(&bytes[..room]);
    }

    fn has_said(&self, text: &str) -> bool {
        let first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first
            .windows(text.len().max(1))
            .any(|part| part == text.as_bytes())
    }
}

/// A proxy on a port of its own. It ends, with all its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    addr: SocketAddr,
    faults: watch::Sender<Faults>,
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
        let none = Faults {
            all: Fault::None,
            some: None,
        };
        let (faults, resets) = (watch::Sender::new(none), watch::Sender::new(0));
        let accepting = tokio::spawn(accept(listener, server, faults.clone(), resets.clone()));
        Self {
            addr,
            faults,
            resets,
            accepting: accepting.abort_handle(),
        }
    }

    /// Where clients connect.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.addr.port()
    }

    /// Sets what happens to all connections from now on.
    pub fn set(&self, fault: Fault) {
        let faults = Faults {
            all: fault,
            some: None,
        };
        self.faults.send_replace(faults);
    }

    /// Sets what happens from now on to those connections whose client has said this among its
    /// first 4 KiB: the name that it gives itself, say. It holds until something is
    /// [set](Self::set) for all.
    pub fn set_where(&self, said: &str, fault: Fault) {
        let some = Some((said.to_owned(), fault));
        self.faults.send_modify(|faults| faults.some = some);
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
    faults: watch::Sender<Faults>,
    resets: watch::Sender<u64>,
) {
    // Ends its tasks when this one is ended.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        let Ok((client, _)) = listener.accept().await else {
            continue;
        };
        if faults.borrow().all != Fault::Refuse {
            let (faults, resets) = (faults.subscribe(), resets.subscribe());
            connections.spawn(connection(client, server, faults, resets));
        }
    }
}

async fn connection(
    client: TcpStream,
    server: u16,
    faults: watch::Receiver<Faults>,
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
    let client = Client::default();
    let there = pass(
        &mut client_read,
        &mut server_write,
        faults.clone(),
        (&client, Fault::StallRequests),
    );
    let back = pass(
        &mut server_read,
        &mut client_write,
        faults,
        (&client, Fault::StallAnswers),
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
    mut faults: watch::Receiver<Faults>,
    (client, stall): (&Client, Fault),
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let stalls = |faults: &Faults| {
            let fault = faults.of(client);
            fault == Fault::Blackhole || fault == stall
        };
        if faults.wait_for(|faults| !stalls(faults)).await.is_err() {
            return;
        }
        let read = tokio::select! {
            read = from.read(&mut buffer) => read,
            changed = faults.changed() => match changed {
                Ok(()) => continue,
                Err(_) => return,
            },
        };
        let count = match read {
            Ok(0) | Err(_) => return,
            Ok(count) => count,
        };
        if stall == Fault::StallRequests {
            client.says(&buffer[..count]);
        }
        // What came as the fault was set waits, too.
        let passing = faults.wait_for(|faults| !stalls(faults)).await;
        let Ok(now) = passing.map(|faults| faults.of(client)) else {
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
