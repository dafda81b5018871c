//! From a URL to the address of Redis. The client's own reading ignores what it doesn't know.

use fred::types::config::{ClusterDiscoveryPolicy, Config, Server, ServerConfig};
use realtime_core::{InvalidServerUrl, Namespace, ServerUrl, presence::PresenceError};

use crate::error::invalid;

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// What a URL says.
pub(crate) struct Address {
    pub(crate) redis: Config,
    pub(crate) tls: bool,
    pub(crate) namespace: Option<Namespace>,
    pub(crate) tls_server_name: Option<String>,
}

pub(crate) fn read(url: &str) -> Result<Address, PresenceError> {
    let mut url: ServerUrl = url.parse().map_err(not_a_url)?;
    let namespace = url.take_namespace().map_err(not_a_url)?;
    let tls_server_name = url.take("tlsServerName").map_err(not_a_url)?;
    let scheme = url.scheme().to_owned();
    let (tls, kind) = match scheme
        .strip_prefix("redis")
        .map(|rest| (rest, rest.strip_prefix('s')))
    {
        Some((_, Some(kind))) => (true, kind),
        Some((kind, None)) => (false, kind),
        None => (false, "-unknown"),
    };
    let server = match kind {
        "" => ServerConfig::Centralized {
            server: server(&url, PORT),
        },
        "-cluster" => cluster(&mut url)?,
        "-sentinel" => sentinel(&mut url)?,
        _ => {
            return Err(invalid(format!(
                "expected the scheme redis, rediss, or one of these with -cluster or -sentinel; \
                 got {scheme:?}"
            )));
        }
    };
    if url.user().is_some() && url.password().is_none() {
        return Err(invalid(
            "expected a URL with a password where it has a user; got a user alone; a password \
             alone is written :password@",
        ));
    }
    let redis = Config {
        server,
        username: url.user().map(str::to_owned),
        password: url.password().map(str::to_owned),
        database: database(&url)?,
        ..Config::default()
    };
    url.finish().map_err(not_a_url)?;
    Ok(Address {
        redis,
        tls,
        namespace,
        tls_server_name,
    })
}

fn server(url: &ServerUrl, default_port: u16) -> Server {
    Server::new(url.host(), url.port().unwrap_or(default_port))
}

/// This server, and those that the query names.
fn servers(url: &mut ServerUrl, default_port: u16) -> Result<Vec<Server>, PresenceError> {
    let mut servers = vec![server(url, default_port)];
    for node in url.take_all("node") {
        let (host, port) = ServerUrl::host_and_port(&node).map_err(not_a_url)?;
        servers.push(Server::new(host, port));
    }
    Ok(servers)
}

fn cluster(url: &mut ServerUrl) -> Result<ServerConfig, PresenceError> {
    if url.path().is_some_and(|path| !path.is_empty()) {
        return Err(invalid(
            "a cluster has no databases; leave the URL's path out",
        ));
    }
    Ok(ServerConfig::Clustered {
        hosts: servers(url, PORT)?,
        policy: ClusterDiscoveryPolicy::default(),
    })
}

fn sentinel(url: &mut ServerUrl) -> Result<ServerConfig, PresenceError> {
    let mut take = |name| match url.take(name).map_err(not_a_url)? {
        // Most likely a variable that isn't set.
        Some(value) if value.is_empty() => {
            let expected = format!("{name}: expected a value, or that it is left out");
            Err(invalid(format!("{expected}; got an empty one")))
        }
        value => Ok(value),
    };
    let service = take("sentinelServiceName")?;
    let username = take("sentinelUsername")?;
    let password = take("sentinelPassword")?;
    let expected = "expected sentinelServiceName, the name of the master; got none";
    let service_name = service.ok_or_else(|| invalid(expected))?;
    if username.is_some() && password.is_none() {
        return Err(invalid(
            "expected sentinelPassword beside sentinelUsername; got a user alone",
        ));
    }
    Ok(ServerConfig::Sentinel {
        hosts: servers(url, SENTINEL_PORT)?,
        service_name,
        username,
        password,
    })
}

/// Which name is expected of servers that are known by addresses.
#[cfg(feature = "rustls")]
pub(crate) fn set_server_name(server: &mut ServerConfig, name: &str) {
    let named = |server: &mut Server| server.tls_server_name = Some(name.into());
    match server {
        ServerConfig::Centralized { server } => named(server),
        ServerConfig::Clustered { hosts, .. } | ServerConfig::Sentinel { hosts, .. } => {
            hosts.iter_mut().for_each(named);
        }
    }
}

fn database(url: &ServerUrl) -> Result<Option<u8>, PresenceError> {
    let Some(written) = url.path().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    let number = written.parse().ok().filter(|_| digits);
    let wrong = || invalid("expected a database of 0 to 255 as the URL's path; got something else");
    number.map(Some).ok_or_else(wrong)
}

fn not_a_url(error: InvalidServerUrl) -> PresenceError {
    invalid("expected a URL such as redis://user:password@host:6379/0").with_source(error)
}
