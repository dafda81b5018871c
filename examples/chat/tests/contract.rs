//! What the page relies on is what the server does: the files that were made of the contract are
//! those of the routes in Rust, and the page's own code holds to them.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

use std::{
    path::{Path, PathBuf},
    process::Command,
};

const NODE_IS_MISSING: &str = "node is missing: run `just setup`, or install Node.js 20 or later";

fn chat() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A tool of one of the workspace's packages.
fn tool(folder: &str, name: &str) -> PathBuf {
    let folder = chat().join("../../crates").join(folder);
    let modules = folder.join("node_modules");
    assert!(
        modules.exists(),
        "{} is missing: run `just setup`",
        modules.display()
    );
    folder.join(name)
}

/// What a program prints.
fn run(command: &mut Command) -> String {
    let output = command.output().expect(NODE_IS_MISSING);
    let text = |bytes| String::from_utf8_lossy(bytes).into_owned();
    let (said, wrong) = (text(&output.stdout), text(&output.stderr));
    assert!(output.status.success(), "{command:?}:\n{said}{wrong}");
    said
}

fn checked_in(name: &str) -> String {
    std::fs::read_to_string(chat().join(name)).unwrap()
}

#[track_caller]
fn assert_fresh(name: &str, made: &str) {
    assert!(
        checked_in(name) == made,
        "examples/chat/{name} is not what the routes in Rust make of it: run `just contract`"
    );
}

#[test]
fn the_document_is_that_of_the_routes() {
    let document = run(Command::new(env!("CARGO_BIN_EXE_chat")).arg("--asyncapi"));
    assert_fresh("asyncapi.json", &document);
}

#[test]
fn the_official_parser_takes_the_document() {
    let parser = tool("realtime-contract/tests/asyncapi", "validate.mjs");
    let document = chat().join("asyncapi.json");
    run(Command::new("node").arg(parser).arg(document));
}

#[test]
fn the_types_of_the_page_are_those_of_the_document() {
    let generator = tool("realtime-client-js", "bin/contract.mjs");
    let document = chat().join("asyncapi.json");
    let types = run(Command::new("node").arg(generator).arg(document));
    assert_fresh("page/routes.d.ts", &types);
}

#[test]
fn the_page_holds_to_the_types() {
    let compiler = tool("realtime-client-js", "node_modules/typescript/bin/tsc");
    let config = chat().join("tests/types");
    run(Command::new("node").arg(compiler).arg("-p").arg(config));
}
