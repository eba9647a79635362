/** A region drawn on the image: what it covers, and how much of a map's energy lies inside. */

import type { CellMap } from "./maps";
import type { Header, Outline } from "./wire";

type Box = [number, number, number, number];

export const isBox = (outline: Outline): outline is Box => typeof outline[0] === "number";

/** Points sampled along each side of a cell that a polygon may cut. */
const SAMPLES = 8;

/** Share of each cell that a region covers, row-major; exact for a box. */
export function cellCoverage(header: Header, outline: Outline): Float64Array {
  const { rows, cols, box } = header.grid;
  const [left, top, right, bottom] = box;
  const [wide, high] = [(right - left) / cols, (bottom - top) / rows];
  return Float64Array.from({ length: rows * cols }, (_, cell) => {
    const x = left + wide * (cell % cols);
    const y = top + high * Math.floor(cell / cols);
    if (isBox(outline))
      return (
        (overlap(x, x + wide, outline[0], outline[2]) * overlap(y, y + high, outline[1], outline[3])) / wide / high
      );
    let inside = 0;
    for (let i = 0; i < SAMPLES ** 2; i++) {
      const at = [x + (wide * ((i % SAMPLES) + 0.5)) / SAMPLES, y + (high * (Math.floor(i / SAMPLES) + 0.5)) / SAMPLES];
      if (contains(outline, at[0]!, at[1]!)) inside++;
    }
    return inside / SAMPLES ** 2;
  });
}

const overlap = (a: number, b: number, c: number, d: number): number => Math.max(0, Math.min(b, d) - Math.max(a, c));

/** Even–odd rule. */
export function contains(polygon: readonly [number, number][], x: number, y: number): boolean {
  let inside = false;
  for (let i = 0, j = polygon.length - 1; i < polygon.length; j = i++) {
    const [xi, yi] = polygon[i]!;
    const [xj, yj] = polygon[j]!;
    if (yi > y !== yj > y && x < ((xj - xi) * (y - yi)) / (yj - yi) + xi) inside = !inside;
  }
  return inside;
}

/** Share of a map's positive energy within a region; NaN for an empty map. */
export function energyInside(map: CellMap, coverage: ArrayLike<number>): number {
  let [inside, total] = [0, 0];
  for (let cell = 0; cell < map.length; cell++) {
    const value = Math.max(0, map[cell]!);
    total += value;
    inside += value * coverage[cell]!;
  }
  return inside / total;
}
