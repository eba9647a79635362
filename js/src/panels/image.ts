/** The map over the image, in the image's own pixels, with its legend and a reading of each cell. */

import { computed, type ReadonlySignal } from "@preact/signals-core";
import { DIVERGING, paint, type Scale, SEQUENTIAL } from "../colour";
import { ARROWS, bind, bindField, checkbox, el, fill, penOf, segmented, select, setAll, slider, watch } from "../dom";
import { shownSide, unitOf } from "../facts";
import { percent } from "../format";
import { bring } from "../host";
import { extent, peakCell, tensorName, upsample } from "../maps";
import { limitsOf, methodsOf, titleOf } from "../methods";
import { cellBeside, cellBox } from "../region";
import { isShared, shownScale } from "../scale";
import type { State } from "../state";
import { drawing } from "./draw";
import { legend } from "./legend";
import { limits } from "./limits";
import { reading, summary } from "./reading";

/** Longest side of the smoothed map; the browser stretches it the rest of the way. */
const SMOOTH_SIDE = 384;

export function imagePanel(s: State): HTMLElement {
  const scale = computed(() => shownScale(s));
  const words = computed(() => summary(s));
  const place = stage(s, scale, words);
  return el(
    "section",
    { class: "panel image", "aria-label": "Image and map" },
    el("div", { class: "row about" }, methods(s), limits(s)),
    place,
    scaleLegend(s, scale),
    spoken(s, words),
    readout(s),
    drawing(s, place),
    controls(s, scale),
  );
}

function stage(s: State, scale: ReadonlySignal<Scale>, words: ReadonlySignal<string>): HTMLElement {
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
  draw(s, scale, canvas);
  watch(() => describe(s, canvas, words.value));
  watch(() => placeCursor(s, cursor));
  watch(() => wantHeads(s));
  return stage;
}

const box = (left: number, top: number, right: number, bottom: number) => ({
  left: `${100 * left}%`,
  top: `${100 * top}%`,
  width: `${100 * (right - left)}%`,
  height: `${100 * (bottom - top)}%`,
});

/** Once per frame, however many signals change in it. */
function draw(s: State, scale: ReadonlySignal<Scale>, canvas: HTMLCanvasElement): void {
  const { box } = s.e.header.grid;
  const [wide, high] = [box[2] - box[0], box[3] - box[1]];
  const zoom = SMOOTH_SIDE / Math.max(wide, high);
  const smoothed = { width: Math.max(1, Math.round(wide * zoom)), height: Math.max(1, Math.round(high * zoom)) };
  const fine = new Float32Array(smoothed.width * smoothed.height);
  watch(() => {
    const { smooth, fade, blend } = s.display.value;
    const [map, span, opacity] = [s.map.value, scale.value, s.opacity.value];
    const empty = s.veiled.value || span.high <= span.low;
    const frame = requestAnimationFrame(() => {
      const { rows, cols } = s.e.header.grid;
      canvas.style.mixBlendMode = blend;
      canvas.classList.toggle("cells", !smooth);
      const { width, height } = smooth ? smoothed : { width: cols, height: rows };
      const values = smooth ? upsample(map, rows, cols, height, width, fine) : map;
      put(canvas, width, height, (pixels) => (empty ? pixels.fill(0) : paint(values, span, opacity, fade, pixels)));
    });
    return () => cancelAnimationFrame(frame);
  });
}

const images = new WeakMap<HTMLCanvasElement, ImageData>();

/** Write a canvas's pixels, in the same memory as long as its size stays. */
function put(
  canvas: HTMLCanvasElement,
  width: number,
  height: number,
  write: (pixels: Uint8ClampedArray) => void,
): void {
  const context = penOf(canvas);
  if (!context) return;
  let image = images.get(canvas);
  if (image?.width !== width || image.height !== height) {
    Object.assign(canvas, { width, height });
    image = context.createImageData(width, height);
    images.set(canvas, image);
  }
  write(image.data);
  context.putImageData(image, 0, 0);
}

/** What the map shows, in words and as data attributes. */
function describe(s: State, canvas: HTMLCanvasElement, words: string): void {
  const map = s.map.value;
  const cell = peakCell(map);
  const { cols } = s.e.header.grid;
  const [low, high] = extent(map);
  setAll(canvas, { "aria-label": words });
  Object.assign(canvas.dataset, {
    row: String(Math.floor(cell / cols)),
    col: String(cell % cols),
    low: String(low),
    high: String(high),
    sum: String(map.reduce((a, b) => a + b, 0)),
  });
}

function spoken(s: State, words: ReadonlySignal<string>): HTMLElement {
  const line = el("p", { class: "summary", role: "status" });
  watch(() => {
    line.textContent = words.value;
    setAll(line, { "aria-live": s.playing.value ? "off" : undefined }); // not every layer that passes by
  });
  return line;
}

function scaleLegend(s: State, scale: ReadonlySignal<Scale>): HTMLElement {
  return legend(() => {
    const values = s.map.value;
    const [least, most] = extent(values);
    if (least === most || s.veiled.value) return null;
    const unit = unitOf(shownSide(s)) + (isShared(s) ? "; one scale for all words" : "");
    return { scale: scale.value, values, unit };
  });
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

/** A cell's top heads need its step's gradients: few steps' are brought as soon as one is pointed at. */
function wantHeads(s: State): void {
  const { chosen, method } = s.shown.value;
  if (s.cell.value === null || method !== "dexar" || !s.host.connected.value || s.e.header.keep === "summary") return;
  const missing = chosen.map((step) => tensorName(s.e, step)).filter((name) => !s.e.blocks.has(name));
  if (chosen.length < 4) bring(s.host, s.e, missing);
}

function placeCursor(s: State, cursor: HTMLElement): void {
  const cell = s.cell.value;
  cursor.hidden = cell === null;
  if (cell === null) return;
  const { image } = s.e.header;
  const [x, y, wide, high] = cellBox(s.e.header, cell);
  Object.assign(
    cursor.style,
    box(x / image.width, y / image.height, (x + wide) / image.width, (y + high) / image.height),
  );
}

/** Pointer and arrow keys move the cell cursor. */
function follow(s: State, canvas: HTMLCanvasElement): void {
  const { rows, cols } = s.e.header.grid;
  const point = (event: PointerEvent) => {
    const area = canvas.getBoundingClientRect();
    const col = Math.floor(((event.clientX - area.left) / area.width) * cols);
    const row = Math.floor(((event.clientY - area.top) / area.height) * rows);
    if (row >= 0 && row < rows && col >= 0 && col < cols) s.cell.value = row * cols + col;
  };
  canvas.addEventListener("pointermove", point);
  canvas.addEventListener("pointerdown", point);
  canvas.addEventListener("pointerleave", ({ pointerType }) => {
    if (pointerType !== "touch") s.cell.value = null; // a finger that lifts leaves its reading behind
  });
  canvas.addEventListener("blur", () => {
    s.cell.value = null;
  });
  canvas.addEventListener("keydown", (event) => {
    const move = ARROWS[event.key];
    if (!move || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    const { value } = s.cell;
    s.cell.value = value === null ? peakCell(s.map.value) : cellBeside(s.e.header, value, move);
  });
}

/** The method, where there are several. */
function methods(s: State): HTMLElement {
  const [choice, hint] = [el("span"), el("span", { class: "hint" })];
  fill(
    choice,
    () => methodsOf(s.e).join("\n"),
    () => {
      const choices = methodsOf(s.e).map((value) => ({ value, label: titleOf(s.e, value) }));
      const control = choices.length > 2 ? select : segmented;
      return choices.length > 1 ? [control("Map of", choices, bind(s.method))] : [];
    },
  );
  watch(() => {
    hint.textContent = limitsOf(s.e, s.method.value);
  });
  return el("div", { class: "row" }, choice, hint);
}

function controls(s: State, scale: ReadonlySignal<Scale>): HTMLElement {
  const signed = el("span", { class: "hint" });
  watch(() => {
    const diverging = scale.value.colours === DIVERGING;
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
    signed,
    el("details", {}, el("summary", {}, "Scale and blending"), el("div", { class: "row" }, ...display(s))),
  );
}

function display(s: State): HTMLElement[] {
  return [
    segmented(
      "Colours span",
      [
        { value: "own", label: "This map", title: "From this map’s least to its largest value" },
        { value: "shared", label: "All words", title: "One scale for every word, so that words can be compared" },
      ],
      bindField(s.display, "scale"),
    ),
    slider("Clip at", { min: 90, max: 100, step: 0.5 }, bindField(s.display, "clip"), (at) =>
      at < 100 ? `percentile ${at}` : "off",
    ),
    select(
      "Blend",
      [
        { value: "normal", label: "Over" },
        { value: "multiply", label: "Multiply" },
        { value: "screen", label: "Screen" },
      ],
      bindField(s.display, "blend"),
    ),
    checkbox("Low values let the image through", bindField(s.display, "fade")),
  ];
}
