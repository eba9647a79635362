/** Which way the image comes in: what a word loses when one part of the sequence may not read another. */

import { computed } from "@preact/signals-core";
import { asTable, bind, el, fill, hint, row, segmented, sentence, watch } from "../dom";
import { runOf } from "../facts";
import { listed, nats, quoted } from "../format";
import { NATS } from "../region";
import { type Knockout, resultOf, resultsOf, same } from "../results";
import { explainedWords, type State } from "../state";
import { along, between, plot } from "./chart";
import { wordsAmong } from "./checks";
import { measuring } from "./measure";

const HEIGHT = 104;

const CUTS = [
  { value: "image answer", label: "image → answer", title: "The answer may not read the image" },
  { value: "image prompt", label: "image → prompt", title: "The prompt may not read the image" },
  { value: "prompt answer", label: "prompt → answer", title: "The answer may not read the prompt" },
];

/** Nats lost below this count as nothing. */
export const NOTHING = 0.05;

const WAYS: Record<string, string> = {
  "image answer": "Without the answer’s own reads of the image",
  "image prompt": "Without the prompt’s reads of the image",
  "prompt answer": "Without the answer’s reads of the prompt",
};

/** What it means where the words in view need what was cut. */
const MEANINGS: Record<string, string> = {
  "image answer": "the image is read directly, by the word’s own position or an earlier one’s",
  "image prompt": "the prompt’s words read the image for it, which DEX-AR counts as text",
  "prompt answer": "it needs the question, or what the prompt’s words took from the image (cut image → prompt to tell)",
};

const RELAYED =
  "DEX-AR sees direct reads alone, by the position that predicts a word. What the image gave to the prompt’s or to earlier words, and they pass on, counts as text there, and can silence a visual word. " +
  "A cut shows it: in every window of neighbouring layers, and in all layers, one part may not read another, and the same answer is scored again.";

export interface Loss {
  name: string;
  total: number;
  /** Per window. */
  drop: number[];
}

/** What the words in view lose together: log-probabilities add up. */
export function lossOf(s: State, found: Knockout): Loss {
  const { steps } = s.e.header;
  const chosen = s.chosen.value.map((entry) => steps[entry]!);
  const whole = !chosen.length || wordsAmong(s, chosen).length === explainedWords(s.e).length;
  const rows = found.words.filter((word) =>
    whole ? same(word.steps, steps) : !same(word.steps, steps) && word.steps.some((step) => chosen.includes(step)),
  );
  return {
    name: whole ? "the whole answer" : listed(rows.map(({ word }) => quoted(word))),
    total: rows.reduce((sum, { total }) => sum + total, 0),
    drop: found.windows.map((_, i) => rows.reduce((sum, { drop }) => sum + drop[i]!, 0)),
  };
}

export const windowName = ([first, last]: readonly [number, number]): string => runOf(first, last);

/** The control, what `draw` makes of its result, and what that says. */
export function knockout(s: State, draw: (found: Knockout) => Node[]): HTMLElement {
  const cut = computed(() => s.cut.value.split(" "));
  const found = computed(() => resultOf(s.results.value, "knockout", { cut: cut.value }));
  const test = {
    kind: "knockout" as const,
    name: "Attention cut",
    label: () => "Cut and ask again",
    content: () => ({ cut: cut.value }),
    idle: () => (found.value || s.host.model.value ? "" : "This cut was not made before this copy was."),
  };
  const choice = segmented("Cut", CUTS, bind(s.cut));
  const go = measuring(s, test);
  const shown = el("div", { class: "shown" });
  fill(
    shown,
    () => found.value,
    (it) => (it ? [...draw(it), sentence(() => inWords(s.cut.value, it, lossOf(s, it)))] : []),
  );
  const why = el("details", {}, el("summary", {}, "What a cut tells"), hint(RELAYED));
  const all = el(
    "div",
    { class: "knockout", role: "group", "aria-label": "Attention cut" },
    el("div", { class: "row" }, el("h3", {}, "Cut"), choice),
    go,
    shown,
    why,
  );
  watch(() => {
    all.hidden = !s.host.model.value && !resultsOf(s.results.value, "knockout").length;
    go.querySelector("button")!.hidden = !s.host.model.value;
  });
  return all;
}

export function inWords(cut: string, { windows, depth }: Knockout, { name, total, drop }: Loss): string {
  const start = `${WAYS[cut]}, in all ${depth} layers, ${name} ${loses(total)}`;
  const means = total >= NATS ? `: ${MEANINGS[cut]}` : Math.abs(total) < NOTHING ? ": it does not come this way" : "";
  const largest = Math.max(...drop);
  const most = windows[drop.indexOf(largest)]!;
  const alone = `${windowName(most)} alone ${most[0] === most[1] ? "costs" : "cost"} most: ${nats(largest)}`;
  const spread = total >= NATS && largest < total / 2 ? ", so others make up for it" : "";
  return `${start}${means}. ${largest < NOTHING ? "No layers alone cost it anything" : `Of all windows, ${alone}${spread}`}.`;
}

const loses = (lost: number): string =>
  Math.abs(lost) < NOTHING ? "loses nothing" : lost > 0 ? `loses ${nats(lost)} nats` : `gains ${nats(-lost)} nats`;

/** Below the layer curve, on the same axis: a dot in the middle of each window. */
export function windowsChart(s: State, found: Knockout): Node[] {
  const { windows, depth } = found;
  const width = windows[0]![1] - windows[0]![0] + 1;
  const layers = found.aligned ? s.e.header.layers : Array.from({ length: depth }, (_, layer) => layer);
  const axis = along(layers, (i) => windowName(windows[i]!).replace(/^l/, "L"));
  const x = { ...axis, at: (i: number) => axis.at((windows[i]![0] + windows[i]![1]) / 2) };
  const place = el("div");
  fill(
    place,
    () => lossOf(s, found),
    ({ name, total, drop }) => {
      const [low, high] = [Math.min(...drop), Math.max(NOTHING, ...drop)];
      const y = between(HEIGHT, low < -NOTHING ? [low, 0, high] : [0, high / 2, high], nats);
      const say = (value: number) => `${nats(value)} nats lost`;
      const words = `Nats that ${name} loses by window of layers: ${windows.map((window, i) => `${windowName(window)} ${nats(drop[i]!)}`).join(", ")}. In all layers ${nats(total)}.`;
      const rows = windows.map((window, i) => row(windowName(window), nats(drop[i]!)));
      return [
        plot(HEIGHT, x, [{ values: drop, kind: "visual", y, say }], words),
        asTable(["Layers", "Nats lost"], [...rows, row(`all ${depth} layers`, nats(total))]),
      ];
    },
  );
  const what = width > 1 ? `Each window of ${width} layers, at its middle` : "Each layer";
  const side = found.aligned ? "" : " (not the layers above)";
  return [
    el(
      "div",
      { class: "key" },
      el("span", { class: "visual" }, `${what}${side}`),
      el("span", { class: "unit" }, "nats lost"),
    ),
    place,
  ];
}
