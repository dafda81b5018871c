//! A network that cuts each connection by itself, at a time of its own.

use std::{io, net::SocketAddr, ops::Range, time::Duration};

use realtime::bind;
use socket2::SockRef;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

/// Passes connections on to nodes, and cuts each. It ends, with all of them, when it is dropped.
#[derive(Debug)]
pub(super) struct Cutter {
    address: SocketAddr,
    accepting: AbortHandle,
}

/// What is in front of which nodes, and after how many seconds a connection is cut.
#[derive(Debug, Clone)]
struct Plan {
    nodes: Vec<SocketAddr>,
    seconds: Range<f64>,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy)]
enum Cut {
    /// Both sides are told.
    Goodbye,
    /// Both sides are reset, and lose what is on its way.
    Reset,
    /// The client is reset, and the node hears of it only after it was silent for a while: as when
    /// a phone goes out of reach.
    Silence,
}

const CUTS: [Cut; 3] = [Cut::Goodbye, Cut::Reset, Cut::Silence];

impl Cutter {
    /// In front of these nodes, of which each connection gets one by chance.
    pub(super) async fn start(nodes: Vec<SocketAddr>, seconds: Range<f64>) -> io::Result<Self> {
        let listener = bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let accepting = tokio::spawn(accept(listener, Plan { nodes, seconds }));
        Ok(Self {
            address,
            accepting: accepting.abort_handle(),
        })
    }

    /// Where clients connect.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, plan: Plan) {
    // Ends its tasks when this one is ended.
    let mut connections = JoinSet::new();
    loop {
        while connections.try_join_next().is_some() {}
        match listener.accept().await {
            Ok((client, _)) => {
                connections.spawn(pass(client, plan.clone()));
            }
            // Descriptors have run out: those of others are about to end.
            Err(_) => sleep(Duration::from_millis(10)).await,
        }
    }
}

async fn pass(mut client: TcpStream, plan: Plan) -> io::Result<()> {
    let node = fastrand::choice(&plan.nodes).ok_or(io::ErrorKind::AddrNotAvailable)?;
    let mut server = TcpStream::connect(node).await?;
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    let life = plan.some_time();
    let ended = timeout(life, copy_bidirectional(&mut client, &mut server)).await;
    if ended.is_ok() {
        return Ok(());
    }
    match fastrand::choice(&CUTS).unwrap_or(&Cut::Goodbye) {
        Cut::Goodbye => {}
        Cut::Reset => {
            reset(&client)?;
            reset(&server)?;
        }
        Cut::Silence => {
            reset(&client)?;
            drop(client);
            sleep(plan.some_time()).await;
        }
    }
    Ok(())
}

impl Plan {
    fn some_time(&self) -> Duration {
        let Range { start, end } = self.seconds;
        let seconds = start + (end - start) * fastrand::f64();
        Duration::try_from_secs_f64(seconds).unwrap_or_default()
    }
}

/// Closing it sends a reset in place of a goodbye.
fn reset(stream: &TcpStream) -> io::Result<()> {
    SockRef::from(stream).set_linger(Some(Duration::ZERO))
}
