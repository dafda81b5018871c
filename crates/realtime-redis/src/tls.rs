//! TLS with rustls and ring, whatever other providers a program holds.

use std::{fmt, sync::Arc};

use tokio_rustls::rustls::{
    self, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
    client::{
        WebPkiServerVerifier,
        danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier},
    },
    crypto::ring,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime, pem::PemObject},
};

use crate::InvalidDeployment;

/// How TLS is spoken with all servers of a deployment.
#[derive(Clone)]
#[non_exhaustive]
pub struct Tls {
    /// What rustls is to do.
    pub config: Arc<ClientConfig>,
    /// The name that is expected of all servers, where one was given.
    pub server_name: Option<String>,
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

impl Tls {
    /// Trusts the system's certificates, and those that were given, and shows its own chain and key
    /// where there are any. Where a name is given, it is
    /// expected in place of the address that was connected to: sentinels and clusters name
    /// addresses.
    pub(crate) fn new(
        pem: Option<&str>,
        name: Option<String>,
        client: Option<(&str, &str)>,
    ) -> Result<Self, InvalidDeployment> {
        let roots = roots(pem, rustls_native_certs::load_native_certs().certs)?;
        let provider = Arc::new(ring::default_provider());
        let failed = |e| InvalidDeployment::new("TLS could not be set up").with_source(e);
        let config = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(failed)?
            .with_root_certificates(roots.clone());
        let mut config = match client {
            Some((chain, key)) => {
                let (chain, key) = own(chain, key)?;
                // What is wrong with it is not said: it may be shown.
                let unusable = |_| unusable_key("one that can be used, and belongs to the chain");
                config.with_client_auth_cert(chain, key).map_err(unusable)?
            }
            None => config.with_no_client_auth(),
        };
        if let Some(name) = &name {
            let name = ServerName::try_from(name.clone()).map_err(|e| {
                InvalidDeployment::new("tls_server_name: expected a host name").with_source(e)
            })?;
            let verifier = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider);
            let verifier = verifier.build();
            let verifier = verifier
                .map_err(|e| InvalidDeployment::new("TLS could not be set up").with_source(e))?;
            let named = Named { name, verifier };
            config.dangerous().set_certificate_verifier(Arc::new(named));
        }
        Ok(Self {
            config: Arc::new(config),
            server_name: name,
        })
    }
}

/// Verifies everything as ever, with one name for all servers.
#[derive(Debug)]
struct Named {
    name: ServerName<'static>,
    verifier: Arc<WebPkiServerVerifier>,
}

impl ServerCertVerifier for Named {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _address: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let (cert, more, name) = (end_entity, intermediates, &self.name);
        self.verifier
            .verify_server_cert(cert, more, name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls12_signature(message, cert, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.verifier
            .verify_tls13_signature(message, cert, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.verifier.supported_verify_schemes()
    }
}

/// What is shown to servers that ask for it.
fn own(
    chain: &str,
    key: &str,
) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>), InvalidDeployment> {
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| {
        InvalidDeployment::new(
            "client_certificate: expected at least one certificate in PEM; got none that can be \
             read",
        )
    })?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes());
    let key = key.map_err(|_| unusable_key("one in PEM, without a passphrase"))?;
    Ok((chain, key))
}

fn unusable_key(expected: &str) -> InvalidDeployment {
    InvalidDeployment::new(format!(
        "client_certificate: expected a private key, {expected}; got another one, or none"
    ))
}

fn roots(
    pem: Option<&str>,
    system: Vec<CertificateDer<'static>>,
) -> Result<RootCertStore, InvalidDeployment> {
    let mut roots = RootCertStore::empty();
    if let Some(pem) = pem {
        for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
            let added = certificate
                .map_err(|e| InvalidDeployment::new("expected certificates in PEM").with_source(e))
                .map(|certificate| roots.add(certificate))?;
            added.map_err(|e| {
                InvalidDeployment::new("a root certificate is not valid").with_source(e)
            })?;
        }
        if roots.is_empty() {
            return Err(InvalidDeployment::new(
                "root_certificates: expected at least one certificate in PEM; got none",
            ));
        }
    }
    // Systems hold a few that aren't valid; what is left of them is enough, or it is empty.
    roots.add_parsable_certificates(system);
    if roots.is_empty() {
        return Err(InvalidDeployment::new(
            "expected at least one root certificate to trust; the system has none, and none were \
             given as `root_certificates`",
        ));
    }
    Ok(roots)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate(name: &str) -> rcgen::Certificate {
        let own = rcgen::generate_simple_self_signed(vec![name.to_owned()]);
        own.unwrap().cert
    }

    #[test]
    fn those_that_are_given_are_trusted_as_well_as_the_systems() {
        let (given, system) = (certificate("given"), certificate("system"));
        let pem = given.pem();
        let both = roots(Some(&pem), vec![system.der().clone()]).unwrap();
        assert_eq!(both.len(), 2);
        assert_eq!(roots(None, vec![system.der().clone()]).unwrap().len(), 1);
        assert_eq!(roots(Some(&pem), Vec::new()).unwrap().len(), 1);
    }

    #[test]
    fn a_certificate_of_ones_own_is_read_with_its_key_or_refused() {
        let made = rcgen::generate_simple_self_signed(vec!["own".to_owned()]).unwrap();
        let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        let stranger = rcgen::KeyPair::generate().unwrap().serialize_pem();
        let build =
            |chain: &str, key: &str| Tls::new(Some(&made.cert.pem()), None, Some((chain, key)));
        build(&chain, &key).unwrap();
        for (chain, key) in [("", &*key), (&*chain, "s3cret"), (&*chain, &*stranger)] {
            let error = build(chain, key).unwrap_err();
            assert!(error.to_string().contains("client_certificate"), "{error}");
            assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
        }
    }

    #[test]
    fn none_at_all_is_refused_and_so_is_a_pem_without_one() {
        assert!(roots(None, Vec::new()).is_err());
        let system = vec![certificate("system").der().clone()];
        assert!(roots(Some("no certificate"), system).is_err());
    }
}
