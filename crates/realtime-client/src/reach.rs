//! TCP to a name, which may have several addresses of which some are dead.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use futures::{StreamExt, stream::FuturesUnordered};
use tokio::{
    net::{TcpStream, lookup_host},
    time::sleep,
};

/// How long one address is tried before the next one is tried beside it: RFC 8305, section 5.
const STAGGER: Duration = Duration::from_millis(250);
/// Of a name with more addresses, so many are tried.
const MOST: usize = 16;

/// The addresses that have accepted a connection since the last attempt that was a success, the last
/// one last. One that accepts may be dead behind that.
#[derive(Default)]
pub(crate) struct Tried(Mutex<VecDeque<SocketAddr>>);

impl Tried {
    pub(crate) fn forget(&self) {
        self.lock().clear();
    }

    fn note(&self, address: SocketAddr) {
        let mut tried = self.lock();
        tried.retain(|other| *other != address);
        if tried.len() >= MOST {
            tried.pop_front();
        }
        tried.push_back(address);
    }

    /// When it was tried, and first of all if it wasn't.
    fn place(&self, address: &SocketAddr) -> Option<usize> {
        self.lock().iter().position(|other| other == address)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<SocketAddr>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Connects to the first address that answers. An address that refuses, or from which nothing comes,
/// holds up none of the others. It begins with those that weren't tried, in whatever order the name's
/// addresses come this time.
pub(crate) async fn reach(host: &str, port: u16, tried: &Tried) -> io::Result<TcpStream> {
    let found = lookup_host((host, port)).await?;
    let stream = any_of(in_turn(found.collect(), tried)).await?;
    if let Ok(address) = stream.peer_addr() {
        tried.note(address);
    }
    Ok(stream)
}

/// Addresses of both families alternate: where one doesn't work at all, half of them are dead.
fn in_turn(found: Vec<SocketAddr>, tried: &Tried) -> Vec<SocketAddr> {
    let first = found.first().is_some_and(SocketAddr::is_ipv6);
    let (one, other): (Vec<_>, Vec<_>) = found.into_iter().partition(|at| at.is_ipv6() == first);
    let (mut one, mut other) = (one.into_iter(), other.into_iter());
    let mut addresses = Vec::new();
    loop {
        let next = [one.next(), other.next()];
        if next == [None, None] {
            break;
        }
        addresses.extend(next.into_iter().flatten());
    }
    addresses.sort_by_key(|address| tried.place(address));
    addresses.truncate(MOST);
    addresses
}

async fn any_of(addresses: Vec<SocketAddr>) -> io::Result<TcpStream> {
    let mut rest = addresses.into_iter();
    let mut tried = FuturesUnordered::new();
    let mut failed = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        match rest.next() {
            Some(address) => tried.push(async move {
                let connected = TcpStream::connect(address).await;
                connected
                    .map_err(|error| io::Error::new(error.kind(), format!("{address}: {error}")))
            }),
            None if tried.is_empty() => return Err(failed),
            None => {}
        }
        let has_more = rest.len() > 0;
        tokio::select! {
            Some(connected) = tried.next() => match connected {
                Ok(stream) => return Ok(stream),
                Err(error) => failed = error,
            },
            () = sleep(STAGGER), if has_more => {}
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by a panic")]

    use tokio::{
        net::{TcpListener, TcpSocket},
        time::{Instant, timeout},
    };

    use super::*;

    /// An address from which nothing comes: its listener takes no more connections. Those that it has
    /// are kept.
    async fn black_hole() -> (SocketAddr, TcpListener, Vec<TcpStream>) {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let listener = socket.listen(1).unwrap();
        let address = listener.local_addr().unwrap();
        let mut taken = Vec::new();
        while let Ok(connected) = timeout(2 * STAGGER, TcpStream::connect(address)).await {
            taken.push(connected.unwrap());
        }
        (address, listener, taken)
    }

    async fn refusing() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    }

    #[tokio::test]
    async fn dead_addresses_hold_up_none_that_lives() {
        let (hole, _listener, _taken) = black_hole().await;
        let alive = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = alive.local_addr().unwrap();
        let begun = Instant::now();
        let addresses = vec![refusing().await, hole, refusing().await, hole, address];
        let reached = timeout(Duration::from_secs(10), any_of(addresses)).await;
        assert_eq!(reached.unwrap().unwrap().peer_addr().unwrap(), address);
        assert!(begun.elapsed() >= STAGGER, "the first ones were tried");
    }

    #[tokio::test]
    async fn where_none_lives_the_last_reason_is_told() {
        let dead = refusing().await;
        let error = any_of(vec![dead]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::ConnectionRefused);
        assert!(error.to_string().contains(&dead.to_string()), "{error}");
        assert_eq!(
            any_of(Vec::new()).await.unwrap_err().kind(),
            io::ErrorKind::NotFound
        );
    }

    #[test]
    fn families_alternate_and_what_was_tried_comes_last() {
        let all = |list: &[&str]| {
            list.iter()
                .map(|at| at.parse().unwrap())
                .collect::<Vec<_>>()
        };
        let found = all(&["[::1]:1", "[::2]:1", "[::3]:1", "1.1.1.1:1"]);
        let tried = Tried::default();
        let turn = || in_turn(found.clone(), &tried);
        let fresh = all(&["[::1]:1", "1.1.1.1:1", "[::2]:1", "[::3]:1"]);
        assert_eq!(turn(), fresh);
        tried.note(fresh[0]);
        assert_eq!(turn(), [&fresh[1..], &fresh[..1]].concat());
        tried.note(fresh[2]);
        tried.note(fresh[0]);
        let last = [fresh[1], fresh[3], fresh[2], fresh[0]];
        assert_eq!(turn(), last, "the longest ago first");
        tried.forget();
        assert_eq!(turn(), fresh);
        assert_eq!(in_turn(Vec::new(), &tried), Vec::new());
        let many: Vec<SocketAddr> = (1..=40)
            .map(|n| SocketAddr::from(([127, 0, 0, n], 1)))
            .collect();
        assert_eq!(in_turn(many.clone(), &tried).len(), MOST);
        many.into_iter().for_each(|address| tried.note(address));
        assert_eq!(tried.lock().len(), MOST);
    }

    /// As of a name server that begins with another one in each of its answers.
    #[test]
    fn each_attempt_begins_with_another_address_in_whatever_order_they_come() {
        let mut found: Vec<SocketAddr> = (1..=4)
            .map(|n| SocketAddr::from(([127, 0, 0, n], 1)))
            .collect();
        for turned in [1, 3] {
            let tried = Tried::default();
            let mut begun = Vec::new();
            for _ in 0..8 {
                let first = in_turn(found.clone(), &tried)[0];
                tried.note(first);
                begun.push(first);
                found.rotate_right(turned);
            }
            assert_eq!(begun[..4], begun[4..], "in a round");
            begun.sort_unstable();
            begun.dedup();
            assert_eq!(begun.len(), 4, "all of them");
        }
    }
}
