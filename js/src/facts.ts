/** What is shown, in words and as plain values: for legends, captions, and the heads of exported files. */

import { quoted } from "./format";
import { tensorName } from "./maps";
import { type Method, readyMade, titleOf } from "./methods";
import { entriesOf, nameOf, type Shown, type State } from "./state";
import type { Explanation, MethodSpec } from "./wire";

/** What is looked at: some steps of an answer (none: all of it) under a choice of options. */
export interface Side extends Pick<Shown, "options" | "chosen" | "method"> {
  e: Explanation;
}

/** Said in place of whatever would give the map away while a guess is asked for. */
export const VEILED = "The map is hidden until the guess is made.";

export const shownSide = (s: State): Side => ({ ...s.shown.value, e: s.e });

/** What a map's numbers are; maps of one unit can be compared as they are. */
export function unitOf({ e, options: o, chosen, method }: Side): string {
  const ready = readyMade(e, method);
  if (ready) return chosen.length || ready.whole ? ready.unit : summedUnit(ready);
  if (method === "attention") return `attention, mean over heads${chosen.length ? "" : ", summed over the words"}`;
  const words = chosen.length || o.fillerFilter === "none" ? "" : ", times word weight";
  if (!chosen.length && o.preset === "paper") return `sum of words’ maps, each scaled 0–1${words}`;
  return `logit per unit of attention${o.headFilter === "none" ? "" : ", times head weight"}${words}`;
}

const summedUnit = ({ unit, minmaxed }: MethodSpec): string =>
  minmaxed ? "sum of words’ maps, each scaled 0–1" : `${unit}, summed over the words`;

/** The chosen words, as the answer has them. */
export function wordsOf({ e, chosen }: Pick<Side, "e" | "chosen">): string {
  const words = e.header.words.filter((word) => entriesOf(e, word).some((entry) => chosen.includes(entry)));
  return words.map(({ text }) => quoted(text)).join(" + ") || "The whole answer";
}

/** A run of layers by its first and last true index. */
export const runOf = (first: number, last: number): string =>
  first === last ? `layer ${first}` : `layers ${first}–${last}`;

/** First and last layer, by their true indices. */
export const layersOf = ({ e, options: { layers } }: Pick<Side, "e" | "options">): [number, number] => [
  e.header.layers[layers[0]]!,
  e.header.layers[layers[1]]!,
];

/** The chosen heads within the chosen layers, as [layer, head] by true indices; null: all. */
export function headsOf({ e, options: o }: Pick<Side, "e" | "options">): [number, number][] | null {
  const { heads } = e.size;
  const pairs = [...(o.heads ?? [])].sort((a, b) => a - b).map((at) => [Math.floor(at / heads), at % heads] as const);
  const within = pairs.filter(([layer]) => layer >= o.layers[0] && layer <= o.layers[1]);
  return o.heads && within.map(([layer, head]) => [e.header.layers[layer]!, head]);
}

export const modelOf = (e: Explanation): string =>
  // A folder's last two names say enough.
  (e.header.provenance.model ?? "").split("/").slice(-2).join("/");

/** The settings as one line. */
export function settingsLine(side: Side): string {
  const [first, last] = layersOf(side);
  const { e, options: o, method } = side;
  const ready = readyMade(e, method);
  if (ready) return readyLine(e, ready);
  const layers = runOf(first, last);
  if (method === "attention") return `raw attention, ${layers}`;
  const heads = headsOf(side);
  return [
    titleOf(e, method),
    layers,
    heads && `${heads.length} heads chosen`,
    `head filter ${nameOf(o.headFilter)}`,
    `filler filter ${nameOf(o.fillerFilter)}`,
    `text: ${o.textSet}`,
    o.relu ? "positive gradients" : "signed gradients",
    `preset ${o.preset}`,
  ]
    .filter(Boolean)
    .join(", ");
}

const readyLine = (e: Explanation, { name, control, whole }: MethodSpec): string =>
  [
    titleOf(e, name),
    control && "a chance control",
    whole && "one map for the whole answer",
    "whatever the layers and filters",
  ]
    .filter(Boolean)
    .join(", ");

/** Everything that the numbers depend on, by the names that Python has for it. */
export function record(s: State): Record<string, unknown> {
  const side = shownSide(s);
  const { chosen, method } = side;
  return {
    prompt: s.e.header.prompt,
    answer: s.e.header.answer,
    words: wordsOf(side),
    whole_answer: !chosen.length,
    steps: s.steps.value.map((entry) => s.e.header.steps[entry]),
    ...optionsOf(side),
    method,
    unit: unitOf(side),
    precision: isExact(s, method) ? "32 bits" : "8 bits: within half a percent of the peak",
    provenance: s.e.header.provenance,
  };
}

/** No option touches a ready-made map. */
export function optionsOf(side: Side): Record<string, unknown> {
  const { e, options: o, method } = side;
  if (readyMade(e, method)) return {};
  return {
    layers: layersOf(side),
    heads: headsOf(side),
    head_filter: o.headFilter,
    filler_filter: o.fillerFilter,
    text_set: o.textSet,
    relu: o.relu,
    preset: o.preset,
  };
}

function isExact({ e, steps }: State, method: Method): boolean {
  const whole = (name: string) => e.blocks.has(name) && !e.blocks.get(name)!.scale;
  if (method === "dexar") return steps.value.every((entry) => whole(tensorName(e, entry)));
  return readyMade(e, method) !== undefined && whole(`method/${method}`);
}
