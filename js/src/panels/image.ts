/** The map over the image, in the image's own pixels, with its legend and a reading of each cell. */

import { DIVERGING, gradient, paint, type Scale, SEQUENTIAL, scaleOf } from "../colour";
import { bind, bindField, checkbox, el, segmented, select, setAll, slider, watch } from "../dom";
import { number, percent, place } from "../format";
import { extent, halfEnergyCells, peakCell, rankOf, topHeads, upsample } from "../maps";
import type { State } from "../state";
import { drawing } from "./draw";

/** Longest side of the smoothed map; the browser stretches it the rest of the way. */
const SMOOTH_SIDE = 384;

export function imagePanel(s: State): HTMLElement {
  const picture = stage(s);
  return el(
    "section",
    { class: "panel image", "aria-label": "Image and map" },
    picture,
    legend(s),
    el("p", { class: "summary", role: "status" }),
    readout(s),
    drawing(s, picture),
    controls(s),
  );
}

function stage(s: State): HTMLElement {
  const { image, grid } = s.e.header;
  const [left, top, right, bottom] = grid.box;
  const canvas = el("canvas", { role: "img", tabindex: 0, "aria-roledescription": "heat map" });
  const cursor = el("div", { class: "cursor", hidden: true });
  Object.assign(canvas.style, box(left / image.width, top / image.height, right / image.width, bottom / image.height));
  const picture = el("img", { src: image.src, alt: "The image that was asked about", draggable: "false" });
  const stage = el("div", { class: "stage" }, picture, canvas, cursor);
  stage.style.aspectRatio = `${image.width} / ${image.height}`;
  stage.style.setProperty("--ratio", String(image.width / image.height));
  follow(s, canvas);
  watch(() => draw(s, canvas));
  watch(() => describe(s, canvas));
  watch(() => placeCursor(s, cursor));
  return stage;
}

const box = (left: number, top: number, right: number, bottom: number) => ({
  left: `${100 * left}%`,
  top: `${100 * top}%`,
  width: `${100 * (right - left)}%`,
  height: `${100 * (bottom - top)}%`,
});

function draw(s: State, canvas: HTMLCanvasElement): void {
  const { rows, cols, box } = s.e.header.grid;
  const map = s.map.value;
  const scale = scaleOf(map, s.colours.value);
  const [wide, high] = [box[2] - box[0], box[3] - box[1]];
  const zoom = SMOOTH_SIDE / Math.max(wide, high);
  const [width, height] = s.display.value.smooth
    ? [Math.max(1, Math.round(wide * zoom)), Math.max(1, Math.round(high * zoom))]
    : [cols, rows];
  const values = s.display.value.smooth ? upsample(map, rows, cols, height, width) : map;
  canvas.width = width;
  canvas.height = height;
  canvas.classList.toggle("cells", !s.display.value.smooth);
  const context = canvas.getContext("2d");
  if (!context || scale.high <= scale.low) return;
  const pixels = context.createImageData(width, height);
  pixels.data.set(paint(values, scale, s.opacity.value, s.display.value.fade));
  context.putImageData(pixels, 0, 0);
}

/** What the map shows, in words and as data attributes. */
function describe(s: State, canvas: HTMLCanvasElement): void {
  const map = s.map.value;
  const cell = peakCell(map);
  const { cols } = s.e.header.grid;
  const [low, high] = extent(map);
  const text = summary(s);
  setAll(canvas, { "aria-label": text });
  Object.assign(canvas.dataset, {
    row: String(Math.floor(cell / cols)),
    col: String(cell % cols),
    low: String(low),
    high: String(high),
    sum: String(map.reduce((a, b) => a + b, 0)),
  });
  queueMicrotask(() => {
    const line = canvas.closest(".panel")?.querySelector(".summary");
    if (line && line.textContent !== text) line.textContent = text;
  });
}

function summary(s: State): string {
  const map = s.map.value;
  const [low, high] = extent(map);
  if (s.shown.value.missing === null)
    return 'The numbers for this choice were not kept: explain again with keep="full", or choose fewer words.';
  if (low === 0 && high === 0) return emptiness(s);
  if (low === high) return "The map has the same value everywhere: it points at nothing.";
  const cell = peakCell(map);
  const { cols } = s.e.header.grid;
  return (
    `Peak ${number(map[cell]!)} at row ${Math.floor(cell / cols) + 1}, column ${(cell % cols) + 1}, ${place(s.e, cell)}. ` +
    `Half of the map’s energy lies in ${halfEnergyCells(map)} of ${map.length} cells.`
  );
}

function emptiness(s: State): string {
  const kept = s.counts.value.kept;
  if (kept === 0)
    return "The map is empty: in the chosen layers no head reads more from the image than from the text. Turn the head filter off to see what was there.";
  if (!s.chosen.value.length)
    return "The map is empty: every word of the answer is silenced. Turn the filler filter off to see what was there.";
  return "The map is empty: no positive gradient reaches the image here.";
}

function legend(s: State): HTMLElement {
  const bar = el("div", { class: "bar", "aria-hidden": "true" });
  const ends = [el("span"), el("span"), el("span")] as const;
  const unit = el("span", { class: "unit" });
  watch(() => {
    const scale: Scale = scaleOf(s.map.value, s.colours.value);
    bar.style.background = gradient(scale);
    const middle = (scale.low + scale.high) / 2;
    [scale.low, middle, scale.high].forEach((value, i) => {
      ends[i]!.textContent = number(value);
    });
    const scaled = !s.chosen.value.length && s.preset.value === "paper";
    unit.textContent = scaled
      ? "words’ maps, each scaled 0–1, times their weights"
      : s.options.value.headFilter === "none"
        ? "logit per unit of attention"
        : "logit per unit of attention, times head weight";
  });
  const box = el("div", { class: "legend" }, bar, el("div", { class: "ticks" }, ...ends), unit);
  watch(() => {
    const [low, high] = extent(s.map.value);
    box.hidden = low === high;
  });
  return box;
}

function readout(s: State): HTMLElement {
  const line = el("output", { class: "readout" });
  watch(() => {
    line.textContent =
      s.cell.value === null
        ? "Point at a cell, or move with the arrow keys when the map has focus."
        : reading(s, s.cell.value);
  });
  return line;
}

function reading(s: State, cell: number): string {
  const {
    rows,
    cols,
    box: [left, top, right, bottom],
  } = s.e.header.grid;
  const [row, col] = [Math.floor(cell / cols), cell % cols];
  const x = (at: number) => Math.round(left + ((right - left) * at) / cols);
  const y = (at: number) => Math.round(top + ((bottom - top) * at) / rows);
  const map = s.map.value;
  const parts = [
    `row ${row + 1}, column ${col + 1}`,
    number(map[cell]!),
    `rank ${rankOf(map, cell)} of ${map.length}`,
    `pixels ${x(col)}–${x(col + 1)} × ${y(row)}–${y(row + 1)}`,
  ];
  if (s.chosen.value.length) {
    const heads = topHeads(s.e, s.chosen.value, cell, s.options.value, 2);
    if (heads.length)
      parts.push(heads.map((h) => `layer ${s.e.header.layers[h.layer]} head ${h.head} ${percent(h.share)}`).join(", "));
  }
  return parts.join(" · ");
}

function placeCursor(s: State, cursor: HTMLElement): void {
  const cell = s.cell.value;
  cursor.hidden = cell === null;
  if (cell === null) return;
  const { image, grid } = s.e.header;
  const [left, top, right, bottom] = grid.box;
  const [wide, high] = [(right - left) / grid.cols, (bottom - top) / grid.rows];
  const x = left + wide * (cell % grid.cols);
  const y = top + high * Math.floor(cell / grid.cols);
  Object.assign(
    cursor.style,
    box(x / image.width, y / image.height, (x + wide) / image.width, (y + high) / image.height),
  );
}

/** Pointer and arrow keys move the cell cursor. */
function follow(s: State, canvas: HTMLCanvasElement): void {
  const { rows, cols } = s.e.header.grid;
  canvas.addEventListener("pointermove", (event) => {
    const area = canvas.getBoundingClientRect();
    const col = Math.floor(((event.clientX - area.left) / area.width) * cols);
    const row = Math.floor(((event.clientY - area.top) / area.height) * rows);
    if (row >= 0 && row < rows && col >= 0 && col < cols) s.cell.value = row * cols + col;
  });
  canvas.addEventListener("pointerleave", () => {
    s.cell.value = null;
  });
  canvas.addEventListener("blur", () => {
    s.cell.value = null;
  });
  canvas.addEventListener("keydown", (event) => {
    const move = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const cell = s.cell.value ?? peakCell(s.map.value);
    const hold = (at: number, count: number) => Math.max(0, Math.min(count - 1, at));
    const started = s.cell.value !== null;
    const row = hold(Math.floor(cell / cols) + (started ? move[0]! : 0), rows);
    s.cell.value = row * cols + hold((cell % cols) + (started ? move[1]! : 0), cols);
  });
}

function controls(s: State): HTMLElement {
  const signed = el("span", { class: "hint" });
  watch(() => {
    const diverging = scaleOf(s.map.value, s.colours.value).colours === DIVERGING;
    signed.textContent = diverging ? "Signed map: blue against the word, red for it; white is zero." : "";
  });
  return el(
    "div",
    { class: "controls" },
    slider("Opacity", { min: 0, max: 1, step: 0.05 }, bind(s.opacity), percent),
    select(
      "Colours",
      SEQUENTIAL.map(({ name, label }) => ({ value: name, label })),
      bind(s.colours),
    ),
    segmented(
      "Drawn as",
      [
        { value: "smooth", label: "Smooth", title: "Bilinear between the centres of cells" },
        { value: "cells", label: "Cells", title: "One flat square per visual token, as the model sees it" },
      ],
      {
        get: () => (s.display.value.smooth ? "smooth" : "cells"),
        set: (value) => bindField(s.display, "smooth").set(value === "smooth"),
      },
    ),
    checkbox("Low values let the image through", bindField(s.display, "fade")),
    signed,
  );
}
