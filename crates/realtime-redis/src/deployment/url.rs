//! What a URL says of where Redis is.

use realtime_core::ServerUrl;

use super::{Address, InvalidDeployment, Servers};

const PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Whether TLS is spoken, and with whom.
pub(super) fn servers_of(url: &mut ServerUrl) -> Result<(bool, Servers), InvalidDeployment> {
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

pub(super) fn database(url: &ServerUrl) -> Result<Option<u8>, InvalidDeployment> {
    let Some(written) = url.path().filter(|path| !path.is_empty()) else {
        return Ok(None);
    };
    let digits = written.bytes().all(|byte| byte.is_ascii_digit());
    let number = written.parse().ok().filter(|_| digits);
    let expected = "expected a database of 0 to 255 as the URL's path; got something else";
    let wrong = || InvalidDeployment::new(expected);
    number.map(Some).ok_or_else(wrong)
}
