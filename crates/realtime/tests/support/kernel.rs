//! What the kernel knows.
#![cfg(target_os = "linux")]

use std::{net::SocketAddr, time::Duration};

/// Whether the kernel has a connection of these ports, seen from the server.
pub fn knows(server: SocketAddr, peer: SocketAddr) -> bool {
    line(server, peer).is_some()
}

/// In how long it asks the peer of a connection of `server` whether it is there, where it does.
pub fn asks_in(server: SocketAddr, peer: SocketAddr) -> Option<Duration> {
    let line = line(server, peer)?;
    let (timer, ticks) = line.split_whitespace().nth(5)?.split_once(':')?;
    let ticks = u64::from_str_radix(ticks, 16).unwrap();
    // Of all its timers that for a peer that is quiet; a tick is what the table counts in.
    (timer == "02").then(|| Duration::from_millis(10 * ticks))
}

fn line(server: SocketAddr, peer: SocketAddr) -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let port = |address: &str| {
        let (_, port) = address.split_once(':')?;
        u16::from_str_radix(port, 16).ok()
    };
    let mut lines = table.lines().skip(1);
    let line = lines.find(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, remote) = (words.next(), words.next());
        local.and_then(port) == Some(server.port()) && remote.and_then(port) == Some(peer.port())
    });
    line.map(str::to_owned)
}
