//! Who is measured: ourselves, the floors and the peers, and how each is built and started.

#[cfg(feature = "peers")]
mod axum;
mod build;
pub(crate) mod rust;
#[cfg(feature = "peers")]
mod socketioxide;

use std::{fmt, path::Path};

pub(crate) use build::build;

use crate::load::Dialect;

/// A server that can be measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Peer {
    /// Its name on the command line and in the report.
    pub(crate) name: &'static str,
    pub(crate) dialect: Dialect,
    source: Source,
    /// How many cores it may use.
    pub(crate) cores: usize,
    pub(crate) tls: bool,
}

/// What it is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Source {
    /// This program, `serve`.
    Own(Settings),
    /// `peers/floor.c`.
    Floor { batching: bool },
    /// This program, `peer`.
    Rust,
    /// A script of `peers/node`.
    Node,
    /// A file of `peers/go`, and where Debian puts its library.
    Go { package: &'static str },
}

/// How we are set up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Settings {
    Usual,
    /// With limits that nobody reaches.
    Limited,
    /// With traces, of which one in a hundred is sampled.
    #[cfg(feature = "traces")]
    Traced,
}

const fn peer(name: &'static str, dialect: Dialect, source: Source) -> Peer {
    Peer {
        name,
        dialect,
        source,
        cores: 1,
        tls: false,
    }
}

pub(crate) const OURS: Peer = peer("realtime", Dialect::Json, Source::Own(Settings::Usual));
pub(crate) const FLOOR: Peer = peer("floor", Dialect::Plain, Source::Floor { batching: false });
pub(crate) const BATCHING_FLOOR: Peer = peer(
    "batching-floor",
    Dialect::Plain,
    Source::Floor { batching: true },
);

/// All that are measured against a floor.
pub(crate) const ALL: &[Peer] = &[
    OURS,
    peer(
        "realtime-limited",
        Dialect::Json,
        Source::Own(Settings::Limited),
    ),
    #[cfg(feature = "traces")]
    peer(
        "realtime-traced",
        Dialect::Json,
        Source::Own(Settings::Traced),
    ),
    Peer {
        name: "realtime-two-workers",
        cores: 2,
        ..OURS
    },
    #[cfg(feature = "tls")]
    Peer {
        name: "realtime-tls",
        tls: true,
        ..OURS
    },
    peer("axum-broadcast", Dialect::Plain, Source::Rust),
    peer("axum-channel", Dialect::Plain, Source::Rust),
    peer("axum-channel-tuned", Dialect::Plain, Source::Rust),
    #[cfg(feature = "tls")]
    Peer {
        tls: true,
        ..peer("axum-tls", Dialect::Plain, Source::Rust)
    },
    peer("socketioxide", Dialect::SocketIo, Source::Rust),
    peer(
        "gorilla",
        Dialect::Plain,
        Source::Go {
            package: "github.com/gorilla/websocket",
        },
    ),
    peer(
        "nhooyr",
        Dialect::Plain,
        Source::Go {
            package: "nhooyr.io/websocket",
        },
    ),
    peer("ws", Dialect::Plain, Source::Node),
    peer("socket.io", Dialect::SocketIo, Source::Node),
];

impl Peer {
    /// The peer of this name.
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        ALL.iter()
            .find(|peer| peer.name == name)
            .copied()
            .ok_or_else(|| {
                let names: Vec<_> = ALL.iter().map(|peer| peer.name).collect();
                format!("expected one of {}; got {name:?}", names.join(", "))
            })
    }

    /// Whether it is one of ours.
    pub(crate) fn is_ours(&self) -> bool {
        matches!(self.source, Source::Own(_))
    }

    /// What it is set against beside the floor: the same without what it has more.
    pub(crate) fn plain(&self) -> Option<Self> {
        let has_more = self.is_ours() && (self.source != OURS.source || self.tls);
        has_more.then_some(OURS)
    }

    /// The program and its arguments, once it is built.
    fn command(&self, built: &Path) -> Vec<String> {
        let program = built.display().to_string();
        let words: &[&str] = match self.source {
            Source::Own(_) => &[
                "serve",
                "--listen",
                "127.0.0.1:0",
                "--max-connections",
                "off",
            ],
            Source::Floor { batching: true } => &["--batch", "--listen", "0"],
            Source::Floor { batching: false } => &["--listen", "0"],
            Source::Rust => &["peer", self.name],
            Source::Go { .. } => &[],
            Source::Node => return vec!["node".to_owned(), program],
        };
        let words = words.iter().map(|word| (*word).to_owned());
        let mut command: Vec<_> = [program].into_iter().chain(words).collect();
        if let Source::Own(settings) = self.source {
            let more: &[&str] = match settings {
                Settings::Usual => &[],
                Settings::Limited => &["--limited"],
                #[cfg(feature = "traces")]
                Settings::Traced => &["--traces", "0.01"],
            };
            command.extend(more.iter().map(|word| (*word).to_owned()));
            if self.tls {
                command.push("--tls".to_owned());
            }
            command.extend(["--workers".to_owned(), self.cores.to_string()]);
        }
        command
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}
