/** A region drawn on the image: what it covers, and how much of a map's energy lies inside. */

import type { CellMap } from "./maps";
import type { Check } from "./results";
import type { Header, Outline, Region } from "./wire";

type Box = [number, number, number, number];
export type Point = [number, number];

const isBox = (outline: Outline): outline is Box => typeof outline[0] === "number";

/** Lines on which a polygon is measured, per row of cells; along a line it is exact. */
const LINES = 8;

/** Share of each cell that a region covers, row-major; exact for a box. */
export function cellCoverage(header: Header, outline: Outline): Float64Array {
  const { rows, cols } = header.grid;
  const covered = new Float64Array(rows * cols);
  const [left, top, wide, high] = cellBox(header, 0);
  /** Fill part of a row's height between two places. */
  const cover = (row: number, share: number, from: number, to: number) => {
    for (let col = 0; col < cols; col++)
      covered[row * cols + col]! += (share * overlap(left + wide * col, left + wide * (col + 1), from, to)) / wide;
  };
  for (let row = 0; row < rows; row++) {
    const y = top + high * row;
    if (isBox(outline)) cover(row, overlap(y, y + high, outline[1], outline[3]) / high, outline[0], outline[2]);
    else
      for (let line = 0; line < LINES; line++) {
        const at = crossings(outline, y + (high * (line + 0.5)) / LINES);
        for (let i = 0; i < at.length; i += 2) cover(row, 1 / LINES, at[i]!, at[i + 1]!);
      }
  }
  return covered;
}

/** Where a polygon's edges cross a line, from left to right: inside is between the first two, the next two, … */
function crossings(polygon: Point[], y: number): number[] {
  const at = polygon.flatMap(([x1, y1], i) => {
    const [x0, y0] = polygon.at(i - 1)!;
    return y0 <= y !== y1 <= y ? [x0 + ((y - y0) * (x1 - x0)) / (y1 - y0)] : [];
  });
  return at.sort((a, b) => a - b);
}

/** The same for any region; null for a name that is not known. */
export function coverageOf(header: Header, region: Region): Float64Array | null {
  if (typeof region !== "string") return cellCoverage(header, region);
  const named = header.regions.find(({ name }) => name === region);
  return named ? Float64Array.from(named.coverage) : null;
}

const overlap = (a: number, b: number, c: number, d: number): number => Math.max(0, Math.min(b, d) - Math.max(a, c));

/** The pixels that two corners span: whole ones, at least one, none outside the image. */
export function boxOf({ image }: Header, [x, y]: Point, [u, v]: Point): Box {
  const along = (a: number, b: number, size: number) => {
    const low = Math.min(size - 1, Math.max(0, Math.floor(Math.min(a, b))));
    return [low, Math.min(size, Math.max(low + 1, Math.ceil(Math.max(a, b))))] as const;
  };
  const [left, right] = along(x, u, image.width);
  const [top, bottom] = along(y, v, image.height);
  return [left, top, right, bottom];
}

/** A cell's left and top edge, its width and height, in pixels. */
export function cellBox({ grid: { rows, cols, box } }: Header, cell: number): Box {
  const [wide, high] = [(box[2] - box[0]) / cols, (box[3] - box[1]) / rows];
  return [box[0] + wide * (cell % cols), box[1] + high * Math.floor(cell / cols), wide, high];
}

/** The box of cells between two corner cells. */
export function boxOfCells(header: Header, a: number, b: number): Box {
  const [[x, y, wide, high], [u, v]] = [cellBox(header, a), cellBox(header, b)];
  const far: Point = [Math.max(x, u) + wide, Math.max(y, v) + high];
  return boxOf(
    header,
    [Math.round(Math.min(x, u)), Math.round(Math.min(y, v))],
    [Math.round(far[0]), Math.round(far[1])],
  );
}

/** The cell at a point of the image, null outside the grid. */
export function cellAt(header: Header, [x, y]: Point): number | null {
  const { rows, cols } = header.grid;
  const [left, top, wide, high] = cellBox(header, 0);
  const [row, col] = [Math.floor((y - top) / high), Math.floor((x - left) / wide)];
  return row >= 0 && row < rows && col >= 0 && col < cols ? row * cols + col : null;
}

/** The cell so many rows and columns away, held at the grid's edges. */
export function cellBeside({ grid: { rows, cols } }: Header, cell: number, [down, right]: Point): number {
  const hold = (at: number, count: number) => Math.max(0, Math.min(count - 1, at));
  return hold(Math.floor(cell / cols) + down, rows) * cols + hold((cell % cols) + right, cols);
}

/** The border around cells, as an SVG path. */
export function cellsPath(header: Header, cells: ReadonlySet<number>): string {
  const { cols } = header.grid;
  const edges = [...cells].map((cell) => {
    const [x, y, wide, high] = cellBox(header, cell);
    const [right, bottom] = [x + wide, y + high];
    return [
      cells.has(cell - cols) ? "" : `M${x} ${y}H${right}`,
      cells.has(cell + cols) ? "" : `M${x} ${bottom}H${right}`,
      cell % cols && cells.has(cell - 1) ? "" : `M${x} ${y}V${bottom}`,
      (cell + 1) % cols && cells.has(cell + 1) ? "" : `M${right} ${y}V${bottom}`,
    ].join("");
  });
  return edges.join("");
}

/** A region's border as an SVG path; of a mask, that of the cells it covers for the greater part. */
export function outlinePath(header: Header, region: Region): string {
  if (typeof region !== "string") {
    if (!isBox(region)) return `M${region.join("L")}Z`;
    const [left, top, right, bottom] = region;
    return `M${left} ${top}H${right}V${bottom}H${left}Z`;
  }
  const outline = header.regions.find(({ name }) => name === region)?.outline;
  if (outline) return outlinePath(header, outline);
  const shares = [...(coverageOf(header, region) ?? [])];
  return cellsPath(header, new Set(shares.flatMap((share, cell) => (share > 0.5 ? [cell] : []))));
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

/** How many times the energy of a cell on one side must be that of one on the other for the map to take a side. */
export const TIMES = 2;
/** Nats lost from which a word is said to need what was hidden: it became e times less likely. */
export const NATS = 1;

/** Of the image: what a region covers, or the rest. */
type Part = "inside" | "outside";

/** The side that a map points at, given the share of its energy and of its area that are inside; null for neither. */
export function pointsAt(energy: number, area: number): Part | null {
  const odds = (energy * (1 - area)) / ((1 - energy) * area);
  return odds >= TIMES ? "inside" : odds <= 1 / TIMES ? "outside" : null;
}

type Losses = Pick<Check, "log_prob" | "hidden" | "kept">;

/** The side that a word needs, by what hiding each cost it. */
export function sideOf({ log_prob, hidden, kept }: Losses): Part | "both" | "neither" {
  const [inside, outside] = [log_prob - hidden >= NATS, log_prob - kept >= NATS];
  return inside && outside ? "both" : inside ? "inside" : outside ? "outside" : "neither";
}

/** Where a word comes from, and whether the map says so. */
export function originOf(map: Part | null, check: Losses): string {
  const from = sideOf(check);
  if (from === "both") return "needs both the region and the rest";
  if (from === "neither") return "needs neither: text, or either side alone, is enough";
  const agrees = !map ? "the map takes no side" : map === from ? "the map says so" : `the map points ${map}`;
  return `comes from ${from} the region; ${agrees}`;
}
