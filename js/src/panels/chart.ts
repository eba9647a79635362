/** A small chart over the layers, the chosen ones shaded; a click or a drag on it chooses. */

import { el, setAll, svg, watch } from "../dom";
import { number } from "../format";
import type { State } from "../state";

const WIDTH = 420;
const LEFT = 44;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

export interface Vertical {
  /** Values that have a line, and what stands beside it. */
  ticks: [number, string][];
  at: (value: number) => number;
}

export interface Line {
  values: readonly number[];
  kind: "visual" | "text";
  y: Vertical;
  /** What a dot says. */
  say: (value: number) => string;
}

/** `lines` share the first one's axis unless they bring their own; the result is named by `words`. */
export function chart(s: State, height: number, lines: () => Line[], words: () => string): SVGElement {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "curve" });
  const band = svg("rect", { class: "band", y: TOP, height: height - TOP - BOTTOM });
  const drawn = svg("g");
  picture.append(band, drawn);
  watch(() => {
    const [from, to] = s.options.value.layers;
    const half = spacing(s) / 2;
    setAll(band, { x: xOf(s, from) - half, width: xOf(s, to) - xOf(s, from) + 2 * half });
  });
  watch(() => {
    const all = lines();
    const x = along(s.e.header.layers, (i) => `Layer ${s.e.header.layers[i]}`);
    drawn.replaceChildren(axes(x, height, all[0]!.y), ...all.flatMap((each) => line(x, each)).reverse());
  });
  watch(() => setAll(picture, { "aria-label": words() }));
  pick(s, picture);
  return picture;
}

/** What the lines are, and the unit. */
export const key = (visual: string, text: string, unit: string): HTMLElement =>
  el(
    "div",
    { class: "key" },
    el("span", { class: "visual" }, visual),
    el("span", { class: "text" }, text),
    el("span", { class: "unit" }, unit),
  );

/** Where a chart's dots stand from left to right, what they are called, and what is written below. */
export interface Horizontal {
  at(i: number): number;
  name(i: number): string;
  labels: [x: number, text: string][];
}

/** From the chart's left edge to its right one. */
export const across = (share: number): number => LEFT + (WIDTH - LEFT - RIGHT) * share;

const spacing = (s: State): number => (WIDTH - LEFT - RIGHT) / s.e.size.layers;
const xOf = (s: State, layer: number): number => across((layer + 0.5) / s.e.size.layers);

/** As many equal places as there are layers, labelled as far as there is room. */
export function along(layers: readonly number[], name: (i: number) => string): Horizontal {
  const every = Math.max(1, Math.ceil(layers.length / 12));
  const at = (i: number) => across((i + 0.5) / layers.length);
  return { at, name, labels: layers.flatMap((layer, i) => (i % every ? [] : [[at(i), String(layer)]])) };
}

/** A picture of lines that nothing can be chosen on. */
export function plot(height: number, x: Horizontal, lines: Line[], words: string, behind?: SVGElement): SVGElement {
  const all = lines.flatMap((each) => line(x, each)).reverse();
  const parts = [axes(x, height, lines[0]!.y), ...(behind ? [behind] : []), ...all];
  return svg(
    "svg",
    { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", class: "curve still", "aria-label": words },
    ...parts,
  );
}

/** From the first of some ticks to the last. */
export function between(height: number, ticks: readonly number[], say: (value: number) => string): Vertical {
  const [low, high] = [ticks[0]!, ticks.at(-1)!];
  return {
    ticks: ticks.map((value) => [value, say(value)]),
    at: (value) => rise(height, high > low ? (value - low) / (high - low) : 0),
  };
}

/** From the foot of a chart of some height to its head. */
export const rise = (height: number, share: number): number => height - BOTTOM - (height - TOP - BOTTOM) * share;

/** From 0, or with a logarithmic scale from the least value above 0, to the largest. */
export function vertical(height: number, values: number[], logarithmic: boolean): Vertical {
  const high = Math.max(...values, Number.MIN_VALUE);
  const low = Math.min(...values.filter((value) => value > 0), high);
  const floor = Math.max(low, high / 1e5);
  const share =
    logarithmic && floor < high
      ? (value: number) => Math.max(0, Math.log(value / floor) / Math.log(high / floor))
      : (value: number) => value / high;
  const marks = logarithmic ? [floor, Math.sqrt(floor * high), high] : [0, high / 2, high];
  return { ticks: marks.map((value) => [value, number(value)]), at: (value) => rise(height, share(value)) };
}

function axes(x: Horizontal, height: number, y: Vertical): SVGElement {
  const horizontal = y.ticks.flatMap(([value, text]) => [
    svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y.at(value), y2: y.at(value) }),
    svg("text", { x: LEFT - 6, y: y.at(value) + 4, "text-anchor": "end" }, text),
  ]);
  const labels = x.labels.map(([at, text]) => svg("text", { x: at, y: height - 7, "text-anchor": "middle" }, text));
  return svg("g", { class: "axes" }, ...horizontal, ...labels);
}

/** Points that a line joins, as SVG has them. */
export const pointsOf = (x: Horizontal, y: Vertical, values: readonly number[]): string[] =>
  values.map((value, i) => `${x.at(i).toFixed(1)},${y.at(value).toFixed(1)}`);

function line(x: Horizontal, { values, kind, y, say }: Line): SVGElement[] {
  const dots = values.map((value, i) =>
    svg(
      "circle",
      { class: kind, cx: x.at(i), cy: y.at(value), r: values.length > 20 ? 2 : 3.5 },
      svg("title", {}, `${x.name(i)}: ${say(value)}`),
    ),
  );
  return [...dots, svg("polyline", { class: kind, points: pointsOf(x, y, values).join(" ") })];
}

/** The layer under a pointer. */
export function layerAt(s: State, picture: Element, event: PointerEvent): number {
  const area = picture.getBoundingClientRect();
  const x = ((event.clientX - area.left) / area.width) * WIDTH;
  return Math.max(0, Math.min(s.e.size.layers - 1, Math.floor((x - LEFT) / spacing(s))));
}

/** A click or drag chooses the layer, or moves the nearer end of the range. */
function pick(s: State, picture: SVGElement): void {
  const choose = (event: PointerEvent) => {
    const at = layerAt(s, picture, event);
    if (s.layerMode.value === "range" && Math.abs(at - s.from.value) < Math.abs(at - s.to.value)) s.from.value = at;
    else s.to.value = at;
  };
  picture.addEventListener("pointerdown", (event) => {
    picture.setPointerCapture(event.pointerId);
    choose(event);
  });
  picture.addEventListener("pointermove", (event) => {
    if (event.buttons) choose(event);
  });
}
