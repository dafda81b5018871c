//! The command line.

use std::path::PathBuf;

/// What the program was started with.
pub(crate) struct Arguments {
    pub(crate) listen: String,
    pub(crate) read_limit: usize,
    /// Whether messages are compressed for those who ask for it.
    pub(crate) deflate: bool,
    pub(crate) tls: Option<Tls>,
}

/// A certificate chain and its key, in PEM.
pub(crate) struct Tls {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
}

impl Arguments {
    pub(crate) fn parse(mut words: impl Iterator<Item = String>) -> Result<Self, String> {
        let mut arguments = Self {
            listen: "127.0.0.1:8080".to_owned(),
            read_limit: 1 << 20,
            deflate: false,
            tls: None,
        };
        let (mut cert, mut key) = (None, None);
        while let Some(word) = words.next() {
            if word == "--deflate" {
                arguments.deflate = true;
                continue;
            }
            let value = words
                .next()
                .ok_or_else(|| format!("expected a value after {word}"))?;
            match word.as_str() {
                "--listen" => arguments.listen = value,
                "--read-limit" => {
                    arguments.read_limit = value
                        .parse()
                        .map_err(|_| format!("expected a number of bytes; got {value}"))?;
                }
                "--tls-cert" => cert = Some(value.into()),
                "--tls-key" => key = Some(value.into()),
                other => return Err(format!("unknown option {other}")),
            }
        }
        arguments.tls = match (cert, key) {
            (Some(cert), Some(key)) => Some(Tls { cert, key }),
            (None, None) => None,
            _ => return Err("expected both --tls-cert and --tls-key, or neither".to_owned()),
        };
        Ok(arguments)
    }
}
