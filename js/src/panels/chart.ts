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
    drawn.replaceChildren(...axes(s, height, all[0]!.y), ...all.flatMap((each) => line(s, each)).reverse());
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

const spacing = (s: State): number => (WIDTH - LEFT - RIGHT) / s.e.size.layers;
const xOf = (s: State, layer: number): number => LEFT + spacing(s) * (layer + 0.5);

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

function axes(s: State, height: number, y: Vertical): SVGElement[] {
  const { layers } = s.e.header;
  const every = Math.max(1, Math.ceil(layers.length / 12));
  const horizontal = y.ticks.flatMap(([value, text]) => [
    svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y.at(value), y2: y.at(value) }),
    svg("text", { x: LEFT - 6, y: y.at(value) + 4, "text-anchor": "end" }, text),
  ]);
  const labels = layers.flatMap((layer, i) =>
    i % every ? [] : [svg("text", { x: xOf(s, i), y: height - 7, "text-anchor": "middle" }, String(layer))],
  );
  return [svg("g", { class: "axes" }, ...horizontal, ...labels)];
}

function line(s: State, { values, kind, y, say }: Line): SVGElement[] {
  const points = values.map((value, layer) => `${xOf(s, layer).toFixed(1)},${y.at(value).toFixed(1)}`);
  const dots = values.map((value, layer) =>
    svg(
      "circle",
      { class: kind, cx: xOf(s, layer), cy: y.at(value), r: values.length > 20 ? 2 : 3.5 },
      svg("title", {}, `Layer ${s.e.header.layers[layer]}: ${say(value)}`),
    ),
  );
  return [...dots, svg("polyline", { class: kind, points: points.join(" ") })];
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
