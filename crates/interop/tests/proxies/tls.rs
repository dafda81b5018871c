//! TLS on the client's side, with a certificate that was just made.

use std::{fs, io, net::SocketAddr, path::Path, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{
    TlsConnector,
    client::TlsStream,
    rustls::{
        ClientConfig, RootCertStore,
        pki_types::{CertificateDer, ServerName},
    },
};

/// Whose certificate it is.
pub(crate) const NAME: &str = "app.example.com";

pub(crate) struct Certificate {
    der: CertificateDer<'static>,
    pem: String,
    key: String,
}

impl Certificate {
    /// The certificate with its key behind it, as HAProxy reads it and nobody minds; and the key.
    pub(crate) const FILES: [&str; 2] = ["certificate.pem", "key.pem"];

    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]).unwrap();
        Self {
            der: made.cert.der().clone(),
            pem: made.cert.pem(),
            key: made.signing_key.serialize_pem(),
        }
    }

    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let [certificate, key] = Self::FILES.map(|file| folder.join(file));
        fs::write(certificate, format!("{}{}", self.pem, self.key))?;
        fs::write(key, &self.key)
    }

    /// Connects, offering protocols by ALPN as browsers do.
    pub(crate) async fn connect(&self, to: SocketAddr, protocols: &[&str]) -> TlsStream<TcpStream> {
        let tcp = TcpStream::connect(to).await.unwrap();
        self.over(tcp, protocols).await
    }

    pub(crate) async fn over(&self, tcp: TcpStream, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols
            .iter()
            .map(|name| name.as_bytes().to_vec())
            .collect();
        let name = ServerName::try_from(NAME).unwrap();
        let connector = TlsConnector::from(Arc::new(config));
        connector.connect(name, tcp).await.unwrap()
    }
}

/// What was chosen of the protocols.
pub(crate) fn chosen(stream: &TlsStream<TcpStream>) -> Option<&str> {
    stream
        .get_ref()
        .1
        .alpn_protocol()
        .map(|name| str::from_utf8(name).unwrap())
}
