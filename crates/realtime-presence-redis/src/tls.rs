//! TLS with rustls and ring, whatever other providers a program holds.

use std::sync::Arc;

use fred::types::config::{TlsConfig, TlsConnector};
use realtime_core::presence::PresenceError;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use crate::error::invalid;

/// Trusts the certificates that were given, else the system's.
pub(crate) fn connector(pem: Option<&[u8]>) -> Result<TlsConfig, PresenceError> {
    let mut roots = RootCertStore::empty();
    match pem {
        Some(pem) => {
            for certificate in CertificateDer::pem_slice_iter(pem) {
                let added = certificate
                    .map_err(|e| invalid("expected certificates in PEM").with_source(e))
                    .map(|certificate| roots.add(certificate))?;
                added.map_err(|e| invalid("a root certificate is not valid").with_source(e))?;
            }
        }
        // Systems hold a few that aren't valid; what is left of them is enough, or it is empty.
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    if roots.is_empty() {
        return Err(invalid(
            "expected at least one root certificate to trust; found none in the PEM or the system",
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| invalid("TLS could not be set up").with_source(e))?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(config).into())
}
