// What the compiler must accept of a client of types of all forms, and what it must refuse.

import { connect } from "@forerunner/realtime-client";
import type { Routes, Tree } from "./routes.js";

const deepest = ({ name, children }: Tree): string => (children[0] ? deepest(children[0]) : name);

connect<Routes>("/ws").on("forms", ({ tree, trees, names, counts, pair, flat }) => {
  const text: string = deepest(tree) + deepest(trees.all[0]) + names.all[0].toUpperCase() + pair[0];
  const more: boolean = trees.more && names.more && flat;
  const count: number = counts.any + pair[1];
  // @ts-expect-error: a list of names has no trees
  names.all[0].children;
  // @ts-expect-error: what is a part of another has no name of its own there
  tree.part;
  return [text, more, count];
});
