/** The layer scrubber, and above it what each layer reads: the image against the text. */

import { signal } from "@preact/signals-core";
import { el, segmented, setAll, slider, svg, watch } from "../dom";
import { peakOf, sensitivity } from "../filters";
import { listed, number } from "../format";
import { allLayers, type LayerMode, type State } from "../state";
import type { Numbers } from "../tensor";

const WIDTH = 420;
const HEIGHT = 150;
const LEFT = 44;
const RIGHT = 12;
const TOP = 10;
const BOTTOM = 24;

interface Curve {
  visual: number[];
  text: number[];
}

/** Per layer the strongest head's sensitivity, averaged over the steps in view. */
export function layerCurve(s: State): Curve {
  const { e } = s;
  const { visual, text } = sensitivity(e, "max", s.options.value);
  const steps = s.steps.value;
  const mean = (values: Numbers, layer: number) =>
    steps.reduce(
      (sum, step) => sum + peakOf(e, values, step, { layers: [layer, layer], heads: s.options.value.heads }).value,
      0,
    ) / steps.length;
  const layers = e.header.layers.map((_, layer) => layer);
  return { visual: layers.map((layer) => mean(visual, layer)), text: layers.map((layer) => mean(text, layer)) };
}

export function layersPanel(s: State): HTMLElement {
  const logarithmic = signal(false);
  return el(
    "section",
    { class: "panel layers", "aria-label": "Layers" },
    el("div", { class: "head" }, el("h2", {}, "Layers"), rangeName(s)),
    chart(s, () => logarithmic.value),
    scrubber(s),
    el(
      "div",
      { class: "row" },
      segmented("Which layers", MODES, { get: () => s.layerMode.value, set: (mode) => setMode(s, mode) }),
      everything(s),
      segmented(
        "Scale of the curve",
        [
          { value: "linear", label: "Linear" },
          { value: "log", label: "Log" },
        ],
        {
          get: () => (logarithmic.value ? "log" : "linear"),
          set: (value) => {
            logarithmic.value = value === "log";
          },
        },
      ),
    ),
    el(
      "p",
      { class: "hint" },
      "Each layer’s strongest head: how far one unit of attention on the image, or on the text, would move the word’s logit. " +
        "Where the image’s line runs above the text’s, the layer reads the picture. Only the shaded layers enter map, filters and weights.",
    ),
  );
}

const MODES: { value: LayerMode; label: string; title: string }[] = [
  { value: "single", label: "One", title: "A single layer" },
  { value: "cumulative", label: "Up to", title: "The first layer up to the chosen one" },
  { value: "range", label: "Range", title: "From a first to a last layer" },
];

function setMode(s: State, mode: LayerMode): void {
  if (mode === "range") s.from.value = Math.min(s.options.value.layers[0], s.to.value);
  s.layerMode.value = mode;
}

function everything(s: State): HTMLElement {
  const button = el("button", { type: "button" }, "All layers");
  button.addEventListener("click", () => allLayers(s));
  watch(() => {
    const [from, to] = s.options.value.layers;
    setAll(button, { "aria-pressed": String(from === 0 && to === s.e.size.layers - 1) });
  });
  return button;
}

export function rangeText(s: State): string {
  const { layers } = s.e.header;
  const [from, to] = s.options.value.layers;
  if (from === to) return `layer ${layers[from]} of ${layers[0]}–${layers.at(-1)}`;
  const all = from === 0 && to === layers.length - 1;
  return `${all ? "all " : ""}layers ${layers[from]}–${layers[to]}`;
}

function rangeName(s: State): HTMLElement {
  const text = el("span", { class: "figure", role: "status" });
  watch(() => {
    text.textContent = rangeText(s);
  });
  return text;
}

function scrubber(s: State): HTMLElement {
  const range = { min: 0, max: s.e.size.layers - 1, step: 1 };
  const say = (at: number) => String(s.e.header.layers[at]);
  const first = slider(
    "First layer",
    range,
    {
      get: () => s.from.value,
      set: (at) => {
        s.from.value = Math.min(at, s.to.value);
      },
    },
    say,
  );
  const last = slider(
    "Last layer",
    range,
    {
      get: () => s.to.value,
      set: (at) => {
        s.to.value = s.layerMode.value === "range" ? Math.max(at, s.from.value) : at;
      },
    },
    say,
  );
  watch(() => {
    first.hidden = s.layerMode.value !== "range";
    last.querySelector("label")!.textContent = s.layerMode.value === "single" ? "Layer" : "Last layer";
  });
  return el("div", { class: "scrubber" }, first, last);
}

function chart(s: State, logarithmic: () => boolean): HTMLElement {
  const picture = svg("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", class: "curve" });
  const band = svg("rect", { class: "band", y: TOP, height: HEIGHT - TOP - BOTTOM });
  const axes = svg("g", { class: "axes" });
  const lines = svg("g");
  picture.append(band, axes, lines);
  watch(() => {
    const [from, to] = s.options.value.layers;
    const half = spacing(s) / 2;
    setAll(band, { x: xOf(s, from) - half, width: xOf(s, to) - xOf(s, from) + 2 * half });
  });
  watch(() => {
    const curve = layerCurve(s);
    const y = vertical([...curve.visual, ...curve.text], logarithmic());
    axes.replaceChildren(...ticks(s, y));
    lines.replaceChildren(...line(s, curve.text, y, "text"), ...line(s, curve.visual, y, "visual"));
    setAll(picture, { "aria-label": inWords(s, curve) });
  });
  pick(s, picture);
  const key = el(
    "div",
    { class: "key" },
    el("span", { class: "visual" }, "Image"),
    el("span", { class: "text" }, "Text"),
    el("span", { class: "unit" }, "logit per unit of attention"),
  );
  return el("figure", { class: "chart" }, key, picture);
}

const spacing = (s: State): number => (WIDTH - LEFT - RIGHT) / s.e.size.layers;
const xOf = (s: State, layer: number): number => LEFT + spacing(s) * (layer + 0.5);

interface Vertical {
  ticks: number[];
  at: (value: number) => number;
}

function vertical(values: number[], logarithmic: boolean): Vertical {
  const high = Math.max(...values, Number.MIN_VALUE);
  const low = Math.min(...values.filter((value) => value > 0), high);
  const floor = Math.max(low, high / 1e5);
  const height = HEIGHT - TOP - BOTTOM;
  const share =
    logarithmic && floor < high
      ? (value: number) => Math.max(0, Math.log(value / floor) / Math.log(high / floor))
      : (value: number) => value / high;
  const middle = logarithmic ? Math.sqrt(floor * high) : high / 2;
  return { ticks: [logarithmic ? floor : 0, middle, high], at: (value) => HEIGHT - BOTTOM - height * share(value) };
}

function ticks(s: State, y: Vertical): SVGElement[] {
  const { layers } = s.e.header;
  const every = Math.max(1, Math.ceil(layers.length / 12));
  const horizontal = y.ticks.flatMap((value) => [
    svg("line", { x1: LEFT, x2: WIDTH - RIGHT, y1: y.at(value), y2: y.at(value) }),
    svg("text", { x: LEFT - 6, y: y.at(value) + 4, "text-anchor": "end" }, number(value)),
  ]);
  const labels = layers.flatMap((layer, i) =>
    i % every ? [] : [svg("text", { x: xOf(s, i), y: HEIGHT - 7, "text-anchor": "middle" }, String(layer))],
  );
  return [...horizontal, ...labels];
}

function line(s: State, values: number[], y: Vertical, kind: string): SVGElement[] {
  const points = values.map((value, layer) => `${xOf(s, layer).toFixed(1)},${y.at(value).toFixed(1)}`);
  const dots = values.map((value, layer) =>
    svg(
      "circle",
      { class: kind, cx: xOf(s, layer), cy: y.at(value), r: values.length > 20 ? 2 : 3.5 },
      svg("title", {}, `Layer ${s.e.header.layers[layer]}: ${kind === "visual" ? "image" : "text"} ${number(value)}`),
    ),
  );
  return [svg("polyline", { class: kind, points: points.join(" ") }), ...dots];
}

function inWords(s: State, { visual, text }: Curve): string {
  const { layers } = s.e.header;
  const top = (values: number[]) => values.indexOf(Math.max(...values));
  const above = layers.filter((_, i) => visual[i]! > text[i]!).map(String);
  return (
    `Sensitivity per layer. Image: largest in layer ${layers[top(visual)]} (${number(visual[top(visual)]!)}). ` +
    `Text: largest in layer ${layers[top(text)]} (${number(text[top(text)]!)}). ` +
    (above.length
      ? `The image is above the text in layer ${listed(above, 12)}.`
      : "The text is above the image everywhere.")
  );
}

/** A click or drag on the curve chooses the layer, or moves the nearer end of the range. */
function pick(s: State, picture: SVGElement): void {
  const choose = (event: PointerEvent) => {
    const area = picture.getBoundingClientRect();
    const x = ((event.clientX - area.left) / area.width) * WIDTH;
    const at = Math.max(0, Math.min(s.e.size.layers - 1, Math.floor((x - LEFT) / spacing(s))));
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
