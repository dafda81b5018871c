//! A recipe, changed where a test needs it, and the proxy that runs it.

use std::{fs, io, net::SocketAddr, path::Path, process::Command};

use realtime_testkit::servers::{
    ReverseProxy,
    reverse_proxy::{installed, nginx},
};

use crate::tls::Certificate;

/// Where the recipes have the gateways.
const UPSTREAMS: [&str; 2] = ["127.0.0.1:8080", "127.0.0.1:8081"];
/// The longest that anything is idle in the recipes.
const IDLE: &str = "90s";
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Nginx,
    HaProxy,
    Caddy,
}

impl Kind {
    /// The recipe for one node, over plain HTTP.
    pub(crate) fn one(self, node: SocketAddr) -> Recipe {
        self.recipe("", &[node])
    }

    /// The recipe for two nodes, behind TLS and HTTP/2.
    pub(crate) fn two(self, nodes: [SocketAddr; 2]) -> Recipe {
        self.recipe("nodes", &nodes)
    }

    fn recipe(self, folder: &str, nodes: &[SocketAddr]) -> Recipe {
        let file = match self {
            Self::Nginx => "nginx.conf",
            Self::HaProxy => "haproxy.cfg",
            Self::Caddy => "Caddyfile",
        };
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("proxies")
            .join(folder);
        let recipe = Recipe {
            kind: self,
            text: fs::read_to_string(folder.join(file)).unwrap(),
        };
        let nodes = UPSTREAMS.iter().zip(nodes);
        nodes.fold(recipe, |recipe, (written, node)| {
            recipe.with(written, &node.to_string())
        })
    }

    /// The program and its Debian package, which have one name.
    fn program(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::HaProxy => "haproxy",
            Self::Caddy => "caddy",
        }
    }

    /// What makes it listen there, and where its certificate is.
    fn places(self, is_secure: bool, at: SocketAddr, folder: &Path) -> Vec<(&'static str, String)> {
        let [certificate, key] = Certificate::FILES.map(|file| folder.join(file));
        let [certificate, key] = [certificate.display(), key.display()];
        let (ip, port) = (at.ip(), at.port());
        match (self, is_secure) {
            (Self::Nginx, false) => vec![("listen 80;", format!("listen {at};"))],
            (Self::Nginx, true) => vec![
                ("listen 443 ", format!("listen {at} ")),
                ("/etc/ssl/example.com.pem", certificate.to_string()),
                ("/etc/ssl/example.com.key", key.to_string()),
            ],
            (Self::HaProxy, false) => vec![("bind :80\n", format!("bind {at}\n"))],
            (Self::HaProxy, true) => vec![
                ("bind :443 ", format!("bind {at} ")),
                ("/etc/ssl/example.com.pem", certificate.to_string()),
            ],
            (Self::Caddy, false) => {
                vec![("http://:80 {", format!("http://:{port} {{\n\tbind {ip}"))]
            }
            (Self::Caddy, true) => vec![(
                "https://app.example.com {",
                format!(
                    "https://app.example.com:{port} {{\n\tbind {ip}\n\ttls {certificate} {key}"
                ),
            )],
        }
    }

    /// The whole configuration in `folder`, and the command that runs it.
    fn command(self, folder: &Path, recipe: &str) -> io::Result<Command> {
        let path = folder.join("recipe");
        fs::write(&path, recipe)?;
        let mut command = Command::new(installed(self.program()));
        match self {
            Self::Nginx => return nginx(folder, recipe),
            Self::HaProxy => {
                command.args(["-db", "-f"]).arg(path);
            }
            Self::Caddy => {
                let main = folder.join("main");
                let options = "{\n\tadmin off\n\tauto_https off\n}\n";
                fs::write(&main, format!("{options}import {}\n", path.display()))?;
                command.args(["run", "--adapter", "caddyfile", "--config"]);
                command.arg(main);
                // It keeps things in both.
                command
                    .env("XDG_CONFIG_HOME", folder)
                    .env("XDG_DATA_HOME", folder);
            }
        }
        Ok(command)
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Recipe {
    kind: Kind,
    text: String,
}

impl Recipe {
    /// Has something else in place of what must be there.
    pub(crate) fn with(mut self, written: &str, instead: &str) -> Self {
        let (kind, text) = (self.kind, &self.text);
        assert!(
            text.contains(written),
            "{kind:?}: expected {written:?} in\n{text}"
        );
        self.text = text.replace(written, instead);
        self
    }

    /// Closes what is idle for so long. Caddy's recipe closes nothing.
    pub(crate) fn idle(self, seconds: u32) -> Self {
        match self.kind {
            Kind::Nginx | Kind::HaProxy => self.with(IDLE, &format!("{seconds}s")),
            Kind::Caddy => self,
        }
    }

    /// Asks no node by itself how it is. Only HAProxy's recipe does.
    pub(crate) fn without_checks(self) -> Self {
        match self.kind {
            Kind::HaProxy => self.with(" check\n", "\n"),
            Kind::Nginx | Kind::Caddy => self,
        }
    }

    /// Shows the gateway another `Host` than the browser sent, as many proxies do by default.
    pub(crate) fn rewriting_host(self) -> Self {
        match self.kind {
            Kind::Nginx => self.with("proxy_set_header Host $http_host;", ""),
            Kind::HaProxy => self.with(
                "option forwardfor",
                "option forwardfor\n    http-request set-header Host internal",
            ),
            Kind::Caddy => self.with(
                "\treverse_proxy",
                "\trequest_header Host internal\n\treverse_proxy",
            ),
        }
    }

    pub(crate) async fn start(self) -> ReverseProxy {
        self.run(None).await
    }

    pub(crate) async fn start_with(self, certificate: &Certificate) -> ReverseProxy {
        self.run(Some(certificate)).await
    }

    async fn run(self, certificate: Option<&Certificate>) -> ReverseProxy {
        let started = ReverseProxy::start(|addr, folder| {
            if let Some(certificate) = certificate {
                certificate.write(folder)?;
            }
            let places = self.kind.places(certificate.is_some(), addr, folder);
            let placed = places
                .iter()
                .fold(self.clone(), |recipe, (written, instead)| {
                    recipe.with(written, instead)
                });
            self.kind.command(folder, &placed.text)
        });
        let program = self.kind.program();
        started.await.unwrap_or_else(|error| match error.kind() {
            io::ErrorKind::NotFound => panic!(
                "expected {program} on this machine; got none: run `just setup`, or install the \
                 package `{program}`"
            ),
            _ => panic!("{program} doesn't start: {error}"),
        })
    }
}
