//! Is there a RabbitMQ that answers?
//!
//! A server that was stopped, or that a partition has cut off, still accepts TCP connections or
//! leaves them hanging, and an attempt of the client library takes two threads. So a plain socket
//! goes first.

use std::time::Duration;

use lapin::uri::{AMQPScheme, AMQPUri};
use realtime_core::broker::BrokerError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{config::shown, error::unavailable};

const LIMIT: Duration = Duration::from_secs(1);
/// AMQP 0-9-1.
const HELLO: &[u8; 8] = b"AMQP\x00\x00\x09\x01";

pub(crate) async fn answers(url: &AMQPUri) -> Result<(), BrokerError> {
    let asked = timeout(LIMIT, async {
        let at = (url.authority.host.as_str(), url.authority.port);
        let mut stream = TcpStream::connect(at).await?;
        // Over TLS the first word would be a handshake's, which comes soon enough and has its
        // bound.
        if url.scheme == AMQPScheme::AMQP {
            stream.write_all(HELLO).await?;
            stream.read_u8().await?;
        }
        std::io::Result::Ok(())
    });
    let why = match asked.await {
        Ok(Ok(())) => return Ok(()),
        Ok(Err(error)) => return Err(not_there(url).with_source(error)),
        Err(_) => format!("it did not answer within {LIMIT:?}"),
    };
    Err(not_there(url).with_source(why))
}

fn not_there(url: &AMQPUri) -> BrokerError {
    unavailable(format!("RabbitMQ can't be reached at {}", shown(url)))
}
