//! How a [`Deployment`] is made: of a URL, and of what is set beside it.

use std::fmt;

use realtime_core::{AnyCredentialProvider, CredentialProvider, ServerUrl};

use super::{
    Deployment, InvalidDeployment,
    url::{database, servers_of},
};
#[cfg(feature = "rustls")]
use crate::Tls;

impl Deployment {
    /// Starts with a URL, as the configuration of a backend describes it.
    pub fn builder(url: impl Into<String>) -> DeploymentBuilder {
        DeploymentBuilder {
            url: url.into(),
            namespace: None,
            credentials: None,
            #[cfg(feature = "rustls")]
            root_certificates: None,
            #[cfg(feature = "rustls")]
            client_certificate: None,
            #[cfg(feature = "rustls")]
            tls_server_name: None,
        }
    }
}

/// Makes a [`Deployment`]. What is set wins over what the URL says. `Debug` shows no URL.
#[derive(Clone)]
#[must_use]
pub struct DeploymentBuilder {
    url: String,
    namespace: Option<String>,
    credentials: Option<AnyCredentialProvider>,
    #[cfg(feature = "rustls")]
    root_certificates: Option<String>,
    #[cfg(feature = "rustls")]
    client_certificate: Option<(String, String)>,
    #[cfg(feature = "rustls")]
    tls_server_name: Option<String>,
}

impl DeploymentBuilder {
    /// What everything of a cluster of gateways is named after.
    pub fn namespace(mut self, namespace: impl Into<String>) -> Self {
        self.namespace = Some(namespace.into());
        self
    }

    /// Who is asked for the user and the password whenever a connection to a server is made, in
    /// place of the URL. Sentinels are shown what the URL says.
    pub fn credentials(mut self, provider: impl CredentialProvider) -> Self {
        self.credentials = Some(AnyCredentialProvider::new(provider));
        self
    }

    /// Root certificates in PEM that are trusted as well as the system's.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn root_certificates(mut self, pem: impl Into<String>) -> Self {
        self.root_certificates = Some(pem.into());
        self
    }

    /// What is shown to servers that ask for a certificate: the chain in PEM, the own one first, and
    /// its private key in PEM.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn client_certificate(
        mut self,
        chain_pem: impl Into<String>,
        key_pem: impl Into<String>,
    ) -> Self {
        self.client_certificate = Some((chain_pem.into(), key_pem.into()));
        self
    }

    /// The name that is expected in the certificates of all servers.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls_server_name = Some(name.into());
        self
    }

    /// Reads the URL. `own` takes the parameters out of it that only this backend knows; what is
    /// left then is an error.
    ///
    /// # Errors
    /// When a part of the URL or a setting isn't understood, or has no effect.
    pub fn build<T>(
        &self,
        own: impl FnOnce(&mut ServerUrl) -> Result<T, InvalidDeployment>,
    ) -> Result<(Deployment, T), InvalidDeployment> {
        let mut url: ServerUrl = self.url.parse()?;
        let namespace = url.take_namespace()?;
        let tls_server_name = url.take("tlsServerName")?;
        let (tls, servers) = servers_of(&mut url)?;
        if url.user().is_some() && url.password().is_none() && self.credentials.is_none() {
            return Err(InvalidDeployment::new(
                "expected a URL with a password where it has a user; got a user alone; a password \
                 alone is written :password@",
            ));
        }
        let own = own(&mut url)?;
        let (user, password) = (url.user(), url.password());
        let (user, password) = (user.map(str::to_owned), password.map(str::to_owned));
        let database = database(&url)?;
        url.finish()?;
        let namespace = match &self.namespace {
            Some(named) => named.parse().map_err(|_| {
                // What it got may be a part of the URL that was meant as something else.
                InvalidDeployment::new(
                    "expected a namespace of 1 to 64 ASCII letters, digits, '-', '_' or '.'",
                )
            })?,
            None => namespace.unwrap_or_default(),
        };
        let deployment = Deployment {
            servers,
            user,
            password,
            credentials: self.credentials.clone(),
            database,
            namespace,
            #[cfg(feature = "rustls")]
            tls: self.tls(tls, tls_server_name)?,
        };
        #[cfg(not(feature = "rustls"))]
        refuse_tls(tls, tls_server_name.is_some())?;
        Ok((deployment, own))
    }

    #[cfg(feature = "rustls")]
    fn tls(&self, tls: bool, in_url: Option<String>) -> Result<Option<Tls>, InvalidDeployment> {
        let name = self.tls_server_name.clone().or(in_url);
        if tls {
            let client = self.client_certificate.as_ref();
            let client = client.map(|(chain, key)| (&**chain, &**key));
            return Tls::new(self.root_certificates.as_deref(), name, client).map(Some);
        }
        if self.client_certificate.is_some() {
            return Err(InvalidDeployment::new(
                "a client certificate was given, but no rediss: URL; use rediss: to speak TLS",
            ));
        }
        if self.root_certificates.is_some() {
            return Err(InvalidDeployment::new(
                "root certificates were given, but no rediss: URL; use rediss: to speak TLS",
            ));
        }
        match name {
            Some(_) => Err(name_without_tls()),
            None => Ok(None),
        }
    }
}

impl fmt::Debug for DeploymentBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DeploymentBuilder")
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

#[cfg(not(feature = "rustls"))]
fn refuse_tls(tls: bool, named: bool) -> Result<(), InvalidDeployment> {
    match (tls, named) {
        (true, _) => Err(InvalidDeployment::needs_rustls()),
        (false, true) => Err(name_without_tls()),
        (false, false) => Ok(()),
    }
}

fn name_without_tls() -> InvalidDeployment {
    InvalidDeployment::new(
        "a TLS server name was given, but no rediss: URL; use rediss: to speak TLS",
    )
}
