//! A reverse proxy as a process, at an address of its own.

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use tempfile::TempDir;
use tokio::net::TcpStream;

use super::Process;
use crate::wait::DEADLINE;

/// How often a start is tried again, where somebody else took the port.
const ATTEMPTS: usize = 5;

/// A reverse proxy, such as nginx, in a folder of its own. It ends with this value; where that
/// happens in a panic, what it has said is printed.
#[derive(Debug)]
pub struct ReverseProxy {
    // Fields are dropped in this order: the proxy, then its folder.
    process: Process,
    _folder: TempDir,
    address: SocketAddr,
}

impl ReverseProxy {
    /// Starts a proxy and waits until it accepts connections.
    ///
    /// `command` is given the address at which the proxy is to listen, and the folder for its files.
    ///
    /// # Errors
    /// When `command` fails; with [`io::ErrorKind::NotFound`] when the program isn't installed; and
    /// when it doesn't start, which is tried five times. The error shows its log.
    pub async fn start(
        mut command: impl FnMut(SocketAddr, &Path) -> io::Result<Command>,
    ) -> io::Result<Self> {
        let mut failure = io::Error::other("no attempt was made");
        for _ in 0..ATTEMPTS {
            let folder = tempfile::Builder::new().prefix("proxy-").tempdir()?;
            let address = free_address();
            let mut command = command(address, folder.path())?;
            let mut process = Process::spawn(&mut command, folder.path().join("log"))?;
            let accepts = async |_: &Path| TcpStream::connect(address).await.is_ok();
            match process.ready(DEADLINE, accepts).await {
                Ok(()) => {
                    return Ok(Self {
                        process,
                        _folder: folder,
                        address,
                    });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for ReverseProxy {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let status = self.process.end();
            let log = fs::read_to_string(self.process.log());
            eprintln!("the proxy ended ({status:?}) and had said: {log:?}");
        }
    }
}

/// The command that runs nginx with `site`, which stands inside of its `http`. What nginx writes is
/// in `folder`.
///
/// # Errors
/// When the folder can't be written to.
pub fn nginx(folder: &Path, site: &str) -> io::Result<Command> {
    let at = folder.display();
    let temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
        .map(|name| format!("{name}_temp_path {at}/{name};"))
        .concat();
    let main = folder.join("nginx.conf");
    // One process, so that it has ended when it was killed.
    let text = format!(
        "daemon off; master_process off; pid {at}/pid;\nevents {{}}\n\
         http {{ access_log off; {temporary}\n{site}\n}}\n"
    );
    fs::write(&main, text)?;
    let mut command = Command::new(installed("nginx"));
    command.args(["-e", "stderr", "-c"]).arg(main);
    Ok(command)
}

/// A program that Debian has where only root looks for it; else whatever is on the path.
#[must_use]
pub fn installed(program: &str) -> PathBuf {
    let path = Path::new("/usr/sbin").join(program);
    if path.exists() { path } else { program.into() }
}

/// An address of the loopback, of which there are so many that no other test has the same: else its
/// proxy would seem to be ours until ours has found the port taken.
///
/// Nobody has looked whether somebody listens there, which would need a socket for a moment.
#[must_use]
pub fn free_address() -> SocketAddr {
    let [a, b, c] = [
        fastrand::u8(64..128),
        fastrand::u8(..),
        fastrand::u8(1..255),
    ];
    SocketAddr::from(([127, a, b, c], fastrand::u16(10_000..30_000)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_program_that_does_not_start_is_tried_at_another_address() {
        let mut tried = Vec::new();
        let started = ReverseProxy::start(|address, _| {
            tried.push(address);
            let mut command = Command::new("sh");
            command.args(["-c", "echo the address is taken; exit 1"]);
            Ok(command)
        });
        let error = started.await.unwrap_err();
        assert!(error.to_string().contains("address is taken"), "{error}");
        assert_eq!(tried.len(), ATTEMPTS);
        tried.dedup();
        assert_eq!(tried.len(), ATTEMPTS);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_named() {
        let missing = "a-program-that-nobody-has";
        let started = ReverseProxy::start(|_, _| Ok(Command::new(installed(missing)))).await;
        let error = started.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::NotFound);
        assert!(error.to_string().contains(missing), "{error}");
    }
}
