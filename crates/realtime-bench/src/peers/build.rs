//! From a peer's source to the command that starts it.

use std::{
    io,
    path::{Path, PathBuf},
    process::Command,
};

use super::{Peer, Source};

/// Where Debian's Go libraries are.
const GOPATH: &str = "/usr/share/gocode";

/// The command that starts a peer, or what is missing for it. What is built lies in `into`.
pub(crate) fn build(peer: &Peer, into: &Path) -> Result<Vec<String>, String> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let built = match peer.source {
        Source::Own(_) => own()?,
        Source::Rust if cfg!(feature = "peers") => own()?,
        Source::Rust => return Err("the feature `peers`".to_owned()),
        Source::Floor { .. } => {
            let program = into.join("floor");
            let mut gcc = Command::new("gcc");
            gcc.args(["-O2", "-o"])
                .args([&program, &sources.join("floor.c")]);
            run("gcc", &mut gcc)?;
            program
        }
        Source::Go { package } => {
            let library = Path::new(GOPATH).join("src").join(package);
            if !library.exists() {
                return Err(format!("{package} from Debian's packages"));
            }
            let program = into.join(peer.name);
            let source = sources.join("go").join(format!("{}.go", peer.name));
            let mut go = Command::new("go");
            go.env("GO111MODULE", "off")
                .env("GOPATH", GOPATH)
                .args(["build", "-o"])
                .args([&program, &source]);
            run("go", &mut go)?;
            program
        }
        Source::Node => {
            let folder = sources.join("node");
            run("node", Command::new("node").arg("--version"))?;
            if !folder.join("node_modules").join(peer.name).exists() {
                let mut npm = Command::new("npm");
                npm.args(["ci", "--no-audit", "--no-fund"])
                    .current_dir(&folder);
                run("npm", &mut npm)?;
            }
            folder.join(format!("{}.js", peer.name))
        }
    };
    Ok(peer.command(&built))
}

fn own() -> Result<PathBuf, String> {
    std::env::current_exe().map_err(|e| format!("the path of this program: {e}"))
}

fn run(name: &str, command: &mut Command) -> Result<(), String> {
    match command.output() {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let error = String::from_utf8_lossy(&output.stderr);
            Err(format!("a working {name}: {}", error.trim()))
        }
        Err(e) if e.kind() == io::ErrorKind::NotFound => Err(name.to_owned()),
        Err(e) => Err(format!("a working {name}: {e}")),
    }
}
