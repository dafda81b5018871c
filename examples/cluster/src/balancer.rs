//! What stands for a load balancer: one address, behind which each session goes to the node that has
//! the fewest. A real deployment has a real one: nginx, HAProxy, or that of the cloud, with TLS and
//! health checks. See docs/proxies.md.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    task::JoinSet,
    time::{sleep, timeout},
};

/// How many connections there may be at once.
const CONNECTIONS: usize = 1_024;
/// How long a client has for the beginning of its request, and a node to accept a connection.
const PATIENCE: Duration = Duration::from_secs(5);

/// Which nodes there are.
#[derive(Clone, Default)]
pub(crate) struct Nodes(Arc<Mutex<BTreeMap<&'static str, Node>>>);

#[derive(Clone)]
struct Node {
    address: SocketAddr,
    /// Each session holds a clone.
    sessions: Arc<()>,
}

impl Nodes {
    pub(crate) fn add(&self, name: &'static str, address: SocketAddr) {
        let sessions = Arc::default();
        self.lock().insert(name, Node { address, sessions });
    }

    pub(crate) fn remove(&self, name: &str) {
        self.lock().remove(name);
    }

    /// All of them, and the one with the fewest sessions first.
    fn by_sessions(&self) -> Vec<Node> {
        let mut nodes: Vec<_> = self.lock().values().cloned().collect();
        nodes.sort_by_key(|node| Arc::strong_count(&node.sessions));
        nodes
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<&'static str, Node>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes connections on, until it is dropped.
pub(crate) async fn balance(listener: TcpListener, nodes: Nodes) {
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
                let nodes = nodes.clone();
                connections.spawn(async move {
                    // Both ends see how a connection ends, and a page comes back.
                    let _ended = pass(client, nodes).await;
                    drop(place);
                });
            }
            // A client has left already, or descriptors are short: the others wait.
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

async fn pass(mut client: TcpStream, nodes: Nodes) -> io::Result<()> {
    let mut request = vec![0; 4096];
    let read = timeout(PATIENCE, client.read(&mut request)).await??;
    let request = &request[..read];
    // With none it is closed, and a page comes back.
    let Some((mut node, session)) = reach(nodes.by_sessions()).await else {
        return Ok(());
    };
    client.set_nodelay(true)?;
    node.set_nodelay(true)?;
    node.write_all(request).await?;
    // What is no session is over soon, and counts for nothing.
    let _session = request.starts_with(b"GET /ws").then_some(session);
    copy_bidirectional(&mut client, &mut node).await?;
    Ok(())
}

/// The first that accepts a connection: one that was killed just now refuses.
async fn reach(nodes: Vec<Node>) -> Option<(TcpStream, Arc<()>)> {
    for Node { address, sessions } in nodes {
        if let Ok(Ok(node)) = timeout(PATIENCE, TcpStream::connect(address)).await {
            return Some((node, sessions));
        }
    }
    None
}
