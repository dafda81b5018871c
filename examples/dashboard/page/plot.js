// The canvas of the half minute: a line of the means in a band from the lowest to the highest. Where
// points are missing there is a hole in both.

import { WINDOW_MS } from "./series.js";

const MARGIN = { top: 8, right: 8, bottom: 22, left: 32 };

/** A canvas that is as sharp as the screen; `draw` is told of its size in CSS pixels. */
export class Sheet {
  #canvas;

  constructor(canvas) {
    this.#canvas = canvas;
  }

  draw(paint) {
    const canvas = this.#canvas;
    const { clientWidth: width, clientHeight: height } = canvas;
    const scale = globalThis.devicePixelRatio || 1;
    const [wide, high] = [Math.round(width * scale), Math.round(height * scale)];
    if (canvas.width !== wide || canvas.height !== high) {
      [canvas.width, canvas.height] = [wide, high];
    }
    const context = canvas.getContext("2d");
    context.setTransform(scale, 0, 0, scale, 0, 0);
    context.clearRect(0, 0, width, height);
    const styles = getComputedStyle(canvas);
    const colour = (name) => styles.getPropertyValue(`--${name}`);
    context.font = `12px ${styles.fontFamily}`;
    paint(context, { width, height, colour });
  }
}

export class Plot {
  #sheet;

  constructor(canvas) {
    this.#sheet = new Sheet(canvas);
  }

  draw(series) {
    this.#sheet.draw((context, { width, height, colour }) => {
      const { top, right, bottom, left } = MARGIN;
      const now = series.isEmpty ? WINDOW_MS : series.now();
      const x = (at) => left + (1 - (now - at) / WINDOW_MS) * (width - left - right);
      const y = (load) => top + (1 - load / 100) * (height - top - bottom);

      context.strokeStyle = colour("rule");
      context.fillStyle = colour("soft");
      context.lineWidth = 1;
      context.textBaseline = "middle";
      context.textAlign = "right";
      for (const load of [0, 25, 50, 75, 100]) {
        const at = Math.round(y(load)) + 0.5;
        context.beginPath();
        context.moveTo(left, at);
        context.lineTo(width - right, at);
        context.stroke();
        context.fillText(String(load), left - 6, at);
      }
      context.textBaseline = "alphabetic";
      for (const [ago, align] of [[30, "left"], [20, "center"], [10, "center"], [0, "right"]]) {
        context.textAlign = align;
        context.fillText(ago === 0 ? "now" : `−${ago} s`, x(now - ago * 1_000), height - 6);
      }

      context.save();
      context.beginPath();
      context.rect(left, 0, width - left - right, height - bottom);
      context.clip();
      context.fillStyle = colour("band");
      context.strokeStyle = colour("line");
      context.lineWidth = 2;
      context.lineJoin = "round";
      for (const part of parts(series.points)) {
        context.beginPath();
        for (const { at, high } of part) context.lineTo(x(at), y(high));
        for (const { at, low } of part.toReversed()) context.lineTo(x(at), y(low));
        context.fill();
        context.beginPath();
        // One alone is a dot.
        if (part.length === 1) context.arc(x(part[0].at), y(part[0].mean), 0.5, 0, 2 * Math.PI);
        for (const { at, mean } of part) context.lineTo(x(at), y(mean));
        context.stroke();
      }
      context.restore();
    });
  }
}

/** The points that follow each other. */
function parts(points) {
  const parts = [];
  for (const point of points) {
    if (!point.follows || parts.length === 0) parts.push([]);
    parts.at(-1).push(point);
  }
  return parts;
}
