//! The types that the command of the npm package makes of a document.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test fails by a panic"
)]

mod forms;
#[allow(
    dead_code,
    reason = "what it declares, and not its server, is what is looked at"
)]
mod shop;

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use realtime::contract::Contract;
use serde_json::json;

/// The npm package.
fn package() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR")).join("../realtime-client-js");
    assert!(
        package
            .join("node_modules/json-schema-to-typescript")
            .exists(),
        "the package's tools are missing: run `just setup`, or `npm ci --prefix {}`",
        package.display()
    );
    package
}

fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn node(script: &str, arguments: &[&Path]) -> Output {
    let mut node = Command::new("node");
    let node = node.arg(package().join(script)).args(arguments);
    node.output()
        .expect("node is missing: run `just setup`, or install Node.js 20 or later")
}

fn said(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr].concat();
    String::from_utf8(both).unwrap()
}

#[test]
fn a_client_holds_to_the_types_of_the_contract() {
    holds("shop", &shop::contract());
}

#[test]
fn types_of_all_forms_are_what_they_are_in_rust() {
    holds("forms", &forms::contract());
}

/// A client in `tests/types` is what the compiler takes with the types of a contract.
fn holds(name: &str, contract: &Contract) {
    let folder = folder(name);
    let client = format!("{name}.ts");
    let document = folder.join("asyncapi.json");
    fs::write(&document, contract.asyncapi().unwrap().to_string()).unwrap();
    let made = node("bin/contract.mjs", &[&document]);
    assert!(made.status.success(), "{}", said(&made));
    fs::write(folder.join("routes.ts"), &made.stdout).unwrap();
    let types = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/types");
    fs::copy(types.join(&client), folder.join(&client)).unwrap();
    let config = json!({
        "compilerOptions": {
            "target": "ES2022",
            "lib": ["ES2022", "DOM", "DOM.Iterable"],
            "module": "ES2022",
            "moduleResolution": "bundler",
            "types": [],
            "noEmit": true,
            "strict": true,
            "paths": { "@forerunner/realtime-client": [package().join("src/index.ts")] },
        },
        "files": [client],
    });
    fs::write(folder.join("tsconfig.json"), config.to_string()).unwrap();
    let checked = node(
        "node_modules/typescript/bin/tsc",
        &[Path::new("-p"), &folder],
    );
    let routes = String::from_utf8(made.stdout).unwrap();
    assert!(checked.status.success(), "{}\n{routes}", said(&checked));
}

#[test]
fn what_is_no_document_is_said() {
    let folder = folder("no-document");
    let (old, text) = (folder.join("old.json"), folder.join("text.json"));
    fs::write(&old, r#"{"asyncapi": "2.6.0"}"#).unwrap();
    fs::write(&text, "asyncapi: 3.0.0").unwrap();
    for (arguments, expected) in [
        (vec![&*old], "expected a document of AsyncAPI 3"),
        (vec![&*text], "expected an AsyncAPI document in JSON"),
        (
            vec![],
            "usage: npx -p @forerunner/realtime-client realtime-contract",
        ),
        (
            vec![&*old, Path::new("--name"), Path::new("my routes")],
            "the name of a type",
        ),
    ] {
        let output = node("bin/contract.mjs", &arguments);
        let said = said(&output);
        assert!(
            !output.status.success() && said.contains(expected),
            "{said}"
        );
    }
}
