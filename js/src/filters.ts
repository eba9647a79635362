/** Which heads and which words count: `filters.py` again, so that no slider has to ask Python. */

import type { Block } from "./tensor";
import { type Explanation, type Level, need, type Preset } from "./wire";

export interface Options {
  /** Layer entries, first and last included. */
  layers: [number, number];
  textSet: string;
  headFilter: Level;
  fillerFilter: Level;
  /** False keeps the map's negative gradients; δ and ω stay as they are. */
  relu: boolean;
  /** `released` reads the last layer through the final norm applied twice, and sums words unscaled. */
  preset: Preset;
}

export interface Sensitivity {
  visual: Float32Array;
  text: Float32Array;
}

export interface Peak {
  /** Entries of the layer and head that won. */
  layer: number;
  head: number;
  value: number;
}

export interface Reason {
  visual: Peak;
  text: Peak;
  /** Position of the text token that won, −1 if there was no text to look at. */
  token: number;
}

const memory = new WeakMap<Explanation, Map<string, Float32Array | Float64Array>>();

/** What depends on few options is made once for each of their combinations. */
function once<T extends Float32Array | Float64Array>(e: Explanation, key: string, make: () => T): T {
  const known = memory.get(e) ?? new Map<string, T>();
  memory.set(e, known);
  const values = known.get(key) ?? make();
  known.set(key, values);
  return values as T;
}

/** A block of one value per step, layer and head, its last layer as the preset reads it. */
export function perHead(e: Explanation, name: string, preset: Preset): Float32Array {
  return once(e, `${preset}/${name}`, () =>
    preset === "released" ? patched(e, name) : Float32Array.from(need(e, name).data),
  );
}

function patched(e: Explanation, name: string): Float32Array {
  const { steps, layers, heads } = e.size;
  const values = Float32Array.from(need(e, name).data);
  const last: Block = need(e, `twice/${name}`);
  for (let step = 0; step < steps; step++)
    values.set(
      last.data.subarray(step * heads, (step + 1) * heads) as unknown as Float32Array,
      (step * layers + layers - 1) * heads,
    );
  return values;
}

export function sensitivity(e: Explanation, level: Level, o: Pick<Options, "textSet" | "preset">): Sensitivity {
  return {
    visual: perHead(e, `visual/${level}`, o.preset),
    text: perHead(e, `text/${o.textSet}/${level}`, o.preset),
  };
}

/** δ of Eq. 4 per step, layer and head, over all layers; 1 without a head filter. */
export function headWeights(e: Explanation, o: Options): Float64Array {
  return once(e, `δ/${o.headFilter}/${o.textSet}/${o.preset}`, () => {
    const { steps, layers, heads } = e.size;
    const delta = new Float64Array(steps * layers * heads);
    if (o.headFilter === "none") return delta.fill(1);
    const { visual, text } = sensitivity(e, o.headFilter, o);
    for (let i = 0; i < delta.length; i++) delta[i] = Math.max(0, visual[i]! - text[i]!);
    return delta;
  });
}

/** The largest value of one step within the chosen layers, and where it is. */
export function peakOf(e: Explanation, values: Float32Array, step: number, [from, to]: [number, number]): Peak {
  const { layers, heads } = e.size;
  const start = step * layers * heads;
  let best = start + from * heads;
  for (let i = best + 1; i < start + (to + 1) * heads; i++) if (values[i]! > values[best]!) best = i;
  return { layer: Math.floor((best - start) / heads), head: (best - start) % heads, value: values[best]! };
}

/** ω of Eq. 6 per step; 1 without a filler filter. */
export function stepWeights(e: Explanation, o: Options): Float64Array {
  const weights = new Float64Array(e.size.steps);
  if (o.fillerFilter === "none") return weights.fill(1);
  const { visual, text } = sensitivity(e, o.fillerFilter, o);
  return weights.map((_, step) =>
    Math.max(0, peakOf(e, visual, step, o.layers).value - peakOf(e, text, step, o.layers).value),
  );
}

/** What the image and the text each had to say about a step, at most. */
export function reason(e: Explanation, step: number, o: Options): Reason {
  const level = o.fillerFilter === "none" ? "max" : o.fillerFilter;
  const { visual, text } = sensitivity(e, level, o);
  const won = peakOf(e, text, step, o.layers);
  const { layers, heads } = e.size;
  const token = perHead(e, `winner/${o.textSet}`, o.preset)[(step * layers + won.layer) * heads + won.head]!;
  return { visual: peakOf(e, visual, step, o.layers), text: won, token };
}

/** How many of the chosen layers' heads have weight, summed over the steps. */
export function keptHeads(e: Explanation, steps: number[], o: Options): number {
  const delta = headWeights(e, o);
  const { layers, heads } = e.size;
  let kept = 0;
  for (const step of steps)
    for (let i = (step * layers + o.layers[0]) * heads; i < (step * layers + o.layers[1] + 1) * heads; i++)
      if (delta[i]! > 0) kept++;
  return kept;
}
