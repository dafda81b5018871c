// What the page makes of who comes and goes: what is told twice, overtaken, or missed.

import assert from "node:assert/strict";
import { closeAll, windowOf } from "./windows.mjs";

const [url] = process.argv.slice(2);

try {
  const page = await (await windowOf({ width: 800, height: 600 })).newPage();
  await page.goto(url);
  const seen = await page.evaluate(async () => {
    const { Presence } = await import("/presence.js");
    const events = [];
    const answers = [];
    const presence = new Presence({
      ask: async ({ after }) => answers.shift()(after),
      onChange: () => {},
      onCome: ({ name }) => events.push(`${name} joined`),
      onGo: ({ name }) => events.push(`${name} left`),
    });
    const ann = (version) => ({ id: "1 Ann", version });
    const bob = (version) => ({ id: "2 Bob Dylan", version });
    const steps = [];
    const note = (step) => {
      steps.push([step, presence.people().map(({ name }) => name).sort().join(), events.splice(0).join()]);
    };

    presence.receive({ joined: [ann(1), bob(2)] });
    note("they come");
    presence.receive({ joined: [ann(1)] });
    note("told twice");
    presence.receive({ left: [bob(9)] });
    presence.receive({ joined: [bob(5)] });
    note("overtaken");
    answers.push(() => ({ members: [ann(1), bob(5)], count: 2 }));
    await presence.refresh();
    note("an answer from before he left");
    answers.push((after) => ({ members: [bob(11)], after: after ?? 11 }), (after) => ({ members: [{ id: `3 ${after}`, version: 12 }] }));
    await presence.refresh();
    note("page by page; she went unheard");
    answers.push(() => {
      presence.receive({ joined: [ann(20)] });
      return { members: [bob(11)] };
    });
    await presence.refresh();
    note("she comes while it is asked");
    presence.remove("2 Bob Dylan");
    answers.push(() => ({ members: [bob(11), ann(20)] }));
    await presence.refresh();
    note("removed, and still there by the grace");
    presence.receive({ left: [bob(21)] });
    note("and gone");
    presence.receive({ joined: [bob(22)] });
    note("back");
    return steps;
  });
  assert.deepEqual(seen, [
    ["they come", "Ann,Bob Dylan", "Ann joined,Bob Dylan joined"],
    ["told twice", "Ann,Bob Dylan", ""],
    ["overtaken", "Ann", "Bob Dylan left"],
    ["an answer from before he left", "Ann", ""],
    ["page by page; she went unheard", "11,Bob Dylan", ""],
    ["she comes while it is asked", "Ann,Bob Dylan", "Ann joined"],
    ["removed, and still there by the grace", "Ann", ""],
    ["and gone", "Ann", ""],
    ["back", "Ann,Bob Dylan", "Bob Dylan joined"],
  ]);
} finally {
  await closeAll();
}
process.exit(0);
