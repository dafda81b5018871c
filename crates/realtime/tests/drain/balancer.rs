//! A balancer as they are: it asks `/readyz` and sends a new connection to the node that is ready and
//! has the fewest.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    task::JoinHandle,
    time::{sleep, timeout},
};

/// How often it asks.
const EVERY: Duration = Duration::from_millis(50);
/// How long an answer may take, which is long: the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(5);

#[derive(Debug)]
struct Backend {
    addr: SocketAddr,
    ready: bool,
    connections: usize,
}

type Backends = Arc<Mutex<Vec<Backend>>>;

pub(crate) struct Balancer {
    pub(crate) addr: SocketAddr,
    backends: Backends,
    tasks: [JoinHandle<()>; 2],
}

impl Balancer {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let backends = Backends::default();
        let (asked, served) = (Arc::clone(&backends), Arc::clone(&backends));
        let asks = tokio::spawn(async move {
            loop {
                let known: Vec<SocketAddr> = all(&asked).iter().map(|b| b.addr).collect();
                for addr in known {
                    let ready = is_ready(addr).await;
                    with(&asked, addr, |backend| backend.ready = ready);
                }
                sleep(EVERY).await;
            }
        });
        let accepts = tokio::spawn(async move {
            loop {
                let (client, _) = listener.accept().await.unwrap();
                tokio::spawn(carry(client, Arc::clone(&served)));
            }
        });
        Self {
            addr,
            backends,
            tasks: [asks, accepts],
        }
    }

    /// Adds a node, once it is ready.
    pub(crate) async fn add(&self, addr: SocketAddr) {
        while !is_ready(addr).await {
            sleep(EVERY).await;
        }
        all(&self.backends).push(Backend {
            addr,
            ready: true,
            connections: 0,
        });
    }

    pub(crate) fn remove(&self, addr: SocketAddr) {
        all(&self.backends).retain(|backend| backend.addr != addr);
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

fn all(backends: &Backends) -> std::sync::MutexGuard<'_, Vec<Backend>> {
    backends.lock().unwrap()
}

fn with(backends: &Backends, addr: SocketAddr, change: impl FnOnce(&mut Backend)) {
    let mut backends = all(backends);
    if let Some(its) = backends.iter_mut().find(|backend| backend.addr == addr) {
        change(its);
    }
}

async fn is_ready(addr: SocketAddr) -> bool {
    let asked = async {
        let mut stream = TcpStream::connect(addr).await?;
        let request = "GET /readyz HTTP/1.1\r\nHost: node.test\r\nConnection: close\r\n\r\n";
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        Ok::<_, std::io::Error>(answer.starts_with("HTTP/1.1 200"))
    };
    matches!(timeout(PATIENCE, asked).await, Ok(Ok(true)))
}

async fn carry(mut client: TcpStream, backends: Backends) {
    let chosen = {
        let mut backends = all(&backends);
        let ready = backends.iter_mut().filter(|backend| backend.ready);
        let fewest = ready.min_by_key(|backend| backend.connections);
        fewest.map(|backend| {
            backend.connections += 1;
            backend.addr
        })
    };
    let Some(addr) = chosen else {
        let none = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n";
        let _gone = client.write_all(none).await;
        return;
    };
    if let Ok(mut node) = TcpStream::connect(addr).await {
        let _ended = copy_bidirectional(&mut client, &mut node).await;
    }
    with(&backends, addr, |backend| backend.connections -= 1);
}
