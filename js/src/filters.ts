/** Which heads and which words count: `filters.py` again, so that no slider has to ask Python. */

import type { Numbers } from "./tensor";
import { type Explanation, type Level, need, type Preset } from "./wire";

export interface Options {
  /** Layer entries, first and last included. */
  layers: [number, number];
  /** Entries layer × heads + head of the heads that count; null: all. */
  heads: ReadonlySet<number> | null;
  textSet: string;
  headFilter: Level;
  fillerFilter: Level;
  /** False keeps the map's negative gradients; δ and ω stay as they are. */
  relu: boolean;
  /** `released` reads the last layer through the final norm applied twice, and sums words unscaled. */
  preset: Preset;
}

export interface Sensitivity {
  visual: Numbers;
  text: Numbers;
}

export interface Peak {
  /** Entries of the layer and head that won. */
  layer: number;
  head: number;
  value: number;
}

interface Reason {
  visual: Peak;
  text: Peak;
  /** Position of the text token that won, −1 if there was no text to look at. */
  token: number;
}

const memory = new WeakMap<Explanation, Map<string, Float64Array | Numbers>>();

/** What depends on few options is made once for each of their combinations. */
export function once<T extends Float64Array | Numbers>(e: Explanation, key: string, make: () => T): T {
  const known = memory.get(e) ?? new Map<string, T>();
  memory.set(e, known);
  const values = known.get(key) ?? make();
  known.set(key, values);
  return values as T;
}

/** A block of one value per step, layer and head, its last layer as the preset reads it. */
function perHead(e: Explanation, name: string, preset: Preset): Numbers {
  return preset === "released" ? once(e, `released/${name}`, () => patched(e, name)) : need(e, name).data;
}

function patched(e: Explanation, name: string): Numbers {
  const { steps, layers, heads } = e.size;
  const values = need(e, name).data.slice();
  const last = need(e, `twice/${name}`).data;
  for (let step = 0; step < steps; step++)
    values.set(last.subarray(step * heads, (step + 1) * heads), (step * layers + layers - 1) * heads);
  return values;
}

/** All that a preset stands for; null where an explanation does not have it. */
export function presetOptions(e: Explanation, preset: Preset): Options | null {
  const spec = e.header.presets[preset];
  return spec ? { ...spec, preset, heads: null, headFilter: "max", fillerFilter: "max", relu: true } : null;
}

const reading = (level: Level): Exclude<Level, "none"> => (level === "none" ? "max" : level);

/** The part that a reading of a text set comes in. */
export const levelPart = (level: Level, textSet: string): string => `level/${textSet}/${reading(level)}`;

export const hasLevel = (e: Explanation, level: Level, textSet: string): boolean =>
  e.blocks.has(`visual/${reading(level)}`) && e.blocks.has(`text/${textSet}/${reading(level)}`);

export function sensitivity(e: Explanation, level: Level, o: Pick<Options, "textSet" | "preset">): Sensitivity {
  return {
    visual: perHead(e, `visual/${reading(level)}`, o.preset),
    text: perHead(e, `text/${o.textSet}/${reading(level)}`, o.preset),
  };
}

/** δ of Eq. 4 per step, layer and head, over all layers; 1 without a head filter, 0 for heads that do not count. */
export function headWeights(e: Explanation, o: Options): Float64Array {
  const all = once(e, `δ/${o.headFilter}/${o.textSet}/${o.preset}`, () => {
    const { steps, layers, heads } = e.size;
    const delta = new Float64Array(steps * layers * heads);
    if (o.headFilter === "none") return delta.fill(1);
    const { visual, text } = sensitivity(e, o.headFilter, o);
    for (let i = 0; i < delta.length; i++) delta[i] = Math.max(0, visual[i]! - text[i]!);
    return delta;
  });
  if (!o.heads) return all;
  const last = masked.get(all);
  if (last?.heads === o.heads) return last.delta;
  const perStep = e.size.layers * e.size.heads;
  const delta = all.map((weight, i) => (o.heads!.has(i % perStep) ? weight : 0));
  masked.set(all, { heads: o.heads, delta });
  return delta;
}

/** δ as it was for the heads chosen last: they stay while layers pass by. */
const masked = new WeakMap<Float64Array, { heads: ReadonlySet<number>; delta: Float64Array }>();

/** The largest value of one step within the chosen layers and heads, and where it is. */
export function peakOf(e: Explanation, values: Numbers, step: number, o: Pick<Options, "layers" | "heads">): Peak {
  const { layers, heads } = e.size;
  const start = step * layers * heads;
  const [from, to] = o.layers;
  let best = -1;
  for (let i = from * heads; i < (to + 1) * heads; i++)
    if ((best < 0 || values[start + i]! > values[start + best]!) && (o.heads?.has(i) ?? true)) best = i;
  if (best < 0) return { layer: from, head: 0, value: 0 };
  return { layer: Math.floor(best / heads), head: best % heads, value: values[start + best]! };
}

/** ω of Eq. 6 per step; 1 without a filler filter. */
export function stepWeights(e: Explanation, o: Options): Float64Array {
  const weights = new Float64Array(e.size.steps);
  if (o.fillerFilter === "none") return weights.fill(1);
  const { visual, text } = sensitivity(e, o.fillerFilter, o);
  return weights.map((_, step) => Math.max(0, peakOf(e, visual, step, o).value - peakOf(e, text, step, o).value));
}

/** What the image and the text each had to say about a step, at most. */
export function reason(e: Explanation, step: number, o: Options): Reason {
  const { visual, text } = sensitivity(e, o.fillerFilter, o);
  const won = peakOf(e, text, step, o);
  return { visual: peakOf(e, visual, step, o), text: won, token: winner(e, step, won.layer, won.head, o) };
}

/** Position of the text token that a head's text sensitivity comes from, −1 if none. */
export function winner(e: Explanation, step: number, layer: number, head: number, o: Options): number {
  const { layers, heads } = e.size;
  const name = `winner/${o.textSet}`;
  return e.blocks.has(name) ? perHead(e, name, o.preset)[(step * layers + layer) * heads + head]! : -1;
}

/** Whether heads were chosen and none of them is in the chosen layers. */
export function headsElsewhere(e: Explanation, o: Options): boolean {
  const [first, last] = o.layers.map((layer) => layer * e.size.heads) as [number, number];
  return o.heads !== null && ![...o.heads].some((at) => at >= first && at < last + e.size.heads);
}

/** How many of the chosen layers' heads have weight, summed over the steps. */
export function keptHeads(e: Explanation, steps: readonly number[], o: Options): number {
  const delta = headWeights(e, o);
  const { layers, heads } = e.size;
  let kept = 0;
  for (const step of steps)
    for (let i = (step * layers + o.layers[0]) * heads; i < (step * layers + o.layers[1] + 1) * heads; i++)
      if (delta[i]! > 0) kept++;
  return kept;
}
