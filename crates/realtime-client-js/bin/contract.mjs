#!/usr/bin/env node
// The types of a contract for `new Client<Routes>()`, made from the AsyncAPI document of its server:
// `npx -p @forerunner/realtime-client realtime-contract asyncapi.json > routes.ts`. See
// docs/contract.md of the server.

import { readFile, writeFile } from "node:fs/promises";
import { parseArgs } from "node:util";

// With the package's name: npx would take any package that is called as the command is.
const USAGE =
  "usage: npx -p @forerunner/realtime-client realtime-contract ASYNCAPI_JSON [--name Routes] [--out FILE]";

/** A mistake of who calls it: said without a stack. */
class Wrong extends Error {}

async function main() {
  const { file, name, out } = readArguments();
  const document = await readDocument(file);
  const types = await typesOf(document, name, await compiler());
  if (out) await writeFile(out, types);
  else process.stdout.write(types);
}

function readArguments() {
  try {
    const { values, positionals } = parseArgs({
      allowPositionals: true,
      options: { name: { type: "string", default: "Routes" }, out: { type: "string" } },
    });
    if (positionals.length !== 1) throw new Error(`expected one document; got ${positionals.length}`);
    if (!/^[A-Za-z_$][\w$]*$/.test(values.name)) {
      throw new Error(`expected the name of a type; got ${JSON.stringify(values.name)}`);
    }
    return { file: positionals[0], ...values };
  } catch (error) {
    throw new Wrong(`${error.message}\n${USAGE}`);
  }
}

async function readDocument(file) {
  let document;
  try {
    document = JSON.parse(await readFile(file, "utf8"));
  } catch (error) {
    throw new Wrong(`expected an AsyncAPI document in JSON: ${file}: ${error.message}`);
  }
  if (!/^3\./.test(document?.asyncapi)) {
    throw new Wrong(`expected a document of AsyncAPI 3; ${file} says ${document?.asyncapi}`);
  }
  return document;
}

async function compiler() {
  try {
    return (await import("json-schema-to-typescript")).compile;
  } catch (error) {
    if (error.code !== "ERR_MODULE_NOT_FOUND") throw error;
    throw new Wrong(
      "json-schema-to-typescript is missing: " +
        "npm install --save-dev @forerunner/realtime-client json-schema-to-typescript",
    );
  }
}

/** The text of a TypeScript module. */
async function typesOf(document, name, compile) {
  const routes = routesOf(document);
  const object = (properties, required = Object.keys(properties)) => ({
    type: "object",
    additionalProperties: false,
    properties,
    required,
  });
  const properties = Object.fromEntries(
    [...routes].sort().map(([route, { description, ...types }]) => {
      return [route, { ...(description && { description }), ...object(types) }];
    }),
  );
  const schema = {
    title: name,
    description: "What goes over each route.",
    ...object(properties),
    components: { schemas: named(document.components?.schemas ?? {}) },
  };
  return compile(schema, name, {
    additionalProperties: false,
    bannerComment: "// Made from an AsyncAPI document by `realtime-contract`. Don't edit it.",
    format: true,
    $refOptions: { resolve: { external: false } },
    style: { printWidth: 100 },
  });
}

/** Types keep their names: without a title those that are no objects would be written out. */
function named(schemas) {
  const entries = Object.entries(schemas);
  return Object.fromEntries(entries.map(([name, schema]) => [name, { title: name, ...schema }]));
}

/** What goes over each route, by its name: {request, reply, error, event, question, answer}. */
function routesOf(document) {
  const routes = new Map();
  const note = (route, types, description) => {
    const known = routes.get(route) ?? {};
    routes.set(route, { ...known, ...types, description: known.description ?? description });
  };
  for (const operation of Object.values(document.operations ?? {})) {
    // What the gateway does by itself, the client does, too.
    if (operation.tags?.some(({ name }) => name === "gateway")) continue;
    const [asked] = operation.messages.map((message) => resolve(document, message));
    const answers = (operation.reply?.messages ?? []).map((message) => resolve(document, message));
    const route = routeOf(asked);
    if (route === undefined) continue;
    const data = dataOf(asked);
    if (operation.action === "receive") {
      const reply = answers.find((message) => routeOf(message) === route);
      const error = answers.find((message) => routeOf(message) === "error");
      const types = { request: data, reply: dataOf(reply), ...errorsOf(error) };
      note(route, types, asked.summary);
    } else if (operation.reply) {
      const answer = answers.find(({ payload }) => !payload.properties.error);
      note(route, { question: data, answer: dataOf(answer) }, asked.summary);
    } else {
      note(route, { event: data }, asked.summary);
    }
  }
  return routes;
}

function resolve(document, { $ref, ...inline }) {
  if ($ref === undefined) return inline;
  const steps = $ref.replace(/^#\//, "").split("/");
  const unescaped = steps.map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
  const found = unescaped.reduce((value, step) => value?.[step], document);
  if (found === undefined) throw new Wrong(`the document refers to what isn't in it: ${$ref}`);
  return resolve(document, found);
}

const routeOf = ({ payload }) => payload?.properties?.route?.const;

const dataOf = (message) => message?.payload.properties.data ?? { tsType: "undefined" };

/** Codes with their data, where they are declared: the rest is the same for all errors. */
function errorsOf(message) {
  const { anyOf } = message ? dataOf(message) : {};
  if (!anyOf) return {};
  const either = anyOf.map(({ allOf, ...alone }) => (allOf ? allOf[0] : alone));
  return { error: { anyOf: either } };
}

try {
  await main();
} catch (error) {
  console.error(error instanceof Wrong ? `realtime-contract: ${error.message}` : error);
  process.exitCode = 1;
}
