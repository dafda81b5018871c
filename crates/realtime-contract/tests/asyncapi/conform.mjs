// Whether messages are what a document says of them: `node conform.mjs DOCUMENT MESSAGES`, of which
// the second is a list of {channel, message, frame}, by their keys in the document.

import { readFile } from "node:fs/promises";
import Ajv from "ajv";

const [document, messages] = await Promise.all(
  process.argv.slice(2).map(async (file) => JSON.parse(await readFile(file, "utf8"))),
);
// Numbers have formats, such as `uint32`, which say nothing to it.
const ajv = new Ajv({ strict: false, validateFormats: false }).addSchema(document, "document");
const wrong = messages.filter(({ channel, message, frame }) => {
  const path = `document#/channels/${channel}/messages/${message}/payload`;
  const validate = ajv.getSchema(path) ?? ajv.compile({ $ref: path });
  if (validate(frame)) return false;
  const why = ajv.errorsText(validate.errors, { dataVar: "frame" });
  console.error(`${channel} ${message}: ${why}: ${JSON.stringify(frame)}`);
  return true;
});
if (wrong.length > 0 || messages.length === 0) process.exit(1);
