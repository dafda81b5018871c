//! Is there a RabbitMQ that answers?
//!
//! A server that was stopped, or that a partition has cut off, still accepts TCP connections or
//! leaves them hanging, and an attempt of the client library takes two threads. So a plain socket
//! goes first.

use std::{future::pending, io, net::SocketAddr, time::Duration};

use futures::{StreamExt, stream::FuturesUnordered};
use lapin::uri::{AMQPScheme, AMQPUri};
use realtime_core::broker::BrokerError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::{sleep, timeout},
};

use crate::{config::shown, error::unavailable};

/// How long an address may take to answer.
const LIMIT: Duration = Duration::from_secs(1);
/// After how long the next address of a name is tried, too, while those before it say nothing.
const NEXT: Duration = Duration::from_millis(200);
/// How many addresses of a name are tried.
const ADDRESSES: usize = 16;
/// How long it may take to find them out.
const LOOKUP: Duration = Duration::from_secs(1);
/// AMQP 0-9-1.
const HELLO: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

/// The address of this server that answers first. One that is dead, such as `::1` where only
/// `127.0.0.1` is listened to, keeps no other from its turn.
pub(crate) async fn answers(url: &AMQPUri) -> Result<SocketAddr, BrokerError> {
    let at = (url.authority.host.as_str(), url.authority.port);
    let addresses: Vec<_> = match timeout(LOOKUP, lookup_host(at)).await {
        Ok(Ok(addresses)) => addresses.take(ADDRESSES).collect(),
        Ok(Err(error)) => return Err(not_there(url).with_source(error)),
        Err(_) => {
            let why = format!("its name was not found within {LOOKUP:?}");
            return Err(not_there(url).with_source(why));
        }
    };
    let answered = first_of(&addresses, url.scheme == AMQPScheme::AMQP).await;
    answered.map_err(|why| not_there(url).with_source(why))
}

/// The first of these addresses that answers, or why the one that failed first did.
async fn first_of(addresses: &[SocketAddr], says_hello: bool) -> io::Result<SocketAddr> {
    let mut attempts = FuturesUnordered::new();
    let mut first = None;
    let mut next = addresses.iter();
    loop {
        let started = next
            .next()
            .map(|address| attempts.push(attempt(*address, says_hello)));
        // The last ones are waited for.
        let head_start = async {
            match started {
                Some(()) => sleep(NEXT).await,
                None => pending().await,
            }
        };
        tokio::select! {
            biased;
            answered = attempts.next() => match answered {
                Some(Ok(address)) => return Ok(address),
                Some(Err(error)) => drop(first.get_or_insert(error)),
                None => break,
            },
            () = head_start => {}
        }
    }
    Err(first.unwrap_or_else(|| io::Error::other("its name has no address")))
}

async fn attempt(address: SocketAddr, says_hello: bool) -> io::Result<SocketAddr> {
    let asked = timeout(LIMIT, async {
        let mut stream = TcpStream::connect(address).await?;
        // Over TLS the first word would be a handshake's, which comes soon enough and has its
        // bound.
        if says_hello {
            stream.write_all(HELLO).await?;
            stream.read_u8().await?;
        }
        io::Result::Ok(address)
    });
    asked.await.unwrap_or_else(|_| {
        let why = format!("{address} did not answer within {LIMIT:?}");
        Err(io::Error::new(io::ErrorKind::TimedOut, why))
    })
}

fn not_there(url: &AMQPUri) -> BrokerError {
    unavailable(format!("RabbitMQ can't be reached at {}", shown(url)))
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::{net::TcpListener, time::Instant};

    use super::*;

    async fn listener() -> (TcpListener, SocketAddr) {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        (listener, address)
    }

    #[tokio::test]
    async fn addresses_that_are_dead_keep_no_other_from_its_turn() {
        let (_silent, silent) = listener().await;
        let (gone, refused) = listener().await;
        drop(gone);
        let (server, alive) = listener().await;
        tokio::spawn(async move {
            let (mut stream, _) = server.accept().await.unwrap();
            stream.write_all(b"\x01").await.unwrap();
            // Until the other end has read it.
            let _end = stream.read_to_end(&mut Vec::new()).await;
        });
        let begun = Instant::now();
        let found = first_of(&[silent, refused, alive], true).await;
        assert_eq!(found.unwrap(), alive);
        assert!(begun.elapsed() < LIMIT, "the silent one is not waited for");
    }

    #[tokio::test]
    async fn where_all_are_dead_the_first_failure_is_told() {
        let (gone, refused) = listener().await;
        drop(gone);
        let error = first_of(&[refused, refused], true).await;
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let none = first_of(&[], true).await.unwrap_err();
        assert!(none.to_string().contains("no address"));
    }
}
