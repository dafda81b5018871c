//! A `redis-server` for this cluster alone: on a port of the loopback, behind a password that nobody
//! knows, in a folder of its own, and with nothing that outlives it.

use std::{
    error::Error,
    fs::{self, File},
    io::{self, ErrorKind},
    net::TcpListener,
    path::Path,
    process::Stdio,
    time::Duration,
};

use tempfile::TempDir;
use tokio::{
    process::{Child, Command},
    time::{Instant, sleep},
};
use uuid::Uuid;

use crate::child::parent_gone;

/// How long it may take until it is ready.
const START: Duration = Duration::from_secs(10);
/// How often a port is chosen: somebody else may take it before Redis does.
const PORTS: u32 = 3;
const MISSING: &str = "expected `redis-server` on the PATH; there is none. Install it: `apt-get \
                       install redis-server`, `brew install redis` or `dnf install redis`";

/// Says its URL, and runs until the program that has started this one wants it to end.
pub(crate) async fn run() -> Result<(), Box<dyn Error>> {
    let folder = TempDir::with_prefix("cluster-redis-")?;
    let mut server = start(folder.path()).await?;
    let ended = tokio::select! {
        () = parent_gone() => None,
        status = server.wait() => Some(status?),
    };
    if let Some(status) = ended {
        return Err(format!("redis-server has ended: {status}\n{}", log(folder.path())).into());
    }
    server.kill().await?;
    Ok(())
}

/// Starts one, and says its URL when it is ready.
async fn start(folder: &Path) -> Result<Child, Box<dyn Error>> {
    let password = Uuid::new_v4().simple();
    for _ in 0..PORTS {
        let port = TcpListener::bind("127.0.0.1:0")?.local_addr()?.port();
        let settings = format!(
            "bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave \"\"\nappendonly no\n"
        );
        // Only this user may read it: so it is with the whole folder.
        fs::write(folder.join("redis.conf"), settings)?;
        let mut server = spawn(folder)?;
        if is_ready(&mut server, folder).await? {
            println!("redis://default:{password}@127.0.0.1:{port}");
            return Ok(server);
        }
    }
    Err(format!(
        "redis-server didn't start; its log ends with\n{}",
        log(folder)
    )
    .into())
}

fn spawn(folder: &Path) -> Result<Child, Box<dyn Error>> {
    let mut command = Command::new("redis-server");
    command
        .arg("redis.conf")
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(File::create(folder.join("redis.log"))?)
        .kill_on_drop(true);
    command.spawn().map_err(|error| match error.kind() {
        ErrorKind::NotFound => MISSING.into(),
        _ => error.into(),
    })
}

/// Its own log is looked at: somebody else may answer on a port that it didn't get. False where it
/// has ended.
async fn is_ready(server: &mut Child, folder: &Path) -> io::Result<bool> {
    let end = Instant::now() + START;
    while Instant::now() < end {
        if log(folder).contains("Ready to accept connections") {
            return Ok(true);
        }
        if server.try_wait()?.is_some() {
            return Ok(false);
        }
        sleep(Duration::from_millis(20)).await;
    }
    Err(io::Error::new(
        ErrorKind::TimedOut,
        format!(
            "redis-server was not ready within {START:?}; its log:\n{}",
            log(folder)
        ),
    ))
}

/// What it has said, as far as it can be read.
fn log(folder: &Path) -> String {
    fs::read_to_string(folder.join("redis.log")).unwrap_or_default()
}
