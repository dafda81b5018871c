//! Each command that a page tells its reader to type is run by something, or the book says that
//! nobody does.

use std::{error::Error, fs};

use realtime_book::{commands, pages, root};

/// Who runs a command.
enum By {
    /// What this file does, where it has these words.
    File(&'static str, &'static str),
    /// `just quickstart`, which types all of docs/quickstart.md.
    Quickstart,
    /// Nobody, as docs/README.md says of these words.
    Nobody(&'static str),
}

use By::{File, Nobody, Quickstart};

const CHAT: By = File("examples/chat/tests/nodes/chat.rs", "CARGO_BIN_EXE_chat");
const CLI: By = File(
    "crates/realtime-client/tests/cli/main.rs",
    "CARGO_BIN_EXE_realtime",
);
const BENCH: By = File(
    "crates/realtime-bench/tests/smoke.rs",
    "CARGO_BIN_EXE_realtime-bench",
);
const COMPOSE: By = Nobody("docker");

/// By how a command begins; the longest that fits counts. `just …` isn't here: that is a recipe, or
/// the test fails.
const COMMANDS: &[(&str, By)] = &[
    (
        ".ci/release/rename",
        File(".ci/release/dry-run", ".ci/release/rename"),
    ),
    ("[ -e .env ]", COMPOSE),
    (
        "BROKER_URL=amqp",
        File("examples/chat/tests/nodes/chat.rs", "BROKER_URL"),
    ),
    (
        "BROKER_URL=redis",
        File("examples/chat/tests/nodes/chat.rs", "BROKER_URL"),
    ),
    (
        "apt-get install $(cat crates/interop/packages.txt)",
        File("justfile", "crates/interop/runner"),
    ),
    (
        "cargo add",
        File(".ci/quickstart", "^cargo add (?!--dev).*"),
    ),
    (
        "cargo add --dev",
        File(".ci/quickstart", "^cargo add --dev .*"),
    ),
    (
        "cargo generate",
        File(".ci/quickstart", "^cargo generate .*"),
    ),
    (
        "cargo install --path",
        File(".ci/quickstart", "^cargo install --path .*"),
    ),
    (
        "cargo install just",
        File(".ci/run", "cargo install just --locked"),
    ),
    ("cargo new", Quickstart),
    ("cargo run", Quickstart),
    ("cargo run --release -p realtime-bench", BENCH),
    (
        "cargo run -p auth-jwt",
        File(
            "examples/auth-jwt/tests/support/mod.rs",
            "CARGO_BIN_EXE_auth-jwt",
        ),
    ),
    (
        "cargo run -p axum-existing-app",
        File(
            "examples/axum-existing-app/tests/support/mod.rs",
            "CARGO_BIN_EXE_axum-existing-app",
        ),
    ),
    ("cargo run -p chat", CHAT),
    (
        "cargo run -p cluster",
        File(
            "examples/cluster/tests/support/mod.rs",
            "CARGO_BIN_EXE_cluster",
        ),
    ),
    (
        "cargo run -p custom-broker --example nodes",
        Nobody("cargo run -p custom-broker --example nodes"),
    ),
    (
        "cargo run -p dashboard",
        File(
            "examples/dashboard/tests/browser.rs",
            "CARGO_BIN_EXE_dashboard",
        ),
    ),
    (
        "cargo run -p metrics-example",
        File(
            "examples/metrics/tests/prometheus.rs",
            "CARGO_BIN_EXE_metrics-example",
        ),
    ),
    (
        "cargo test -p custom-broker",
        File("justfile", "cargo nextest run --workspace"),
    ),
    (
        "cargo run -p minimal",
        File("examples/minimal/tests/signals.rs", "CARGO_BIN_EXE_minimal"),
    ),
    (
        "cargo run -p presence-board",
        File(
            "examples/presence-board/tests/board.rs",
            "CARGO_BIN_EXE_presence-board",
        ),
    ),
    (
        "cargo run -p quickstart",
        File(
            "examples/quickstart/tests/browser.rs",
            "CARGO_BIN_EXE_quickstart",
        ),
    ),
    ("cd examples/chat/deploy", COMPOSE),
    ("cd tea", Quickstart),
    ("cp ../realtime-rs/", Quickstart),
    (
        "curl http://127.0.0.1:9100/metrics",
        File("examples/metrics/tests/prometheus.rs", "/metrics"),
    ),
    ("docker compose", COMPOSE),
    ("echo '{\"id\": 1", CLI),
    (
        "export CHAT_MODERATOR",
        File("examples/chat/tests/browser.rs", "CHAT_MODERATOR"),
    ),
    ("git clone", Quickstart),
    ("grep CHAT_MODERATOR .env", COMPOSE),
    ("kubectl", Nobody("kubectl")),
    ("mkdir page", Quickstart),
    ("moderator=$(openssl", Nobody("kubectl")),
    (
        "npm ci --prefix ../realtime-rs/crates/realtime-client-js",
        File("justfile", "npm ci --prefix {{client}}"),
    ),
    (
        "npm install --save-dev json-schema-to-typescript",
        File(
            "crates/realtime-client-js/package.json",
            "json-schema-to-typescript",
        ),
    ),
    (
        "npm install ../realtime-rs/crates/realtime-client-js",
        Nobody("npm install ../realtime-rs/crates/realtime-client-js"),
    ),
    (
        "npm run build --prefix ../realtime-rs/crates/realtime-client-js",
        File("justfile", "npm run build --prefix {{client}}"),
    ),
    (
        "npx -p @forerunner/realtime-client realtime-contract",
        File(
            "crates/realtime-contract/tests/typescript.rs",
            "contract.mjs",
        ),
    ),
    ("podman", Nobody("podman")),
    (
        "prometheus --config.file=prometheus.yml",
        File("examples/metrics/tests/prometheus.rs", "prometheus.yml"),
    ),
    ("realtime bench", CLI),
    ("realtime connect", CLI),
    ("realtime listen", CLI),
    ("realtime request", CLI),
    ("realtime-bench", BENCH),
    (
        "TOKEN=token-of-ann realtime connect",
        File("crates/realtime-client/tests/cli/main.rs", "--token-env"),
    ),
];

#[test]
fn each_command_is_run_by_something() -> Result<(), Box<dyn Error>> {
    let read = |path: &str| fs::read_to_string(root().join(path));
    let (book, recipes) = (read("docs/README.md")?, read("justfile")?);
    let quickstart = read("docs/quickstart.md")?;
    let mut unknown = Vec::new();
    for page in pages()? {
        let blocks = page.blocks();
        let shell = blocks.iter().filter(|block| block.info == "sh");
        for command in shell.flat_map(|block| commands(&block.text)) {
            let held = match known(&command) {
                Some(File(path, words)) => read(path)?.contains(words),
                Some(Nobody(words)) => book.contains(&format!("`{words}")),
                Some(Quickstart) => quickstart.contains(&command),
                None => recipes_of(&command).all(|name| is_recipe(&recipes, name)),
            };
            if !held {
                unknown.push(format!("{}: {command}", page.path().display()));
            }
        }
    }
    assert!(
        unknown.is_empty(),
        "expected something to run these: have a test or a recipe do it, and name it in COMMANDS; \
         got nothing for\n{}",
        unknown.join("\n")
    );
    Ok(())
}

fn known(command: &str) -> Option<&'static By> {
    let fitting = COMMANDS
        .iter()
        .filter(|(beginning, _)| command.starts_with(beginning));
    Some(&fitting.max_by_key(|(beginning, _)| beginning.len())?.1)
}

/// What a command that is nothing but recipes runs; for any other, something that is no recipe.
fn recipes_of(command: &str) -> impl Iterator<Item = &str> {
    let parts = command.split(" && ");
    parts.map(|part| match part.strip_prefix("just ") {
        Some(rest) => rest.split(' ').next().unwrap_or_default(),
        None => part,
    })
}

fn is_recipe(recipes: &str, name: &str) -> bool {
    let mut heads = recipes.lines().filter(|line| !line.starts_with([' ', '#']));
    heads.any(|head| {
        let rest = head.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with([' ', ':']) && rest.contains(':'))
    })
}

#[test]
fn recipes_and_programs_that_sentences_name_are_there() -> Result<(), Box<dyn Error>> {
    let recipes = fs::read_to_string(root().join("justfile"))?;
    let mut packages = String::new();
    for folder in ["crates", "examples"] {
        for entry in fs::read_dir(root().join(folder))? {
            let manifest = entry?.path().join("Cargo.toml");
            if manifest.is_file() {
                packages += &fs::read_to_string(manifest)?;
            }
        }
    }
    let mut missing = Vec::new();
    for page in pages()? {
        for code in page.words_of_code() {
            let mut words = code.split(' ');
            let is_there = match (words.next(), words.next(), words.next(), words.next()) {
                (Some("just"), Some(name), ..) => is_recipe(&recipes, name),
                (Some("cargo"), Some("run"), Some("-p"), Some(name)) => {
                    packages.contains(&format!("name = \"{name}\"\n"))
                }
                _ => true,
            };
            if !is_there {
                missing.push(format!("{}: {code}", page.path().display()));
            }
        }
    }
    assert!(
        missing.is_empty(),
        "what isn't there:\n{}",
        missing.join("\n")
    );
    Ok(())
}
