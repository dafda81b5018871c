//! `chat --alive`: asks the chat that runs here for `/livez`, for containers in which there is no
//! other program that could.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs},
    time::Duration,
};

/// How long it may take to connect, to send, and to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// What a good answer begins with.
const GOOD: &[u8; 12] = b"HTTP/1.1 200";

/// # Errors
/// When it isn't alive, or doesn't say so in time.
pub(crate) fn ask(listen: &str) -> io::Result<()> {
    let mut stream = TcpStream::connect_timeout(&reached_at(listen)?, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET /livez HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut begins = [0; GOOD.len()];
    stream.read_exact(&mut begins)?;
    match begins == *GOOD {
        true => Ok(()),
        false => Err(io::Error::other(format!(
            "expected 200 of /livez; got {:?}",
            String::from_utf8_lossy(&begins)
        ))),
    }
}

/// What listens everywhere listens on the loopback, too.
fn reached_at(listen: &str) -> io::Result<SocketAddr> {
    let mut found = listen.to_socket_addrs()?;
    let mut address = found
        .next()
        .ok_or_else(|| io::Error::other(format!("expected an address; got {listen:?}")))?;
    match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => address.set_ip(Ipv4Addr::LOCALHOST.into()),
        IpAddr::V6(ip) if ip.is_unspecified() => address.set_ip(Ipv6Addr::LOCALHOST.into()),
        _ => {}
    }
    Ok(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_asked_where_it_can_be_reached() {
        let rows = [
            ("0.0.0.0:80", "127.0.0.1:80"),
            ("[::]:80", "[::1]:80"),
            ("127.0.0.2:80", "127.0.0.2:80"),
        ];
        for (listen, reached) in rows {
            assert_eq!(reached_at(listen).unwrap().to_string(), reached);
        }
    }
}
