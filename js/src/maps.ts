/** From blocks to maps over the image: `maps.py` again. Maps are raw, one value per cell, row-major. */

import { hasLevel, headWeights, levelPart, type Options, once, stepWeights } from "./filters";
import { type Method, readyMade, readyMap, readyParts } from "./methods";
import type { Block } from "./tensor";
import { type Explanation, need, TENSOR_BYTES, valueAt } from "./wire";

export type CellMap = Float64Array;

/** The block (and part) with all steps' sums over heads, for options that leave every head in. */
function sumsName(o: Options): string | null {
  if (o.heads) return null;
  return `${o.relu ? "maps" : "signed"}/${o.headFilter === "none" ? "none" : `${o.textSet}/${o.headFilter}`}`;
}

/** The part, and block, with every head's numbers of a step. */
export const tensorName = (e: Explanation, step: number): string => `tensor/${e.header.steps[step]}`;

/** Where a step's map comes from: exact gradients first, then sums over heads, then coarse gradients. */
function originOf(
  e: Explanation,
  step: number,
  o: Options,
  sums = sumsName(o),
): { name: string; sums: boolean } | null {
  const name = tensorName(e, step);
  const tensor = e.blocks.get(name);
  if (sums && e.blocks.has(sums) && !(tensor && !tensor.scale)) return { name: sums, sums: true };
  return tensor ? { name, sums: false } : null;
}

/** The parts that these options need and that are not there yet; null if the numbers do not exist or are too many. */
export function needed(e: Explanation, steps: readonly number[], o: Options, method: Method): string[] | null {
  const maps = partsOf(e, steps, o, method);
  if (!maps) return null;
  const levels = [o.headFilter, o.fillerFilter].filter((level) => !hasLevel(e, level, o.textSet));
  return [...new Set([...levels.map((level) => levelPart(level, o.textSet)), ...maps])];
}

function partsOf(e: Explanation, steps: readonly number[], o: Options, method: Method): string[] | null {
  if (method === "dexar") return mapParts(e, steps, o);
  if (method !== "attention" || !e.header.attention) return readyParts(e, steps, method);
  return e.blocks.has("attention") ? [] : ["attention"];
}

function mapParts(e: Explanation, steps: readonly number[], o: Options): string[] | null {
  const sums = sumsName(o);
  if (sums && e.blocks.has(sums)) return [];
  const missing = steps.filter((step) => !originOf(e, step, o, sums));
  if (!missing.length) return [];
  if (e.header.keep === "summary") return sums && inSummary(o) ? [sums] : null;
  if (sums && steps.length > 2) return [sums];
  const { layers, heads, cells } = e.size;
  if (steps.length * layers * heads * cells > TENSOR_BYTES) return null;
  return missing.map((step) => tensorName(e, step));
}

/** Sums over heads that `keep="summary"` holds. */
const inSummary = (o: Options): boolean =>
  o.relu && (o.headFilter === "none" || (o.headFilter === "max" && (o.textSet === "all" || o.textSet === "released")));

/** A step's block, and the row of it at which a layer begins. */
function rowOf(e: Explanation, name: string, sums: boolean, step: number, layer: number, o: Options): [Block, number] {
  const first = sums ? step : 0;
  if (o.preset === "released" && layer === e.size.layers - 1) return [need(e, `twice/${name}`), first];
  return [need(e, name), first * e.size.layers + layer];
}

function add(out: CellMap, block: Block, row: number, weight: number, relu: boolean): void {
  const cells = out.length;
  const start = row * cells;
  const factor = weight * (block.scale?.[Math.floor(start / block.inner)] ?? 1);
  if (factor === 0) return;
  const { data } = block;
  for (let cell = 0; cell < cells; cell++) {
    const value = data[start + cell]!;
    if (value > 0 || !relu) out[cell]! += factor * value;
  }
}

/** One step's Σ δ·G⁺ over the chosen layers and heads (Eq. 5 before its min–max). */
export function tokenMap(e: Explanation, step: number, o: Options, delta = headWeights(e, o)): CellMap {
  const { layers, heads, cells } = e.size;
  const origin = originOf(e, step, o);
  if (!origin) throw new Error(`The data lack the map of step ${e.header.steps[step]}.`);
  if (origin.sums) return sumOfLayers(e, origin.name, step, o);
  const out = new Float64Array(cells);
  for (let layer = o.layers[0]; layer <= o.layers[1]; layer++) {
    const [block, row] = rowOf(e, origin.name, false, step, layer, o);
    for (let head = 0; head < heads; head++)
      if (!o.heads || o.heads.has(layer * heads + head))
        add(out, block, row * heads + head, delta[(step * layers + layer) * heads + head]!, o.relu);
  }
  return out;
}

/** A step's map from sums over heads: one layer as it is, several as the difference of two running sums. */
function sumOfLayers(e: Explanation, name: string, step: number, o: Options): CellMap {
  const { layers, cells } = e.size;
  const [from, to] = o.layers;
  const out = new Float64Array(cells);
  if (from === to) add(out, ...rowOf(e, name, true, step, from, o), 1, o.relu);
  else {
    const sums = once(e, `running/${name}/${o.preset}`, () => runningSums(e, name, o));
    const first = (step * (layers + 1) + from) * cells;
    const last = (step * (layers + 1) + to + 1) * cells;
    for (let cell = 0; cell < cells; cell++) out[cell] = sums[last + cell]! - sums[first + cell]!;
  }
  return out;
}

/** Per step, and for each layer and behind the last, the sum of all layers before: (step layer+1 cell). */
function runningSums(e: Explanation, name: string, o: Options): Float64Array {
  const { steps, layers, cells } = e.size;
  const sums = new Float64Array(steps * (layers + 1) * cells);
  for (let step = 0; step < steps; step++)
    for (let layer = 0; layer < layers; layer++) {
      const start = (step * (layers + 1) + layer + 1) * cells;
      sums.copyWithin(start, start - cells, start);
      add(sums.subarray(start, start + cells), ...rowOf(e, name, true, step, layer, o), 1, o.relu);
    }
  return sums;
}

/** One step's attention to each cell: mean over heads and over the chosen layers. */
function attentionMap(e: Explanation, step: number, [from, to]: [number, number]): CellMap {
  const out = new Float64Array(e.size.cells);
  const block = need(e, "attention");
  for (let layer = from; layer <= to; layer++) add(out, block, step * e.size.layers + layer, 1 / (to - from + 1), true);
  return out;
}

/** Several steps' maps, summed raw. */
export function sumMap(e: Explanation, steps: readonly number[], o: Options, method: Method = "dexar"): CellMap {
  const delta = headWeights(e, o);
  const out = new Float64Array(e.size.cells);
  for (const step of steps)
    accumulate(out, method === "attention" ? attentionMap(e, step, o.layers) : tokenMap(e, step, o, delta), 1);
  return out;
}

/** The whole answer's map (Eq. 6 before its min–max): words weighted by ω, each scaled 0–1 by the `paper` preset. */
export function sequenceMap(e: Explanation, o: Options): CellMap {
  const delta = headWeights(e, o);
  const out = new Float64Array(e.size.cells);
  stepWeights(e, o).forEach((weight, step) => {
    if (weight === 0) return;
    const map = tokenMap(e, step, o, delta);
    accumulate(out, o.preset === "released" ? map : minmax(map), weight);
  });
  return out;
}

/** Entries of the chosen steps, or of all. */
export const stepsInView = (e: Explanation, chosen: readonly number[]): readonly number[] =>
  chosen.length ? chosen : e.header.steps.map((_, entry) => entry);

/** What is looked at: the chosen steps' maps summed, or the whole answer's where none is chosen. */
export function mapOf(e: Explanation, chosen: readonly number[], o: Options, method: Method): CellMap {
  const steps = stepsInView(e, chosen);
  if (needed(e, steps, o, method)?.length !== 0) return new Float64Array(e.size.cells);
  const ready = readyMade(e, method);
  if (ready) return readyMap(e, ready, chosen);
  return chosen.length || method === "attention" ? sumMap(e, steps, o, method) : sequenceMap(e, o);
}

function accumulate(out: CellMap, map: CellMap, weight: number): void {
  for (let cell = 0; cell < out.length; cell++) out[cell]! += weight * map[cell]!;
}

export interface Share {
  layer: number;
  head: number;
  share: number;
}

/** The heads that contribute most to one cell of the steps' summed map; needs every head's numbers. */
export function topHeads(e: Explanation, steps: readonly number[], cell: number, o: Options, count: number): Share[] {
  const { layers, heads, cells } = e.size;
  if (!steps.every((step) => e.blocks.has(tensorName(e, step)))) return [];
  const delta = headWeights(e, o);
  const shares: Share[] = [];
  let total = 0;
  for (let layer = o.layers[0]; layer <= o.layers[1]; layer++)
    for (let head = 0; head < heads; head++) {
      let share = 0;
      for (const step of steps) {
        const [block, row] = rowOf(e, tensorName(e, step), false, step, layer, o);
        const value = valueAt(block, (row * heads + head) * cells + cell);
        share += delta[(step * layers + layer) * heads + head]! * Math.max(0, value);
      }
      total += share;
      shares.push({ layer, head, share });
    }
  const largest = shares.sort((a, b) => b.share - a.share).slice(0, count);
  return largest.filter(({ share }) => share > 0).map((entry) => ({ ...entry, share: entry.share / total }));
}

export function extent(map: ArrayLike<number>): [number, number] {
  let low = Number.POSITIVE_INFINITY;
  let high = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < map.length; i++) {
    if (map[i]! < low) low = map[i]!;
    if (map[i]! > high) high = map[i]!;
  }
  return [low, high];
}

/** The value below which `percent` of the values lie, between neighbours in proportion. */
export function percentile(values: ArrayLike<number>, percent: number): number {
  if (percent >= 100) return extent(values)[1];
  const sorted = Float64Array.from(values).sort();
  const at = ((sorted.length - 1) * percent) / 100;
  const low = sorted[Math.floor(at)]!;
  return low + (at % 1) * (sorted[Math.ceil(at)]! - low);
}

/** Shifted and scaled to [0, 1]; a constant map gives zeros. */
export function minmax(map: CellMap): CellMap {
  const [low, high] = extent(map);
  const out = new Float64Array(map.length);
  if (high > low) for (let i = 0; i < map.length; i++) out[i] = (map[i]! - low) / (high - low);
  return out;
}

export function peakCell(map: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < map.length; i++) if (map[i]! > map[best]!) best = i;
  return best;
}

/** 1 for the largest value; equal values share a rank. */
export function rankOf(map: ArrayLike<number>, cell: number): number {
  let rank = 1;
  for (let i = 0; i < map.length; i++) if (map[i]! > map[cell]!) rank++;
  return rank;
}

/** How few cells hold half of the map's positive energy. */
export function halfEnergyCells(map: CellMap): number {
  const rising = map.map((value) => Math.max(0, value)).sort();
  const half = rising.reduce((a, b) => a + b, 0) / 2;
  if (half <= 0) return 0;
  let sum = 0;
  let count = 0;
  while (sum < half) sum += rising[rising.length - ++count]!;
  return count;
}

/** Bilinear with half-pixel centres, edges held: the same weights as the upsampling in `maps.py`. */
export function upsample(
  map: CellMap,
  rows: number,
  cols: number,
  height: number,
  width: number,
  out = new Float32Array(height * width),
): Float32Array {
  const down = weights(height, rows);
  const across = weights(width, cols);
  const line = new Float64Array(cols);
  for (let y = 0; y < height; y++) {
    const [top, bottom] = [down.low[y]! * cols, Math.min(down.low[y]! + 1, rows - 1) * cols];
    const part = down.part[y]!;
    for (let col = 0; col < cols; col++) line[col] = map[top + col]! * (1 - part) + map[bottom + col]! * part;
    for (let x = 0; x < width; x++) {
      const left = across.low[x]!;
      const share = across.part[x]!;
      out[y * width + x] = line[left]! * (1 - share) + line[Math.min(left + 1, cols - 1)]! * share;
    }
  }
  return out;
}

/** Per pixel along one side: the cell before its centre, and the share of the next one. */
function weights(pixels: number, cells: number): { low: Int32Array; part: Float64Array } {
  const low = new Int32Array(pixels);
  const part = new Float64Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const at = Math.min(Math.max(((pixel + 0.5) * cells) / pixels - 0.5, 0), cells - 1);
    low[pixel] = Math.floor(at);
    part[pixel] = at - low[pixel]!;
  }
  return { low, part };
}
