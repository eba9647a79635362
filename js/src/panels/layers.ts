/** The layer scrubber, and above it what each layer reads and would say. */

import { computed, signal } from "@preact/signals-core";
import { bind, button, type Control, checkbox, el, segmented, setAll, slider, watch } from "../dom";
import { hasLevel, type Options, peakOf, sensitivity } from "../filters";
import { listed, number } from "../format";
import { allLayers, type LayerMode, type State } from "../state";
import type { Numbers } from "../tensor";
import type { Explanation } from "../wire";
import { chart, key, vertical } from "./chart";
import { knockout, windowsChart } from "./knockout";
import { lensChart } from "./lens";
import { playing } from "./play";

const HEIGHT = 140;

interface Curve {
  visual: number[];
  text: number[];
}

/** Per layer the strongest head's sensitivity, averaged over the steps in view. */
export const layerCurve = (s: State): Curve => curveOf(s.e, s.steps.value, s.options.value);

function curveOf(
  e: Explanation,
  steps: readonly number[],
  { heads, textSet, preset }: Pick<Options, "heads" | "textSet" | "preset">,
): Curve {
  const { visual, text } = sensitivity(e, "max", { textSet: readable(e, textSet), preset });
  const mean = (values: Numbers, layer: number) =>
    steps.reduce((sum, step) => sum + peakOf(e, values, step, { layers: [layer, layer], heads }).value, 0) /
    steps.length;
  const layers = e.header.layers.map((_, layer) => layer);
  return { visual: layers.map((layer) => mean(visual, layer)), text: layers.map((layer) => mean(text, layer)) };
}

/** What every view opens with, where a text set's largest gradients are not there. */
const readable = (e: Explanation, textSet: string): string => (hasLevel(e, "max", textSet) ? textSet : "all");

export function layersPanel(s: State): HTMLElement {
  return el(
    "section",
    { class: "panel layers", "aria-label": "Layers" },
    el("div", { class: "head" }, el("h2", {}, "Layers"), rangeName(s)),
    curve(s),
    knockout(s, (found) => windowsChart(s, found)),
    lensChart(s),
    scrubber(s),
    el(
      "div",
      { class: "row" },
      segmented("Which layers", MODES, { get: () => s.layerMode.value, set: (mode) => setMode(s, mode) }),
      everything(s),
      playing(s),
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
  const all = button("All layers", () => allLayers(s));
  watch(() => {
    const [from, to] = s.options.value.layers;
    setAll(all, { "aria-pressed": String(from === 0 && to === s.e.size.layers - 1) });
  });
  return all;
}

function rangeText(s: State): string {
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
    setAll(text, { "aria-live": s.playing.value ? "off" : undefined });
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

/** Image against text, made anew only when what it depends on changes: not when the layers do. */
function curve(s: State): HTMLElement {
  const logarithmic = signal(false);
  const heads = computed(() => s.options.value.heads);
  const textSet = computed(() => s.options.value.textSet);
  const preset = computed(() => s.options.value.preset);
  const values = computed(() =>
    curveOf(s.e, s.steps.value, { heads: heads.value, textSet: textSet.value, preset: preset.value }),
  );
  const picture = chart(
    s,
    HEIGHT,
    () => {
      const { visual, text } = values.value;
      const y = vertical(HEIGHT, [...visual, ...text], logarithmic.value);
      return [
        { values: visual, kind: "visual", y, say: (value) => `image ${number(value)}` },
        { values: text, kind: "text", y, say: (value) => `text ${number(value)}` },
      ];
    },
    () => inWords(s, values.value),
  );
  const legend = key("Image", "Text", "logit per unit of attention");
  watch(() => {
    const known = readable(s.e, textSet.value) === textSet.value;
    legend.children[1]!.textContent = known ? "Text" : "Text (everything)";
  });
  return el("figure", {}, legend, picture, explained(bind(logarithmic)));
}

const explained = (logarithmic: Control<boolean>): HTMLElement =>
  el(
    "details",
    {},
    el("summary", {}, "What the lines say"),
    el(
      "p",
      { class: "hint" },
      "Each layer’s strongest head: how far one unit of attention on the image, or on the text, would move the word’s logit. " +
        "Where the image’s line runs above the text’s, the layer reads the picture. Only the shaded layers enter map, filters and weights.",
    ),
    checkbox("Logarithmic", logarithmic),
  );

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
