//! What pages show in JavaScript and TypeScript compiles against the browser client.

use std::{error::Error, fs, path::Path, process::Command};

use realtime_book::{Block, pages, root};
use serde_json::json;

type Failure = Box<dyn Error>;

const CLIENT: &str = "crates/realtime-client-js";

/// What blocks take from those before them, or from their reader's program: a name, and how it is
/// declared. Of two, the one that the other takes stands behind it.
const TAKEN: &[(&str, &str)] = &[
    (
        "connect",
        r#"import { connect } from "@forerunner/realtime-client";"#,
    ),
    (
        "Refusal",
        r#"import type { Refusal } from "@forerunner/realtime-client";"#,
    ),
    (
        "RequestError",
        r#"import { RequestError } from "@forerunner/realtime-client";"#,
    ),
    ("useState", r#"import { useState } from "react";"#),
    (
        "client",
        r#"declare const client: import("@forerunner/realtime-client").Client<Routes>;"#,
    ),
    ("Routes", r#"import type { Routes } from "./routes.js";"#),
    (
        "metadata",
        "declare const metadata: Record<string, string>;",
    ),
    ("show", "declare const show: (...parts: unknown[]) => void;"),
    ("signal", "declare const signal: AbortSignal;"),
    ("token", "declare const token: string;"),
    ("url", "declare const url: string;"),
];

/// The routes of a reader's program.
const ROUTES: &str = r#"export interface Routes {
    price: { request: { of: string }; reply: number; error: { code: "sold_out" } };
    say: {
        request: { room: string; text: string };
        error: { code: "empty" } | { code: "too_long"; data: { most: number } };
    };
    line: { event: { name: string; text: string } };
}"#;

#[test]
fn each_block_compiles_against_the_client() -> Result<(), Failure> {
    let folder = tempfile::tempdir()?;
    fs::write(folder.path().join("routes.ts"), ROUTES)?;
    let mut found = 0;
    for page in pages()? {
        for block in page.blocks() {
            // The configuration of a proxy is held by whoever runs that proxy.
            if is_script(&block) && !block.text.contains("defineConfig") {
                found += 1;
                let page = page.path().display().to_string().replace('/', "-");
                let end = if block.info == "jsx" { "tsx" } else { "ts" };
                let name = format!("{page}-{found}.{end}");
                fs::write(folder.path().join(name), module(&block))?;
            }
        }
    }
    assert!(found > 8, "expected more blocks than {found}");
    compile(folder.path())
}

fn is_script(block: &Block) -> bool {
    ["js", "jsx", "ts"].contains(&&*block.info)
}

/// A block as a module of its own, with what it takes from elsewhere.
fn module(block: &Block) -> String {
    // In JavaScript nothing says what a component is given.
    let given = r#"({ client }: { client: import("@forerunner/realtime-client").Client })"#;
    let text = block.text.replace("({ client })", given);
    let mut module = format!("export {{}};\n{text}");
    for (name, declared) in TAKEN {
        if mentions(&module, name) && !declares(&block.text, name) {
            // Who writes JavaScript declares no routes.
            let declared = match block.info == "ts" {
                true => (*declared).to_owned(),
                false => declared.replace("<Routes>", ""),
            };
            module = format!("{declared}\n{module}");
        }
    }
    module
}

fn mentions(text: &str, name: &str) -> bool {
    let mut words = text.split(|c: char| !c.is_alphanumeric());
    words.any(|word| word == name)
}

/// Whether it is declared there, imported, or what a function is given by name.
fn declares(text: &str, name: &str) -> bool {
    text.lines().any(|line| {
        let is_said = ["import ", "const ", "interface ", "function "]
            .iter()
            .any(|how| {
                line.split_once(how).is_some_and(|(_, rest)| {
                    let said = rest.split(['=', '>']).next().unwrap_or_default();
                    mentions(said, name)
                })
            });
        is_said && !line.trim_start().starts_with("//")
    })
}

fn compile(folder: &Path) -> Result<(), Failure> {
    let client = root().join(CLIENT);
    let modules = client.join("node_modules");
    let settings = json!({
        "compilerOptions": {
            "target": "ES2022",
            "lib": ["ES2022", "DOM", "DOM.Iterable"],
            "module": "NodeNext",
            "moduleResolution": "NodeNext",
            "moduleDetection": "force",
            "strict": false,
            "jsx": "react",
            "noEmit": true,
            "skipLibCheck": true,
            "types": [],
            "paths": {
                "@forerunner/realtime-client": [client.join("src/index.ts")],
                "@forerunner/realtime-client/react": [client.join("src/react.ts")],
                "react": [modules.join("@types/react/index.d.ts")],
            },
        },
        "include": ["*.ts", "*.tsx"],
    });
    // Top-level `await` is for modules.
    fs::write(folder.join("package.json"), r#"{"type": "module"}"#)?;
    fs::write(folder.join("tsconfig.json"), settings.to_string())?;
    let output = Command::new("node")
        .arg(modules.join("typescript/bin/tsc"))
        .arg("--project")
        .arg(folder)
        .output()
        .map_err(|error| format!("expected node: {error}"))?;
    assert!(
        output.status.success(),
        "what does not compile:\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}
