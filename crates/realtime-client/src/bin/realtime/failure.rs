//! Why a command ends with another code than 0.

use std::{fmt, io};

use realtime_client::{BuildError, End, RequestError};

pub(crate) enum Failure {
    Io(io::Error),
    Text(String),
}

impl Failure {
    pub(crate) fn is_closed_pipe(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => fmt::Display::fmt(error, f),
            Self::Text(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

impl From<BuildError> for Failure {
    fn from(error: BuildError) -> Self {
        Self::Text(error.to_string())
    }
}

impl From<End> for Failure {
    fn from(end: End) -> Self {
        Self::Text(format!("closed: {end}"))
    }
}

impl From<RequestError> for Failure {
    fn from(error: RequestError) -> Self {
        Self::Text(match &error {
            RequestError::Refused(refusal) => {
                let data = refusal
                    .data()
                    .map(|data| String::from_utf8_lossy(data.as_bytes()));
                let data = data.map_or_else(String::new, |data| format!("\n{data}"));
                format!("{}: {}{data}", refusal.code(), refusal.message())
            }
            RequestError::Encode(source) => format!("{error}: {source}"),
            _ => error.to_string(),
        })
    }
}
