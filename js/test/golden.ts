/** The files that Python's `tests/golden/make.py` wrote. */

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Options } from "../src/filters";
import { fromBase64 } from "../src/tensor";
import { type Document, type Explanation, open } from "../src/wire";

export interface Expected {
  options: Omit<Options, "heads"> & { heads: number[] | null };
  headWeights: number[];
  kept: number;
  stepWeights: number[];
  silencedWords: number;
  tokenMaps: number[][];
  sumMap: number[];
  sequenceMap: number[];
}

export interface Golden {
  document: Document;
  payload: string;
  expected: Expected[];
  upsampled: number[][];
  silenced: { step: number; visual: number; text: number; layer: number; head: number; token: number }[];
  methods: Record<string, { steps: Record<string, number[]>; answer: number[] }>;
  attention: { layers: [number, number]; map: number[] }[];
  lens: { logit: number[]; rank: number[]; top: string[] } | null;
}

export const folder = join(import.meta.dirname, "../../tests/golden");

export const NAMES = readdirSync(folder)
  .filter((name) => name.endsWith(".json"))
  .map((name) => name.replace(".json", ""));

export function golden(name: string): Golden {
  return JSON.parse(readFileSync(join(folder, `${name}.json`), "utf8"));
}

export const optionsOf = ({ options }: Expected): Options => ({
  ...options,
  heads: options.heads && new Set(options.heads),
});

export function explanation(name: string): Explanation {
  const { document, payload } = golden(name);
  return open(document, fromBase64(payload))[0]!;
}

/** The same without the gradients: only the 8-bit layer maps are left. */
export function quantised(e: Explanation): Explanation {
  const blocks = new Map([...e.blocks].filter(([name]) => !name.includes("tensor/")));
  return { ...e, blocks };
}

/** Largest difference between two arrays, as a share of the expected one's largest size. */
export function difference(found: ArrayLike<number>, expected: number[]): number {
  if (found.length !== expected.length) return Number.POSITIVE_INFINITY;
  const peak = Math.max(...expected.map(Math.abs), 0);
  const worst = Math.max(...expected.map((value, i) => Math.abs(value - found[i]!)));
  return worst === 0 ? 0 : worst / (peak || Number.MIN_VALUE);
}
