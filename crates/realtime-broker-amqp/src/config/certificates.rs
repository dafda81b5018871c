//! Certificates in PEM, read before they are used.

use lapin::tcp::{OwnedIdentity, OwnedTLSConfig};
use realtime_core::broker::BrokerError;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

use super::AmqpConfigBuilder;
use crate::error::config as invalid;

/// What TLS is set up with.
pub(super) fn read(
    builder: &AmqpConfigBuilder,
    speaks_tls: bool,
) -> Result<OwnedTLSConfig, BrokerError> {
    if let Some(roots) = &builder.root_certificates {
        of_use("root certificates were given", speaks_tls)?;
        certificates("root_certificates", roots)?;
    }
    let identity = match &builder.client_certificate {
        None => None,
        Some((chain, key)) => {
            of_use("a client certificate was given", speaks_tls)?;
            certificates("client_certificate", chain)?;
            // What is wrong with it is not said: it may be shown.
            PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
                let expected = "client_certificate: expected a private key in PEM, without a \
                                passphrase; got none that can be read";
                invalid(expected.to_owned())
            })?;
            Some(OwnedIdentity::PKCS8 {
                pem: chain.clone().into_bytes(),
                key: key.clone().into_bytes(),
            })
        }
    };
    Ok(OwnedTLSConfig {
        identity,
        cert_chain: builder.root_certificates.clone(),
    })
}

fn of_use(given: &str, speaks_tls: bool) -> Result<(), BrokerError> {
    if speaks_tls {
        return Ok(());
    }
    Err(invalid(format!(
        "{given}, but no amqps: URL; use amqps: to speak TLS"
    )))
}

fn certificates(name: &str, pem: &str) -> Result<(), BrokerError> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(()),
        _ => Err(invalid(format!(
            "{name}: expected at least one certificate in PEM; got none that can be read"
        ))),
    }
}
