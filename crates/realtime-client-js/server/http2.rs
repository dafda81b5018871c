//! The same server for browsers that speak HTTP/2, which they do over TLS alone: on a port of its own,
//! with a certificate that nobody knows.

use std::{
    error::Error,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
};

use axum::{
    Router,
    extract::Request,
    middleware::{Next, from_fn},
    routing::get,
};
use http::{Method, Version};
use realtime::{Gateway, bind, serve};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{ServerConfig, pki_types::PrivateKeyDer},
};

/// Counts the WebSockets that come over HTTP/2, at `/http2-sockets`.
pub(crate) fn counting(app: Router) -> Router {
    let sockets = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&sockets);
    let layer = from_fn(move |request: Request, next: Next| {
        if request.version() == Version::HTTP_2 && request.method() == Method::CONNECT {
            count.fetch_add(1, SeqCst);
        }
        next.run(request)
    });
    let counted = async move || sockets.load(SeqCst).to_string();
    app.route("/http2-sockets", get(counted)).layer(layer)
}

/// Serves it until the gateway ends. Returns its port.
pub(crate) async fn serve_tls(app: Router, gateway: Gateway) -> Result<u16, Box<dyn Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = bind("127.0.0.1:0").await?;
    let port = listener.local_addr()?.port();
    let serving = serve(listener, app, gateway)
        .secure(move |tcp| acceptor.accept(tcp))
        .http2();
    tokio::spawn(serving.into_future());
    Ok(port)
}
