//! What the client library is told of where Redis is.

use fred::types::{
    Value,
    config::{ClusterDiscoveryPolicy, Config, Server, ServerConfig},
};

use crate::{Address, Deployment, Servers, reply::Reply};

/// Without TLS, which is set where it is on.
pub(crate) fn config(deployment: &Deployment) -> Config {
    let named = deployment.servers.named();
    let hosts = || named.iter().map(server_at).collect();
    let server = match &deployment.servers {
        Servers::Cluster(_) => ServerConfig::Clustered {
            hosts: hosts(),
            policy: ClusterDiscoveryPolicy::default(),
        },
        Servers::Sentinel {
            service,
            user,
            password,
            ..
        } => ServerConfig::Sentinel {
            hosts: hosts(),
            service_name: service.clone(),
            username: user.clone(),
            password: password.clone(),
        },
        Servers::One(server) => ServerConfig::Centralized {
            server: server_at(server),
        },
    };
    Config {
        server,
        username: deployment.user.clone(),
        password: deployment.password.clone(),
        database: deployment.database,
        ..Config::default()
    }
}

pub(crate) fn server_at(address: &Address) -> Server {
    Server::new(address.host.as_str(), address.port)
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

/// What a server answered.
pub(crate) fn reply(value: Value) -> Reply {
    match value {
        Value::Integer(number) => Reply::Number(number),
        Value::Array(items) => Reply::Array(items.into_iter().map(reply).collect()),
        Value::String(_) | Value::Bytes(_) => value.into_string().map_or(Reply::Null, Reply::Text),
        _ => Reply::Null,
    }
}
