/** What the colours of the map on screen span: that map alone, or every word's map together. */

import { type Scale, scaleOf } from "./colour";
import { number } from "./format";
import { extent } from "./maps";
import type { State } from "./state";

/** Words' own maps have one unit; the whole answer's is another, and has its own scale. */
export const isShared = (s: State): boolean => s.display.value.scale === "shared" && s.shown.value.chosen.length > 0;

/** The scale of the map and its legend. */
export function shownScale(s: State): Scale {
  const maps = isShared(s) ? [...s.wordMaps.value.values()].filter((map) => map !== null) : [];
  const all = new Float64Array(maps.length * s.e.size.cells);
  for (const [i, map] of maps.entries()) all.set(map, i * map.length);
  return scaleOf(maps.length ? all : s.map.value, s.colours.value, s.display.value.clip);
}

/** What stands below a scale's ends and middle; ≤ and ≥ where it leaves values out. */
export function ticksOf({ low, high }: Scale, values: ArrayLike<number>): string[] {
  const [least, most] = extent(values);
  return [
    `${least < low ? "≤ " : ""}${number(low)}`,
    number((low + high) / 2),
    `${most > high ? "≥ " : ""}${number(high)}`,
  ];
}
