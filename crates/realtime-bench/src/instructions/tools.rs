//! What counts depend on beside the code: who has compiled it, what its memory is copied with, and who
//! has counted.

use std::{fmt, process::Command};

use serde::{Deserialize, Serialize};

/// Versions, as the programs say them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Tools {
    /// `rustc 1.95.0`.
    rustc: String,
    /// `glibc 2.36`: its `memcpy` is in many counts.
    libc: String,
    /// `valgrind-3.19.0`: what its processor can do decides which `memcpy` that is.
    valgrind: String,
}

impl Tools {
    /// Those of this machine. The compiler is that of the folder, with which a recipe has built this
    /// program a moment ago.
    pub(super) fn here() -> Result<Self, String> {
        // The commit and its date say nothing more.
        let rustc = said("rustc", "--version")?;
        let rustc: Vec<_> = rustc.split(' ').take(2).collect();
        Ok(Self {
            rustc: rustc.join(" "),
            libc: said("getconf", "GNU_LIBC_VERSION")?,
            valgrind: said("valgrind", "--version")?,
        })
    }

    #[cfg(test)]
    pub(super) fn rustc(&self) -> &str {
        &self.rustc
    }
}

impl fmt::Display for Tools {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {} and {}", self.rustc, self.libc, self.valgrind)
    }
}

fn said(program: &str, argument: &str) -> Result<String, String> {
    let output = Command::new(program)
        .arg(argument)
        .output()
        .map_err(|e| format!("expected {program}: {e}"))?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    match said.is_empty() {
        true => Err(format!(
            "expected {program} to say its version; it says nothing"
        )),
        false => Ok(said),
    }
}
