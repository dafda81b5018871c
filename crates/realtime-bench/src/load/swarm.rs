//! Many clients on one thread.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, SocketAddr},
    time::{Duration, Instant},
};

use mio::{Events, Poll};
use socket2::Socket;

use super::{
    connection::{Connection, Stage},
    dialect::Dialect,
    wire::Wiring,
};

/// How long nothing may happen before the server counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);
/// How many connections begin before the first of them is open.
const OPENING: usize = 64;
/// How many connections come from one source address: it has some 28,000 ports, and those of
/// earlier runs are still cooling down.
const PER_ADDRESS: usize = 10_000;

/// Many clients on one thread.
#[derive(Debug)]
pub(crate) struct Swarm {
    poll: Poll,
    events: Events,
    block: Vec<u8>,
    to: SocketAddr,
    dialect: Dialect,
    wiring: Wiring,
    /// The first two numbers of the source addresses behind 127.
    network: (u8, u8),
    pub(crate) clients: Vec<Connection>,
    open: usize,
    /// How long each took to open, where that is of interest.
    handshakes: Option<Vec<Duration>>,
    /// How many bytes a message has that is counted.
    pub(crate) expected: u64,
    /// The client that doesn't read, once it is open.
    stalled: Option<usize>,
    last_event: Instant,
    busy: Duration,
}

impl Swarm {
    pub(crate) fn new(to: SocketAddr, dialect: Dialect, expected: u64) -> io::Result<Self> {
        let pid = std::process::id();
        Ok(Self {
            poll: Poll::new()?,
            events: Events::with_capacity(1024),
            block: vec![0; 256 * 1024],
            to,
            dialect,
            wiring: Wiring::default(),
            network: ((pid % 199 + 1) as u8, (pid / 199 % 251) as u8),
            clients: Vec::new(),
            open: 0,
            handshakes: None,
            expected,
            stalled: None,
            last_event: Instant::now(),
            busy: Duration::ZERO,
        })
    }

    /// With clients that speak by way of this.
    pub(crate) fn over(mut self, wiring: Wiring) -> Self {
        self.wiring = wiring;
        self
    }

    /// Opens so many clients more, and waits until all are open.
    pub(crate) fn open(&mut self, more: usize) -> io::Result<()> {
        let target = self.clients.len() + more;
        while self.open < target {
            while self.clients.len() < target && self.clients.len() < self.open + OPENING {
                let socket = self.socket(self.clients.len(), false)?;
                self.start(socket)?;
            }
            self.turn(None, |_, _, _| Ok(()))?;
        }
        Ok(())
    }

    /// Opens so many clients more in one go, and returns how long each handshake took.
    pub(crate) fn storm(&mut self, more: usize) -> io::Result<Vec<Duration>> {
        let first = self.clients.len();
        let sockets = (first..first + more).map(|index| self.socket(index, false));
        let sockets: Vec<_> = sockets.collect::<io::Result<_>>()?;
        for socket in sockets {
            self.start(socket)?;
        }
        self.handshakes = Some(Vec::with_capacity(more));
        while self.open < self.clients.len() {
            self.turn(None, |_, _, _| Ok(()))?;
        }
        Ok(self.handshakes.take().unwrap_or_default())
    }

    /// Opens one client more that stops to read once it is open.
    pub(crate) fn open_stalled(&mut self) -> io::Result<()> {
        let socket = self.socket(self.clients.len(), true)?;
        self.start(socket)?;
        while self.open < self.clients.len() {
            self.turn(None, |_, _, _| Ok(()))?;
        }
        self.stalled = Some(self.clients.len() - 1);
        Ok(())
    }

    fn socket(&self, index: usize, stalled: bool) -> io::Result<Socket> {
        let from = if self.to.ip().is_loopback() && self.to.is_ipv4() {
            let last = (index / PER_ADDRESS + 1) as u8;
            IpAddr::V4(Ipv4Addr::new(127, self.network.0, self.network.1, last))
        } else {
            unspecified(self.to)
        };
        Connection::socket(self.to, from, stalled)
    }

    fn start(&mut self, socket: Socket) -> io::Result<()> {
        let client = (self.dialect, self.clients.len());
        let client =
            Connection::start(socket, self.to, client, &self.wiring, self.poll.registry())?;
        self.clients.push(client);
        Ok(())
    }

    /// How long the thread was at work, other than waiting, since the last call.
    pub(crate) fn take_busy(&mut self) -> Duration {
        std::mem::take(&mut self.busy)
    }

    /// Waits for events until `deadline`, and hands over who got how many messages.
    pub(crate) fn turn(
        &mut self,
        deadline: Option<Instant>,
        mut got: impl FnMut(&mut Connection, usize, u64) -> io::Result<()>,
    ) -> io::Result<()> {
        // epoll's timeout is in whole milliseconds: the last two are spent looking.
        let left = deadline.map_or(PATIENCE, |at| at.saturating_duration_since(Instant::now()));
        let sleep = left.saturating_sub(Duration::from_millis(2));
        match self.poll.poll(&mut self.events, Some(sleep)) {
            Err(e) if e.kind() == ErrorKind::Interrupted => return Ok(()),
            other => other?,
        }
        let start = Instant::now();
        if self.events.is_empty() {
            if start.duration_since(self.last_event) >= PATIENCE {
                return Err(io::Error::other("the server has said nothing for 30 s"));
            }
            return Ok(());
        }
        self.last_event = start;
        for event in &self.events {
            let index = event.token().0;
            if self.stalled == Some(index) {
                continue;
            }
            let client = &mut self.clients[index];
            let was_open = client.stage == Stage::Open;
            if event.is_writable() {
                client.flush()?;
            }
            if event.is_readable() {
                let count = client
                    .read(&mut self.block, self.expected)?
                    .ok_or_else(|| io::Error::other("the server has closed a connection"))?;
                if !was_open && client.stage == Stage::Open {
                    self.open += 1;
                    if let Some(handshakes) = &mut self.handshakes {
                        handshakes.push(client.started.elapsed());
                    }
                }
                if count > 0 {
                    got(client, index, count)?;
                }
            }
        }
        self.busy += start.elapsed();
        Ok(())
    }
}

fn unspecified(to: SocketAddr) -> IpAddr {
    if to.is_ipv4() {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(std::net::Ipv6Addr::UNSPECIFIED)
    }
}
