// The canvas of this moment: a bar for the load of each machine.

import { Sheet } from "./plot.js";

const GAP = 2;

export class Bars {
  #sheet;

  constructor(canvas) {
    this.#sheet = new Sheet(canvas);
  }

  draw(loads) {
    this.#sheet.draw((context, { width, height, colour }) => {
      const each = (width + GAP) / loads.length;
      loads.forEach((load, machine) => {
        const tall = (load / 100) * height;
        context.fillStyle = colour("band");
        context.fillRect(machine * each, 0, each - GAP, height);
        context.fillStyle = colour("line");
        context.fillRect(machine * each, height - tall, each - GAP, tall);
      });
    });
  }
}
