/** Where the image is read: a matrix of layers × steps for the whole answer; a click goes there. */

import { batch, computed, signal } from "@preact/signals-core";
import { asTable, bind, el, row, segmented } from "../dom";
import { peakOf, sensitivity } from "../filters";
import { nats, number, quoted } from "../format";
import { peakCell } from "../maps";
import type { Knockout } from "../results";
import { entriesOf, explainedWords, type State, wordAt } from "../state";
import type { Numbers } from "../tensor";
import { knockout, NOTHING, windowName } from "./knockout";
import { matrixView, type Place } from "./matrix";
import { choose } from "./words";

type Kind = "visual" | "text" | "difference";
type Flow = Record<Kind, Float64Array>;

const KINDS: { value: Kind; label: string }[] = [
  { value: "visual", label: "Image" },
  { value: "text", label: "Text" },
  { value: "difference", label: "Image − text" },
];

/** Per step and layer (layers innermost) the largest sensitivity of the heads that count; every layer. */
export function flowOf(s: State): Flow {
  const { e } = s;
  const o = s.options.value;
  const read = sensitivity(e, o.headFilter, o);
  const { layers, steps } = e.size;
  const peaks = (values: Numbers) =>
    Float64Array.from({ length: steps * layers }, (_, at) => {
      const layer = at % layers;
      return peakOf(e, values, Math.floor(at / layers), { layers: [layer, layer], heads: o.heads }).value;
    });
  const [visual, text] = [peaks(read.visual), peaks(read.text)];
  return { visual, text, difference: visual.map((value, at) => value - text[at]!) };
}

export function flowPanel(s: State): HTMLElement {
  const { layers, steps } = s.e.size;
  const kind = signal<Kind>("visual");
  const flow = computed(() => flowOf(s));
  const values = computed(() => flow.value[kind.value]);
  const layerOf = (row: number) => layers - 1 - row;
  const view = matrixView({
    cols: steps,
    rows: () => Array.from({ length: layers }, (_, row) => layerName(s, layerOf(row))),
    values: () =>
      Array.from(
        { length: steps * layers },
        (_, at) => values.value[(at % steps) * layers + layerOf(Math.floor(at / steps))]!,
      ),
    colours: () => s.colours.value,
    counts: (at) => isShown(s, at % steps, layerOf(Math.floor(at / steps))),
    summary: () => summary(s, values.value, kind.value),
    reading: (place) => reading(s, flow.value, place, layerOf(place.row)),
    act: (place) => jump(s, place, layerOf(place.row)),
    heading: heading(s),
  });
  return el(
    "section",
    { class: "flow", "aria-label": "Flow" },
    el("div", { class: "head" }, el("h2", {}, "Flow"), segmented("What the squares show", KINDS, bind(kind))),
    view,
    el(
      "p",
      { class: "hint" },
      "Each layer’s strongest head, token by token. Click a square to see that word and layer, or either’s name. Small squares are not in the map now.",
    ),
    knockout(s, (found) => windowsMatrix(s, found)),
  );
}

function isShown(s: State, step: number, layer: number): boolean {
  const [from, to] = s.options.value.layers;
  return layer >= from && layer <= to && (!s.chosen.value.length || s.chosen.value.includes(step));
}

/** Show the word there by this layer alone. */
function jump(s: State, { row, col }: Place, layer: number): void {
  batch(() => {
    if (col >= 0) choose(s, wordAt(s.e, col)!, "only");
    if (row < 0) return;
    s.layerMode.value = "single";
    s.to.value = layer;
  });
}

const layerName = (s: State, layer: number): string => `layer ${s.e.header.layers[layer]}`;
const wordOf = (s: State, entry: number): string =>
  `${quoted(wordAt(s.e, entry)?.text ?? "")} at step ${s.e.header.steps[entry]}`;

function reading(s: State, flow: Flow, { row, col }: Place, layer: number): string {
  const { layers } = s.e.size;
  const within = (_: number, at: number) =>
    (row < 0 || at % layers === layer) && (col < 0 || Math.floor(at / layers) === col);
  const most = (values: Float64Array) => number(Math.max(...values.filter(within)));
  const word = col < 0 ? "all words" : wordOf(s, col);
  return `${word}, ${row < 0 ? "all layers" : layerName(s, layer)} · image ${most(flow.visual)} · text ${most(flow.text)}`;
}

function summary(s: State, values: Float64Array, kind: Kind): string {
  const { layers } = s.e.size;
  const best = peakCell(values);
  const what = { visual: "The image is read", text: "The text is read", difference: "The image exceeds the text" }[
    kind
  ];
  return `${what} most for ${wordOf(s, Math.floor(best / layers))} in ${layerName(s, best % layers)} (${number(values[best]!)}).`;
}

/** The words above their tokens' columns. */
function heading(s: State): HTMLElement {
  const { steps } = s.e.size;
  const names = explainedWords(s.e).map((word) => {
    const entries = entriesOf(s.e, word);
    const name = el("span", {}, word.text.trim() || "␣");
    Object.assign(name.style, { left: `${(100 * entries[0]!) / steps}%`, width: `${(100 * entries.length) / steps}%` });
    return name;
  });
  return el("div", { class: "heading", "aria-hidden": "true" }, ...names);
}

/** What each word loses by windows of layers, in the columns of the flow above; the last windows on top. */
function windowsMatrix(s: State, { windows, words, aligned, depth }: Knockout): Node[] {
  const { steps } = s.e.size;
  const wordsOfSteps = s.e.header.steps.map((step) => words.find((word) => word.steps.includes(step)));
  const windowOf = (row: number) => windows.length - 1 - row;
  const lost = ({ row, col }: Place) => {
    const drop = wordsOfSteps[col]?.drop[windowOf(row)] ?? 0;
    return Math.abs(drop) < NOTHING ? 0 : drop; // else a trace below zero would ask for two colours
  };
  const placeOf = (at: number): Place => ({ row: Math.floor(at / steps), col: at % steps });
  const values = Array.from({ length: steps * windows.length }, (_, at) => lost(placeOf(at)));
  const whole = words.at(-1)!;
  const reading = ({ row, col }: Place): string => {
    const word = wordsOfSteps[col] ?? whole;
    const where = row < 0 ? "all layers" : windowName(windows[windowOf(row)]!);
    const some = row < 0 ? word.total : word.drop[windowOf(row)]!;
    return `${quoted(word.word)}, ${where} · ${nats(some)} nats lost, ${nats(word.total)} in all ${depth} layers`;
  };
  const view = matrixView({
    cols: steps,
    rows: () => windows.map((_, row) => windowName(windows[windowOf(row)]!)),
    values: () => values,
    colours: () => s.colours.value,
    counts: (at) => !s.chosen.value.length || s.chosen.value.includes(at % steps),
    summary: () => `Nats lost by window: most for ${reading(placeOf(peakCell(Float64Array.from(values))))}.`,
    reading,
    act: ({ row, col }) =>
      batch(() => {
        if (col >= 0) choose(s, wordAt(s.e, col)!, "only");
        if (row < 0 || !aligned) return;
        s.layerMode.value = "range";
        [s.from.value, s.to.value] = windows[windowOf(row)]!;
      }),
    heading: heading(s),
  });
  const heads = ["Word", "All layers", ...windows.map((window) => windowName(window).replace(/^layers? /, ""))];
  const rows = words.map(({ word, total, drop }) => row(word, nats(total), ...drop.map(nats)));
  return [view, asTable(heads, rows)];
}
