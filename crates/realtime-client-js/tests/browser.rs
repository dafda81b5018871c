//! The browser client against a real gateway, in Node.js, Deno and real browsers; and its package.
#![allow(
    clippy::expect_used,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Child, Command, Stdio},
};

const NODE_IS_MISSING: &str = "node is missing: run `just setup`, or install Node.js 20 or later";

/// The server on a port of its own, ended when the test ends, however it ends.
struct Server {
    process: Child,
    url: String,
    /// With TLS, over HTTP/2.
    secure: String,
}

impl Server {
    fn start() -> Self {
        let mut process = Command::new(env!("CARGO_BIN_EXE_client-js-server"))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let urls = line.trim().strip_prefix("listening on ").unwrap();
        let (url, secure) = urls.split_once(' ').unwrap();
        let (url, secure) = (url.to_owned(), secure.to_owned());
        Self {
            process,
            url,
            secure,
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _already_gone = self.process.kill();
        let _reaped = self.process.wait();
    }
}

/// Runs a program in the package's folder.
fn run(program: &str, arguments: &[&str], server: &str) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert!(
        folder.join("node_modules/deno").exists(),
        "the package's tools are missing: run `just setup`, or `npm ci --prefix {}`",
        folder.display()
    );
    let status = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .env("REALTIME_SERVER", server)
        .status()
        .expect(NODE_IS_MISSING);
    assert!(
        status.success(),
        "{program} {arguments:?} failed; see above"
    );
}

#[test]
fn scenarios_in_node() {
    let server = Server::start();
    let arguments = ["--test", "--test-reporter=spec", "tests/node.mjs"];
    run("node", &arguments, &server.url);
}

/// The npm package of Deno brings it; its first run puts it in its place.
#[test]
fn scenarios_in_deno() {
    let server = Server::start();
    let arguments = ["node_modules/deno/bin.cjs", "test", "-A", "tests/node.mjs"];
    run("node", &arguments, &server.url);
}

#[test]
fn scenarios_in_chromium() {
    let server = Server::start();
    run("node", &["tests/browsers.mjs", "chromium"], &server.url);
}

#[test]
fn sockets_of_chromium_over_http2() {
    let server = Server::start();
    run("node", &["tests/http2.mjs", "chromium"], &server.secure);
}

#[test]
fn sockets_of_firefox_over_http2() {
    let server = Server::start();
    run("node", &["tests/http2.mjs", "firefox"], &server.secure);
}

#[test]
fn scenarios_in_firefox() {
    let server = Server::start();
    run("node", &["tests/browsers.mjs", "firefox"], &server.url);
}

/// The types hold, the bundle that the examples serve is that of the sources and small enough, and
/// what would be published can be imported.
#[test]
fn the_package_is_whole() {
    let bundle = ["scripts/bundle.mjs", "--check"];
    run("node", &bundle, "");
    // Not by `prepack`, which would write the bundle, too.
    run("npx", &["--no-install", "tsc"], "");
    let pack = ["pack", "--dry-run", "--silent", "--ignore-scripts"];
    run("npm", &pack, "");
    run("npx", &["--no-install", "tsc", "-p", "tests/types"], "");
    run("node", &["tests/package.mjs"], "");
}
