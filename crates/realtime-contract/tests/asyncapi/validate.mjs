// Whether a document is an AsyncAPI document, by the official parser: `node validate.mjs FILE`.
// Errors and warnings fail it; what is merely recommended doesn't.

import { readFile } from "node:fs/promises";
import { DiagnosticSeverity, Parser } from "@asyncapi/parser";

const [file] = process.argv.slice(2);
const { document, diagnostics } = await new Parser().parse(await readFile(file, "utf8"));
const wrong = diagnostics.filter(({ severity }) => severity <= DiagnosticSeverity.Warning);
for (const { path, message, code } of wrong) console.error(`${path.join("/")}: ${message} (${code})`);
if (wrong.length > 0 || !document) process.exit(1);
console.log(`${file}: ${document.operations().all().length} operations`);
