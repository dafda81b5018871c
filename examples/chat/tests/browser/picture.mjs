// Takes the README's picture of a chat that runs: `node picture.mjs URL FILE`. Ada's window, with
// Grace and Alan in it.

import { comeIn, hears, say, sees } from "./steps.mjs";
import { closeAll, windowOf } from "./windows.mjs";

const [url, file] = process.argv.slice(2);

try {
  const desk = await windowOf({ width: 1000, height: 560 }, { locale: "en-US", colorScheme: "light" });
  const people = {};
  for (const name of ["Ada", "Grace", "Alan"]) {
    const context = name === "Ada" ? desk : await windowOf({ width: 800, height: 600 }, { locale: "en-US" });
    people[name] = await comeIn(context, url, name);
  }
  await sees(people.Ada, 3);
  const said = [
    ["Grace", "The new build is out. Does anybody see the old one?"],
    ["Ada", "I was in a tunnel for a minute, and have missed nothing."],
    ["Alan", "Same here: the node was restarted under me."],
    ["Grace", "Then it is tea time."],
  ];
  for (const [name, text] of said) {
    await say(people[name], text);
    await hears(people.Ada, text);
  }
  await people.Ada.bringToFront();
  await people.Ada.screenshot({ path: file });
} finally {
  await closeAll();
}
