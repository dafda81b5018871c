//! Where Redis is. A client's own reading of a URL ignores what it doesn't know.

mod builder;
mod url;

use std::{borrow::Cow, fmt};

use realtime_core::{AnyCredentialProvider, BoxError, InvalidServerUrl, Namespace};

#[cfg(feature = "rustls")]
use crate::Tls;

pub use builder::DeploymentBuilder;

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

    /// For a `rediss:` URL where the feature is off.
    #[must_use]
    pub fn needs_rustls() -> Self {
        Self::new("a rediss: URL needs the feature `rustls` of the backend's crate; switch it on")
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
