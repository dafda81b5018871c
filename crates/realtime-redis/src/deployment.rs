//! Where Redis is. A client's own reading of a URL ignores what it doesn't know.

use std::{borrow::Cow, fmt};

use realtime_core::{
    AnyCredentialProvider, BoxError, CredentialProvider, InvalidServerUrl, Namespace, ServerUrl,
};

#[cfg(feature = "rustls")]
use crate::Tls;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where Redis is, and how it is spoken to. `Debug` shows no password.
#[derive(Clone)]
#[non_exhaustive]
pub struct Deployment {
    /// The servers.
    pub servers: Servers,
    /// The user, where one is named.
    pub user: Option<String>,
    /// The password, where there is one.
    pub password: Option<String>,
    /// Who is asked for both whenever a connection is made, in place of the URL.
    pub credentials: Option<AnyCredentialProvider>,
    /// The number of the database, where one is named.
    pub database: Option<u8>,
    /// What everything of a cluster of gateways is named after.
    pub namespace: Namespace,
    /// How TLS is spoken, where it is.
    #[cfg(feature = "rustls")]
    #[cfg_attr(docsrs, doc(cfg(feature = "rustls")))]
    pub tls: Option<Tls>,
}

/// One server, or several that work together. `Debug` shows no password.
#[derive(Clone)]
pub enum Servers {
    /// The servers of a cluster that are asked for the others.
    Cluster(Vec<Address>),
    /// One server.
    One(Address),
    /// A master that sentinels know.
    Sentinel {
        /// The sentinels.
        sentinels: Vec<Address>,
        /// What they call the master.
        service: String,
        /// Their user, where one is named.
        user: Option<String>,
        /// Their password, where there is one.
        password: Option<String>,
    },
}

/// Where a server is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Address {
    /// A name or an address, without brackets.
    pub host: String,
    /// The port.
    pub port: u16,
}

impl Address {
    /// This host and port.
    #[must_use]
    pub fn new(host: impl Into<String>, port: u16) -> Self {
        let host = host.into();
        Self { host, port }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "[{}]:{}", self.host, self.port),
            false => write!(f, "{}:{}", self.host, self.port),
        }
    }
}

impl Servers {
    /// The servers that the URL names.
    #[must_use]
    pub fn named(&self) -> &[Address] {
        match self {
            Self::Cluster(servers) => servers,
            Self::One(server) => std::slice::from_ref(server),
            Self::Sentinel { sentinels, .. } => sentinels,
        }
    }
}

impl fmt::Debug for Servers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named = self.named().iter().map(ToString::to_string);
        f.debug_list().entries(named).finish()
    }
}

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

    /// Whether the servers form a cluster.
    #[must_use]
    pub fn is_cluster(&self) -> bool {
        matches!(self.servers, Servers::Cluster(_))
    }

    /// Whether TLS is spoken.
    #[must_use]
    pub fn uses_tls(&self) -> bool {
        #[cfg(feature = "rustls")]
        return self.tls.is_some();
        #[cfg(not(feature = "rustls"))]
        false
    }
}

impl fmt::Debug for Deployment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Deployment")
            .field("hosts", &self.servers)
            .field("clustered", &self.is_cluster())
            .field("tls", &self.uses_tls())
            .field("database", &self.database)
            .field("password", &self.password.as_ref().map(|_| "…"))
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

/// A URL or a setting that makes no sense. It shows nothing that may be secret.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
#[non_exhaustive]
pub struct InvalidDeployment {
    /// What was expected and what came, for people.
    pub what: Cow<'static, str>,
    /// What lies under it.
    pub source: Option<BoxError>,
}

impl InvalidDeployment {
    /// A complaint, which holds no value that might be secret.
    #[must_use]
    pub fn new(what: impl Into<Cow<'static, str>>) -> Self {
        Self {
            what: what.into(),
            source: None,
        }
    }

    #[must_use]
    pub(crate) fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }
}

impl From<InvalidServerUrl> for InvalidDeployment {
    fn from(error: InvalidServerUrl) -> Self {
        let expected = "expected a URL such as redis://user:password@host:6379/0";
        Self::new(format!("{expected}; {}", error.reason())).with_source(error)
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

impl InvalidDeployment {
    /// For a `rediss:` URL where the feature is off.
    #[must_use]
    pub fn needs_rustls() -> Self {
        Self::new("a rediss: URL needs the feature `rustls` of the backend's crate; switch it on")
    }
}

fn name_without_tls() -> InvalidDeployment {
    InvalidDeployment::new(
        "a TLS server name was given, but no rediss: URL; use rediss: to speak TLS",
    )
}

/// Whether TLS is spoken, and with whom.
fn servers_of(url: &mut ServerUrl) -> Result<(bool, Servers), InvalidDeployment> {
    let scheme = url.scheme().to_owned();
    let rest = scheme.strip_prefix("redis");
    let (tls, kind) = match rest.map(|rest| (rest, rest.strip_prefix('s'))) {
        Some((_, Some(kind))) => (true, kind),
        Some((kind, None)) => (false, kind),
        None => (false, "-unknown"),
    };
    let servers = match kind {
        "" => Servers::One(server(url, PORT)),
        "-cluster" => cluster(url)?,
        "-sentinel" => sentinel(url)?,
        _ => {
            return Err(InvalidDeployment::new(format!(
                "expected the scheme redis, rediss, or one of these with -cluster or -sentinel; \
                 got {scheme:?}"
            )));
        }
    };
    Ok((tls, servers))
}

fn server(url: &ServerUrl, default_port: u16) -> Address {
    Address::new(url.host(), url.port().unwrap_or(default_port))
}

/// This server, and those that the query names.
fn servers(url: &mut ServerUrl, default_port: u16) -> Result<Vec<Address>, InvalidDeployment> {
    let mut servers = vec![server(url, default_port)];
    for node in url.take_all("node") {
        let (host, port) = ServerUrl::host_and_port(&node)?;
        servers.push(Address::new(host, port));
    }
    Ok(servers)
}

fn cluster(url: &mut ServerUrl) -> Result<Servers, InvalidDeployment> {
    if url.path().is_some_and(|path| !path.is_empty()) {
        return Err(InvalidDeployment::new(
            "a cluster has no databases; leave the URL's path out",
        ));
    }
    Ok(Servers::Cluster(servers(url, PORT)?))
}

fn sentinel(url: &mut ServerUrl) -> Result<Servers, InvalidDeployment> {
    let mut take = |name| match url.take(name)? {
        // Most likely a variable that isn't set.
        Some(value) if value.is_empty() => {
            let expected = format!("{name}: expected a value, or that it is left out");
            Err(InvalidDeployment::new(format!(
                "{expected}; got an empty one"
            )))
        }
        value => Ok(value),
    };
    let service = take("sentinelServiceName")?;
    let user = take("sentinelUsername")?;
    let password = take("sentinelPassword")?;
    let expected = "expected sentinelServiceName, the name of the master; got none";
    let service = service.ok_or_else(|| InvalidDeployment::new(expected))?;
    if user.is_some() && password.is_none() {
        return Err(InvalidDeployment::new(
            "expected sentinelPassword beside sentinelUsername; got a user alone",
        ));
    }
    Ok(Servers::Sentinel {
        sentinels: servers(url, SENTINEL_PORT)?,
        service,
        user,
        password,
    })
}

fn database(url: &ServerUrl) -> Result<Option<u8>, InvalidDeployment> {
    let Some(written) = url.path().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    let number = written.parse().ok().filter(|_| digits);
    let expected = "expected a database of 0 to 255 as the URL's path; got something else";
    let wrong = || InvalidDeployment::new(expected);
    number.map(Some).ok_or_else(wrong)
}
