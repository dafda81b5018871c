//! TLS for a server and those who trust it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio_rustls::{
    TlsAcceptor, TlsConnector,
    rustls::{
        ClientConfig, RootCertStore, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer},
    },
};

/// Who a server over TLS is: its certificate and its key. Its clients may be in another process.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ServerIdentity {
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl ServerIdentity {
    /// Another `gateway.test`.
    pub fn random() -> Self {
        let made = rcgen::generate_simple_self_signed(["gateway.test".to_owned()]).unwrap();
        Self {
            certificate: made.cert.der().to_vec(),
            key: made.signing_key.serialize_der(),
        }
    }

    /// Both sides of it.
    pub fn both(self) -> (TlsAcceptor, TlsConnector) {
        let certificate = CertificateDer::from(self.certificate);
        let key = PrivateKeyDer::try_from(self.key).unwrap();
        let server = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.clone()], key)
            .unwrap();
        let mut roots = RootCertStore::empty();
        roots.add(certificate).unwrap();
        let client = ClientConfig::builder()
            .with_root_certificates(roots)
            .with_no_client_auth();
        (
            TlsAcceptor::from(Arc::new(server)),
            TlsConnector::from(Arc::new(client)),
        )
    }
}
