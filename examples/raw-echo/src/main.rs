//! Every frame is a message and comes back unchanged: a codec of its own, and what a conformance
//! suite runs against.
//!
//! `raw-echo [--listen ADDR] [--read-limit BYTES] [--deflate] [--tls-cert FILE --tls-key FILE]`

mod arguments;
mod codec;

use std::{error::Error, sync::Arc};

use arguments::{Arguments, Tls};
use codec::RawCodec;
use realtime::{
    Gateway, Message, Router, Session, bind, config::Compression, error::SendError, serve,
    shutdown_signal,
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject},
    },
};

async fn echo(session: Session, message: Message) -> Result<(), SendError> {
    session.send_message_wait(&message).await
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let Arguments {
        listen,
        read_limit,
        deflate,
        tls,
    } = Arguments::parse(std::env::args().skip(1))?;
    let gateway = Gateway::builder(RawCodec)
        .router(Router::new().fallback(echo))
        .read_limit(read_limit)
        // Its clients are test programs, some of which send an origin of their own.
        .insecure_origins()
        .compression(deflate.then(compression))
        .build()?;
    let app = axum::Router::new().fallback_service(gateway.clone());
    let acceptor = tls.map(acceptor).transpose()?;
    let listener = bind(listen).await?;
    let shutdown = shutdown_signal();
    println!("listening on http://{}", listener.local_addr()?);
    let server = serve(listener, app, gateway);
    let server = match acceptor {
        Some(acceptor) => server.secure(move |tcp| acceptor.accept(tcp)),
        None => server,
    };
    server.with_graceful_shutdown(shutdown).await?;
    Ok(())
}

/// Everything that shrinks is compressed, however short.
fn compression() -> Compression {
    let mut compression = Compression::default();
    compression.floor = 1;
    compression
}

fn acceptor(Tls { cert, key }: Tls) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(cert)?.collect::<Result<Vec<_>, _>>()?;
    let key = PrivateKeyDer::from_pem_file(key)?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    // What is spoken behind it: clients would offer HTTP/2, too.
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
