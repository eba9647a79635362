/** Drawing on the image: a cell to look up, a box or a lasso around a region; by mouse, pen, touch or keys. */

import { batch, type Signal, signal } from "@preact/signals-core";
import { ARROWS, bind, button, el, segmented, select, setAll, svg, watch } from "../dom";
import { cellName, listed, number, quoted } from "../format";
import { bring } from "../host";
import { needed, peakCell, rankOf, stepsInView } from "../maps";
import { boxOf, boxOfCells, cellAt, cellBeside, cellsPath, energyInside, outlinePath, type Point } from "../region";
import { resultsOf } from "../results";
import type { State } from "../state";
import type { Word } from "../wire";

type Mode = "cell" | "box" | "lasso";

/** Makes `stage` something to draw on; the result goes below it. */
export function drawing(s: State, stage: HTMLElement): HTMLElement {
  const mode = signal<Mode>("cell");
  stage.append(outlines(s));
  followPointer(s, stage, mode);
  followKeys(s, stage);
  watch(() => {
    stage.dataset.mode = mode.value;
  });
  watch(() => wantMaps(s));
  return el(
    "div",
    { class: "drawing" },
    tools(s, mode),
    line(() => lookedUp(s)),
    line(() => covered(s)),
  );
}

function tools(s: State, mode: Signal<Mode>): HTMLElement {
  const { regions } = s.e.header;
  const named = select(
    "Region",
    [{ value: "", label: "drawn" }, ...regions.map(({ name }) => ({ value: name, label: name }))],
    {
      get: () => (typeof s.region.value === "string" ? s.region.value : ""),
      set: (name) => {
        s.region.value = name || null;
      },
    },
  );
  const more = button("Shares and check", () => {
    s.tab.value = "Failures";
  });
  const clear = button("Clear", () => wipe(s));
  watch(() => {
    more.hidden = !s.region.value;
    clear.hidden = !s.region.value && s.picked.value === null;
  });
  const modes = segmented<Mode>(
    "Draw on the image",
    [
      { value: "cell", label: "Cell", title: "Click: which words use it" },
      { value: "box", label: "Box" },
      { value: "lasso", label: "Lasso" },
    ],
    bind(mode),
  );
  return el("div", { class: "row" }, modes, regions.length ? named : null, more, clear);
}

/** Borders over the image: of the region, of the picked cell, and of possible registers while their tab is open. */
function outlines(s: State): SVGElement {
  const { header } = s.e;
  const border = (name: string, path: () => string) => {
    const node = svg("g", { class: name }, svg("path"), svg("path"));
    watch(() => {
      for (const child of node.children) setAll(child, { d: path() || undefined });
    });
    return node;
  };
  const { width, height } = header.image;
  return svg(
    "svg",
    { class: "outlines", viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    border("outliers", () => (s.tab.value === "Failures" ? cellsPath(header, dotted(s)) : "")),
    border("region", () => (s.region.value ? outlinePath(header, s.region.value) : "")),
    border("picked", () => (s.picked.value === null ? "" : cellsPath(header, new Set([s.picked.value])))),
  );
}

/** Possible registers, and the cells that failure tools mark. */
const dotted = (s: State): Set<number> =>
  new Set([s.e.header.outliers, ...resultsOf(s.results.value, "finding")].flatMap(({ cells }) => cells));

/** Where an event is, in pixels of the image. */
function pointOf(s: State, stage: HTMLElement, event: PointerEvent): Point {
  const { left, top, width, height } = stage.getBoundingClientRect();
  const along = (share: number, size: number) => Math.round(10 * size * Math.max(0, Math.min(1, share))) / 10;
  const { image } = s.e.header;
  return [along((event.clientX - left) / width, image.width), along((event.clientY - top) / height, image.height)];
}

function followPointer(s: State, stage: HTMLElement, mode: Signal<Mode>): void {
  const { header } = s.e;
  const { width, height } = header.image;
  // Closer than this to the last point: a hand that trembles, or a lasso with more corners than it needs.
  const near = Math.max(width, height) / 200;
  let path: Point[] = [];
  let drawn = false;
  stage.addEventListener("pointerdown", (event) => {
    if (event.button || isResting(s)) return;
    path = [pointOf(s, stage, event)];
    drawn = false;
    if (mode.value !== "cell") stage.setPointerCapture(event.pointerId);
  });
  stage.addEventListener("pointermove", (event) => {
    if (!path.length || mode.value === "cell") return;
    const [point, last] = [pointOf(s, stage, event), path.at(-1)!];
    if (Math.hypot(point[0] - last[0], point[1] - last[1]) < near) return;
    drawn = true;
    if (mode.value === "lasso") path.push(point);
    if (mode.value === "box") s.region.value = boxOf(header, last, point);
    else if (path.length > 2) s.region.value = [...path];
  });
  stage.addEventListener("pointerup", () => {
    if (!path.length) return;
    if (!drawn) pick(s, cellAt(header, path[0]!));
    path = [];
    stage.querySelector("canvas")?.focus({ preventScroll: true });
  });
  stage.addEventListener("pointercancel", () => {
    path = [];
  });
}

/** Before the map's own keys: Enter picks the cell under the cursor, Shift with arrows grows a box from there. */
function followKeys(s: State, stage: HTMLElement): void {
  let anchor: number | null = null;
  const grow = (move: Point) => {
    const from = s.cell.value ?? peakCell(s.map.value);
    anchor ??= from;
    const to = cellBeside(s.e.header, from, move);
    batch(() => {
      s.cell.value = to;
      s.region.value = boxOfCells(s.e.header, anchor!, to);
    });
  };
  const act = ({ key, shiftKey }: KeyboardEvent): boolean => {
    const move = ARROWS[key];
    if (move && shiftKey) grow(move);
    else if (key === "Enter" && s.cell.value !== null) pick(s, s.cell.value);
    else if (key === "Escape" && (s.region.value || s.picked.value !== null)) wipe(s);
    else {
      if (move) anchor = null;
      return false;
    }
    return true;
  };
  const listen = (event: KeyboardEvent) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isResting(s) || !act(event)) return;
    event.preventDefault();
    event.stopPropagation();
  };
  stage.addEventListener("keydown", listen, { capture: true });
}

/** Locked by a lesson that does not ask for a guess. */
const isResting = (s: State): boolean => s.locked.value && !s.veiled.value;

/** Look a cell up; the same again puts it away. */
function pick(s: State, cell: number | null): void {
  s.picked.value = cell === s.picked.value ? null : cell;
}

function wipe(s: State): void {
  batch(() => {
    s.region.value = null;
    s.picked.value = null;
  });
}

/** Have the numbers of every word brought, once something asks about all of them. */
function wantMaps(s: State): void {
  if (!s.region.value && s.picked.value === null) return;
  const { options, method } = s.shown.value;
  bring(s.host, s.e, needed(s.e, stepsInView(s.e, []), options, method));
}

function line(text: () => string): HTMLElement {
  const node = el("p", { role: "status" });
  watch(() => {
    node.textContent = text();
    node.hidden = !node.textContent;
  });
  return node;
}

/** A share to three digits; a dash where there is none. */
export const shareText = (share: number): string => (Number.isFinite(share) ? `${number(100 * share)} %` : "–");

/** Shares of the region's: its cells' of all cells; and each word's energy inside, NaN for an empty or unknown map. */
export function insideShares(s: State): { area: number; words: [Word, number][] } {
  const cover = s.coverage.value ?? new Float64Array(s.e.size.cells);
  const area = cover.reduce((a, b) => a + b, 0) / cover.length;
  return {
    area,
    words: [...s.wordMaps.value].map(([word, map]) => [word, map ? energyInside(map, cover) : Number.NaN]),
  };
}

function largestFirst(words: Iterable<[Word, number]>, say: (word: Word, share: number) => string): string {
  const known = [...words].filter(([, share]) => share > 0).sort((a, b) => b[1] - a[1]);
  return listed(known.map(([word, share]) => `${quoted(word.text)} ${say(word, share)}`)) || "no word’s map has any";
}

function lookedUp(s: State): string {
  const cell = s.picked.value;
  if (cell === null || s.veiled.value) return "";
  const rank = (word: Word) => rankOf(s.wordMaps.value.get(word)!, cell);
  const words = largestFirst(s.lookup.value!, (word, share) => `${shareText(share)} (rank ${rank(word)})`);
  return `Share of each word’s energy in ${cellName(s.e, cell)}: ${words}.`;
}

function covered(s: State): string {
  if (!s.coverage.value || s.veiled.value) return "";
  const { area, words } = insideShares(s);
  if (!area) return "The region covers no cell of the map.";
  return `The region is ${shareText(area)} of the map. Energy inside: ${largestFirst(words, (_, share) => shareText(share))}.`;
}
