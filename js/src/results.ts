/** What was measured or found about the answer, as Python's `results.py` writes it; the two change together. */

import type { Region } from "./wire";

/** What hiding a region, and hiding all else, does to a word: natural log-probabilities. */
export interface Check {
  steps: number[];
  word: string;
  log_prob: number;
  hidden: number;
  kept: number;
  /** Nats lost with random regions of the size and shape: the mean, and between which 95 % of them lie. */
  chance: number | null;
  low: number | null;
  high: number | null;
  p: number | null;
  /** The same where only the region, and only a random one, is left: p is small if few lose as little. */
  kept_chance?: number | null;
  kept_low?: number | null;
  kept_high?: number | null;
  kept_p?: number | null;
  randoms: number;
  verdict?: string;
}

export interface Checks {
  kind: "check";
  about: { region: Region };
  how: string;
  checks: Check[];
}

/** Log-probabilities by the share of cells hidden, the map's largest first and in random orders; null: no top cells. */
export interface Deletion {
  kind: "deletion";
  /** No steps: the whole answer, by its sequence map. */
  about: { steps: number[] };
  how: string;
  status: string;
  fractions: number[];
  own: number[] | [null];
  mean: number[];
  low: number[];
  high: number[];
  /** Nats lost, averaged over the shares hidden: by the own order, and by random ones. */
  lost: number | null;
  chance: number | null;
  p: number | null;
  randoms: number;
  /** The share of the cells hidden last that were drawn from among cells of equal value. */
  ties?: number | null;
  verdict: string;
}

/** A cut's cost for each word, the whole answer last, by windows of layers [first, last]; `total` in all layers. */
export interface Knockout {
  kind: "knockout";
  about: { cut: string[] };
  depth: number;
  /** Its layers are those of the explanation. */
  aligned: boolean;
  windows: [number, number][];
  words: { word: string; steps: number[]; total: number; drop: number[] }[];
}

/** A failure-case tool's sentence, and what it marks. */
export interface Finding {
  kind: "finding";
  about: { name: string };
  text: string;
  cells: number[];
  regions: { name: string; outline: Region }[];
  notes: { steps: number[]; word: string; tag: string; text: string }[];
}

export type Result = Checks | Deletion | Knockout | Finding;
type Kind = Result["kind"];
type Of<K extends Kind> = Extract<Result, { kind: K }>;

export const same = (one: unknown, other: unknown): boolean => JSON.stringify(one) === JSON.stringify(other);

export function resultsOf<K extends Kind>(results: readonly Result[], kind: K): Of<K>[] {
  return results.filter((one): one is Of<K> => one.kind === kind);
}

/** The one about exactly this. */
export function resultOf<K extends Kind>(results: readonly Result[], kind: K, about: object): Of<K> | undefined {
  return resultsOf(results, kind).find((one) =>
    Object.entries(about).every(([name, value]) => same((one.about as Record<string, unknown>)[name], value)),
  );
}

/** How often chance does as much, from p = (1 + such cases) ÷ (1 + all). */
export function rarity(p: number, count: number, what: string): string {
  const as = Math.round(p * (count + 1)) - 1;
  return `${as || "none"} of ${count} ${what} ${as > 1 ? "cost" : "costs"} as much (p = ${p.toFixed(2)})`;
}

/** The largest p at which chance is ruled out. */
export const RARE = 0.05;

/** At most so many nats, lost or gained, are no effect, as in Python's `chance.py`. */
const NOTHING = 0.05;

/** A p as it is told; nothing where there is none, or no effect in any of these nats: nothing has no odds. */
export const pText = (p: number | null | undefined, ...drops: number[]): string =>
  p == null || drops.every((drop) => Math.abs(drop) <= NOTHING) ? "" : p.toFixed(2);

/** What p says of a loss; nothing where it is not told. */
export function chanceText({ log_prob, hidden, p, randoms }: Check, what: string): string {
  if (p === null || !pText(p, log_prob - hidden)) return "";
  const least = 1 / (randoms + 1);
  const so = p <= RARE ? "" : least > RARE ? ": too few to tell" : ": no more than chance";
  return rarity(p, randoms, what) + so;
}
