/** A matrix of numbers as coloured squares: legend, a cursor for pointer and keys, and each square in words. */

import { signal } from "@preact/signals-core";
import { type ColourName, indexOf, type Scale, scaleOf, table } from "../colour";
import { ARROWS, el, penOf, setAll, watch } from "../dom";
import { legend } from "./legend";

/** A square, row 0 on top; −1 stands for the label of the whole row, or column. */
export interface Place {
  row: number;
  col: number;
}

export interface Matrix {
  cols: number;
  /** Names of the rows from the top; as many at all times. */
  rows(): readonly string[];
  /** Row by row from the top. */
  values(): ArrayLike<number>;
  colours(): ColourName;
  /** A square that does not count is drawn small. */
  counts(at: number): boolean;
  summary(): string;
  reading(at: Place): string;
  act(at: Place, event: MouseEvent | KeyboardEvent): void;
  /** Names of the columns, above them. */
  heading?: HTMLElement;
}

/** Canvas pixels per square; the browser stretches them. */
const UNIT = 12;
const hold = (at: number, low: number, high: number): number => Math.max(low, Math.min(high, at));

export function matrixView(m: Matrix): HTMLElement {
  const count = m.rows().length;
  const cursor = signal<Place | null>(null);
  const canvas = el("canvas", { role: "application", tabindex: 0, "aria-roledescription": "matrix" });
  const mark = el("div", { class: "cursor", hidden: true });
  const cells = el("div", { class: "cells" }, canvas, mark);
  const labels = el("div", { class: "rowlabels", "aria-hidden": "true" }, ...m.rows().map(() => el("span")));
  const box = el("div", { class: "matrix" }, m.heading, labels, cells);
  const height = hold(352 / count, 6, 24);
  box.style.setProperty("--rows", String(count));
  box.style.setProperty("--cols", String(m.cols));
  box.style.setProperty("--height", `${height}px`);
  watch(() => draw(m, canvas));
  watch(() => setAll(canvas, { "aria-label": m.summary() }));
  const every = Math.ceil(13 / height);
  watch(() => {
    m.rows().forEach((name, i) => {
      if ((count - 1 - i) % every === 0) say(labels.children[i]!, name);
    });
  });
  watch(() => placeMark(mark, cursor.value, m.cols, count));
  point(m, box, (event) => placeOf(event, { labels, cells, heading: m.heading }, m.cols, count), cursor);
  walk(m, canvas, mark, cursor);
  return el(
    "div",
    {},
    box,
    legend(() => ({ scale: scaleFor(m), values: m.values() })),
    readingLine(m, cursor),
  );
}

/** Text that stays as it is causes no new layout. */
export function say(node: Element, text: string): void {
  if (node.textContent !== text) node.textContent = text;
}

/** Zero is the least colour, so that nothing looks like nothing. */
function scaleFor(m: Matrix): Scale {
  const scale = scaleOf(m.values(), m.colours());
  return { ...scale, low: Math.min(0, scale.low) };
}

function draw(m: Matrix, canvas: HTMLCanvasElement): void {
  const values = m.values();
  canvas.width = m.cols * UNIT;
  canvas.height = m.rows().length * UNIT;
  const context = penOf(canvas);
  if (!context) return;
  const scale = scaleFor(m);
  const rgb = table(scale.colours);
  for (let at = 0; at < values.length; at++) {
    const colour = 3 * indexOf(values[at]!, scale);
    const [inset, side] = m.counts(at) ? [0, UNIT - 1] : [4, 4];
    context.fillStyle = `rgb(${rgb[colour]} ${rgb[colour + 1]} ${rgb[colour + 2]})`;
    context.fillRect((at % m.cols) * UNIT + inset, Math.floor(at / m.cols) * UNIT + inset, side, side);
  }
}

function placeMark(mark: HTMLElement, at: Place | null, cols: number, rows: number): void {
  mark.hidden = !at;
  if (!at) return;
  const span = (place: number, of: number) => (place < 0 ? [0, 100] : [(100 * place) / of, 100 / of]);
  const [left, width] = span(at.col, cols);
  const [top, height] = span(at.row, rows);
  Object.assign(mark.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
}

interface Parts {
  labels: HTMLElement;
  cells: HTMLElement;
  heading: HTMLElement | undefined;
}

function placeOf(event: MouseEvent, { labels, cells, heading }: Parts, cols: number, rows: number): Place | null {
  const area = cells.getBoundingClientRect();
  const on = event.target as Node;
  const index = (at: number, start: number, size: number, of: number) =>
    hold(Math.floor(((at - start) / size) * of), 0, of - 1);
  if (!labels.contains(on) && !cells.contains(on) && !heading?.contains(on)) return null;
  return {
    row: heading?.contains(on) ? -1 : index(event.clientY, area.top, area.height, rows),
    col: labels.contains(on) ? -1 : index(event.clientX, area.left, area.width, cols),
  };
}

type Cursor = { value: Place | null };

function point(m: Matrix, box: HTMLElement, find: (event: MouseEvent) => Place | null, cursor: Cursor): void {
  box.addEventListener("pointermove", (event) => {
    const [at, now] = [find(event), cursor.value];
    if (at?.row !== now?.row || at?.col !== now?.col) cursor.value = at;
  });
  box.addEventListener("pointerleave", () => {
    cursor.value = null;
  });
  box.addEventListener("click", (event) => {
    const at = find(event);
    if (!at) return;
    cursor.value = at;
    m.act(at, event);
  });
}

/** Arrow keys move the cursor, beyond the first square onto the label; Enter and Space act. */
function walk(m: Matrix, canvas: HTMLElement, mark: HTMLElement, cursor: Cursor): void {
  canvas.addEventListener("focus", () => {
    cursor.value ??= { row: 0, col: 0 };
  });
  canvas.addEventListener("blur", () => {
    cursor.value = null;
  });
  canvas.addEventListener("keydown", (event) => {
    const at = cursor.value ?? { row: 0, col: 0 };
    const move = ARROWS[event.key];
    const acts = event.key === "Enter" || event.key === " ";
    if ((!move && !acts) || event.metaKey || event.altKey || (move && event.ctrlKey)) return;
    event.preventDefault();
    event.stopPropagation();
    if (acts) {
      cursor.value = at;
      return m.act(at, event);
    }
    const row = hold(at.row + move![0], m.heading && at.col >= 0 ? -1 : 0, m.rows().length - 1);
    cursor.value = { row, col: hold(at.col + move![1], row >= 0 ? -1 : 0, m.cols - 1) };
    mark.scrollIntoView?.({ block: "nearest", inline: "nearest" });
  });
}

function readingLine(m: Matrix, cursor: Cursor): HTMLElement {
  const line = el("output", { class: "readout", role: "status" });
  watch(() => {
    line.textContent = cursor.value ? m.reading(cursor.value) : m.summary();
  });
  return line;
}
