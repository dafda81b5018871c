//! TLS with rustls and ring, whatever other providers a program holds.

use std::sync::Arc;

use realtime_core::auth::AuthError;
use tokio_rustls::rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};

use super::invalid;

/// Trusts the system's certificates, and those that were given.
pub(super) fn config(pem: Option<&str>) -> Result<ClientConfig, AuthError> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let added = certificate
                .map_err(|e| invalid("root_certificates: expected PEM").with_source(e))
                .map(|certificate| roots.add(certificate))?;
            added.map_err(|e| {
                invalid("root_certificates: expected certificates that are valid").with_source(e)
            })?;
        }
        if roots.is_empty() {
            return Err(invalid(
                "root_certificates: expected at least one certificate in PEM; got none",
            ));
        }
    }
    // Systems hold a few that aren't valid; what is left of them is enough, or it is empty.
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err(invalid(
            "expected at least one root certificate to trust; the system has none, and none were \
             given as `root_certificates`",
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|e| invalid("TLS could not be set up").with_source(e))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}
